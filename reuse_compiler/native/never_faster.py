"""Layers that reuse cannot make faster on a CPU, however little changes."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

__all__ = ["never_faster"]


def never_faster(model: str | Path | bytes | ir.Model) -> dict[str, str]:
    """By name of the reuse node, why it had better compute everything."""
    return {}
