"""The type of a reader: from a node to what its layer computes, or to the layers that it is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx_ir as ir

from reuse_compiler.backend.accelerator.lowering.specs import Layer, Spec

__all__ = ["Reader"]

Reader = Callable[[ir.Node], Spec | Sequence[Layer]]
