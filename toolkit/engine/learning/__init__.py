"""One update of the weights: losses, metrics, optimizers, schedules, precision and processes."""
