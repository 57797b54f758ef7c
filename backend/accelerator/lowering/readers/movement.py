"""Read layers that only move elements."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.lowering.readers.reader import Reader
from reuse_compiler.backend.accelerator.lowering.readers.values import shape_at
from reuse_compiler.backend.accelerator.lowering.specs import (
    AliasSpec,
    ConcatSpec,
)
from reuse_compiler.backend.accelerator.shapes import shape_of
from reuse_compiler.backend.accelerator.supported import ALIASES

__all__ = ["READERS"]

Float = NDArray[np.float32]


def _concat(node: ir.Node) -> ConcatSpec:
    out = shape_of(node.outputs[0])
    assert out is not None
    axis = node.attributes["axis"].as_int() % len(out)
    shapes = [shape_at(node, position) for position in range(len(node.inputs))]
    return ConcatSpec(math.prod(out[:axis]), tuple(math.prod(shape[axis:]) for shape in shapes))


READERS: dict[str, Reader] = {
    "Concat": _concat,
    **dict.fromkeys(ALIASES, lambda node: AliasSpec()),
}
