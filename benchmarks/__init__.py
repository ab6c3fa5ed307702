"""Benchmarks: this toolkit compared with others, each doing the same job on the same images."""
