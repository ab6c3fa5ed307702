"""Choosing a learning rate by short trials."""
