"""Benchmarks: this toolkit beside others, each doing the same job on the same images."""
