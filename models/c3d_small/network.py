"""C3D at an eighth of the width, for the sixteen actions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler.models.c3d import network
from reuse_compiler.models.c3d.actions import ACTIONS

__all__ = ["GEOMETRY", "build", "weight_shapes"]

GEOMETRY = network.Geometry((8, 16, 32, 32, 64, 64, 64, 64), 512, len(ACTIONS))


def weight_shapes() -> dict[str, tuple[int, ...]]:
    """Shape of every trained tensor by name, as `reuse_compiler.models.c3d.network.weight_shapes` says."""
    return network.weight_shapes(GEOMETRY)


def build(weights: Mapping[str, NDArray[np.float32]]) -> ir.Model:
    """The network as `reuse_compiler.models.c3d.network.build` makes it, its weights stored as float16."""
    return network.build(GEOMETRY, weights, np.float16)
