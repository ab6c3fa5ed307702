"""Shared by the whole toolkit: errors, messages, files, locks and machine settings."""
