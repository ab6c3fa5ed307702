"""What a phase trains on: images, kept features, or features computed as they come."""
