"""The commands as Python functions: each one does the work and returns its outcome."""
