"""Benchmarks: figures and ratios from one interleaved run, never a pass or a fail."""
