"""The inputs of a phase: images, cached features, or features computed on the fly."""
