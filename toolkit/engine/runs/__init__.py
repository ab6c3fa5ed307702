"""A run on disk: folder, state, checkpoints, record and result."""
