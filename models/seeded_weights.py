"""Seeded random weights for a network of which only the structure is given.

Weights keep the variance of activations from layer to layer (He et al., ICCV 2015: deviation sqrt(2 / fan-in)), and batch
normalizations have the mean and variance that one normal input shows them, so that outputs depend on the input. Nothing
is learned: such a network shows costs and similarity, no accuracy.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = ["with_seeded_weights"]

_SCALE, _MEAN, _VARIANCE = 1, 3, 4  # inputs of BatchNormalization


def with_seeded_weights(model: onnx.ModelProto, seed: int = 0) -> onnx.ModelProto:
    """A copy of `model` whose ConstantOfShape weights are random initializers instead.

    Matrices and kernels are normal with deviation sqrt(2 / fan-in), scales of batch normalization uniform in 0.5..1.5,
    all other vectors normal with deviation 0.1. Mean and variance of batch normalization are measured, channel by
    channel, on one normal input; the model has one input of fixed shape.
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
    _calibrate(result, generator)
    return result


def _calibrate(model: onnx.ModelProto, generator: np.random.Generator) -> None:
    """Give every batch normalization the statistics of its input.

    An instance normalization in its place has them while it runs, so one run calibrates all of them in turn.
    """
    normalizations = [node for node in model.graph.node if node.op_type == "BatchNormalization"]
    if not normalizations:
        return
    network = onnx.ModelProto()
    network.CopyFrom(model)
    for node in network.graph.node:
        if node.op_type == "BatchNormalization":
            node.op_type = "InstanceNormalization"
            del node.input[_MEAN:], node.output[1:]
            kept = [attribute for attribute in node.attribute if attribute.name == "epsilon"]
            del node.attribute[:]
            node.attribute.extend(kept)
    del network.graph.output[:]
    measured = list(dict.fromkeys(node.input[0] for node in normalizations))
    network.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in measured)
    fixed = {tensor.name: tensor for tensor in model.graph.initializer}
    (value,) = (value for value in network.graph.input if value.name not in fixed)
    shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(network.SerializeToString(), options, providers=["CPUExecutionProvider"])
    arrays = session.run(measured, {value.name: generator.standard_normal(shape).astype(np.float32)})
    inputs = dict(zip(measured, arrays, strict=True))
    for node in normalizations:
        array = inputs[node.input[0]]
        axes = (0, *range(2, array.ndim))
        for position, statistic in ((_MEAN, array.mean(axes)), (_VARIANCE, array.var(axes))):
            name = node.input[position]
            fixed[name].CopyFrom(numpy_helper.from_array(statistic.astype(np.float32), name))


def _values(generator: np.random.Generator, shape: list[int], positive: bool) -> NDArray[Any]:
    if len(shape) > 1:
        return generator.standard_normal(shape) * math.sqrt(2 / math.prod(shape[1:]))
    return generator.uniform(0.5, 1.5, shape) if positive else generator.standard_normal(shape) * 0.1
