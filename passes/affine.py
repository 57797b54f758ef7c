"""Nodes that compute ``z * scale + shift`` with constants per channel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

__all__ = ["BINARY", "Affine", "batch_norm", "binary", "constant"]

BINARY = ("Add", "Div", "Mul", "Sub")
_FLOATS = (ir.DataType.FLOAT, ir.DataType.DOUBLE)
Wide = NDArray[np.float64]


@dataclass(frozen=True)
class Affine:
    """``z * scale + shift``: float64 vectors of one value per channel, or of one for all."""

    scale: Wide
    shift: Wide

    @property
    def is_finite(self) -> bool:
        """Whether all values are finite, in float32 too."""
        with np.errstate(over="ignore"):
            values = np.concatenate([self.scale, self.shift]).astype(np.float32)
        return bool(np.isfinite(values).all())


def constant(value: ir.Value | None) -> Wide | None:
    """The value of a float32 or float64 initializer in float64, else None."""
    if value is None or value.const_value is None or value.const_value.dtype not in _FLOATS:
        return None
    return value.const_value.numpy().astype(np.float64)


def batch_norm(node: ir.Node) -> Affine | None:
    """The function of a BatchNormalization with constant statistics, outside training.

    ``scale / sqrt(var + epsilon)`` and ``bias - mean * scale / sqrt(var + epsilon)``, as ONNX defines it.
    """
    side = node.outputs[1:]
    if node.attributes.get_int("training_mode", 0) != 0 or any(y.uses() or y.is_graph_output() for y in side):
        return None
    scale, bias, mean, variance = (constant(value) for value in node.inputs[1:5])
    if scale is None or bias is None or mean is None or variance is None:
        return None
    with np.errstate(all="ignore"):
        s = scale / np.sqrt(variance + node.attributes.get_float("epsilon", 1e-5))
        return Affine(s, bias - mean * s)


def binary(node: ir.Node, position: int, axis: int) -> Affine | None:
    """The function of an Add, Sub, Mul or Div of input number `position` and a constant, channels on `axis` of it.

    None where the constant has more than a value per channel or widens the tensor, and for a tensor below two dimensions.
    """
    z, value = node.inputs[position], constant(node.inputs[1 - position])
    if z is None or z.shape is None or value is None or not max(value.ndim, 2) <= len(z.shape):
        return None
    aligned = (1,) * (len(z.shape) - value.ndim) + value.shape
    if math.prod(aligned) != aligned[axis] or aligned[axis] not in (1, z.shape[axis]):
        return None
    c, one, zero = value.reshape(-1), np.ones(1), np.zeros(1)
    with np.errstate(all="ignore"):
        match node.op_type, position:
            case "Add", _:
                return Affine(one, c)
            case "Mul", _:
                return Affine(c, zero)
            case "Sub", 0:
                return Affine(one, -c)
            case "Sub", _:
                return Affine(-one, c)
            case "Div", 0:
                return Affine(1 / c, zero)
            case _:
                return None
