"""What the commands do, callable from Python: each function works and returns what there is to say."""
