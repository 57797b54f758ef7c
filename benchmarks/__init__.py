"""Benchmarks: they measure, and write the table of the README. Tests assert behaviour and never a time."""
