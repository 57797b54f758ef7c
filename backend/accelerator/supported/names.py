"""Operators of ONNX by what executes them."""

__all__ = ["ALIASES", "POOLS"]

ALIASES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout")
POOLS = ("AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool")
