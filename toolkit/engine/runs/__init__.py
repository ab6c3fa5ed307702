"""A run on disk: its folder, state, checkpoints, record and result."""
