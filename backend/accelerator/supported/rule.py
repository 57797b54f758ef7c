"""The type of a rule."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

__all__ = ["Rule"]

Rule = Callable[[ir.Node], str | None]
"""A function whose docstring is its text in reports and documentation; it gives the measured value that breaks it, or
None where it holds."""
