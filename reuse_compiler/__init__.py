"""Compile ONNX models so that work repeated between consecutive inputs is done once."""

from __future__ import annotations

__version__ = "0.1.0"
