"""Choose a learning rate by short trials."""
