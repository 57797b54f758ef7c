"""Seeded random weights for a network of which only the structure is given.

Weights keep the variance of activations from layer to layer (He et al., ICCV 2015: deviation sqrt(2 / fan-in)), so that
outputs depend on the input. Nothing is learned: such a network shows costs and similarity, no accuracy.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = ["with_seeded_weights"]

_SCALE, _VARIANCE = 1, 4  # inputs of BatchNormalization that must be positive


def with_seeded_weights(model: onnx.ModelProto, seed: int = 0) -> onnx.ModelProto:
    """A copy of `model` whose ConstantOfShape weights are random initializers instead.

    Matrices and kernels are normal with deviation sqrt(2 / fan-in), scales and variances of batch normalization uniform
    in 0.5..1.5, all other vectors normal with deviation 0.1.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    generator = np.random.default_rng(seed)
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    positive = {
        node.input[position]
        for node in model.graph.node
        if node.op_type == "BatchNormalization"
        for position in (_SCALE, _VARIANCE)
    }
    del result.graph.node[:]
    for node in model.graph.node:
        if node.op_type != "ConstantOfShape" or node.input[0] not in shapes:
            result.graph.node.append(node)
            continue
        shape, name = shapes[node.input[0]], node.output[0]
        values = _values(generator, shape.tolist(), name in positive)
        result.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
        result.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape.tolist()))
    return result


def _values(generator: np.random.Generator, shape: list[int], positive: bool) -> NDArray[Any]:
    if len(shape) > 1:
        return generator.standard_normal(shape) * math.sqrt(2 / math.prod(shape[1:]))
    return generator.uniform(0.5, 1.5, shape) if positive else generator.standard_normal(shape) * 0.1
