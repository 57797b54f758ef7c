"""AutoPilot, the steering network of the paper: five CONV and five FC layers from a camera image to one angle.

The layers are those of PilotNet (Bojarski et al., "End to End Learning for Self-Driving Cars", 2016) with the wider first
FC layer and the output ``2 * atan(z)`` that the paper's 1.6 M parameters belong to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler.errors import ModelError

__all__ = [
    "CONV_LAYERS",
    "FC_LAYERS",
    "INPUT_SHAPE",
    "MACS",
    "OPSET",
    "PARAMETERS",
    "ConvLayer",
    "FcLayer",
    "build",
    "initial_weights",
    "weight_shapes",
]

OPSET = 20
INPUT_SHAPE = (1, 3, 66, 200)
PARAMETERS = 1_595_511
MACS = 28_218_470

Weights = Mapping[str, NDArray[np.float32]]
Attributes = Mapping[str, int | float | list[int]]


@dataclass(frozen=True)
class ConvLayer:
    """A valid convolution with square kernel and a ReLU behind it."""

    name: str
    in_channels: int
    out_channels: int
    kernel: int
    stride: int


@dataclass(frozen=True)
class FcLayer:
    """A fully connected layer; a ReLU behind all but the last."""

    name: str
    in_features: int
    out_features: int


CONV_LAYERS = (
    ConvLayer("conv1", 3, 24, 5, 2),
    ConvLayer("conv2", 24, 36, 5, 2),
    ConvLayer("conv3", 36, 48, 5, 2),
    ConvLayer("conv4", 48, 64, 3, 1),
    ConvLayer("conv5", 64, 64, 3, 1),
)
FC_LAYERS = (
    FcLayer("fc1", 1152, 1164),
    FcLayer("fc2", 1164, 100),
    FcLayer("fc3", 100, 50),
    FcLayer("fc4", 50, 10),
    FcLayer("fc5", 10, 1),
)


def weight_shapes() -> dict[str, tuple[int, ...]]:
    """Shape of every trained tensor by name: CONV weights [M, C, k, k], FC weights input-major [K, N], biases [M] or [N]."""
    shapes: dict[str, tuple[int, ...]] = {}
    for conv in CONV_LAYERS:
        shapes[f"{conv.name}.weight"] = (conv.out_channels, conv.in_channels, conv.kernel, conv.kernel)
        shapes[f"{conv.name}.bias"] = (conv.out_channels,)
    for fc in FC_LAYERS:
        shapes[f"{fc.name}.weight"] = (fc.in_features, fc.out_features)
        shapes[f"{fc.name}.bias"] = (fc.out_features,)
    return shapes


def initial_weights(seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Untrained weights from a seed: He initialisation (He et al., 2015), biases zero; float32, shapes of `weight_shapes`."""
    rng = np.random.default_rng(seed)
    weights: dict[str, NDArray[np.float32]] = {}
    for name, shape in weight_shapes().items():
        if name.endswith(".bias"):
            weights[name] = np.zeros(shape, np.float32)
            continue
        fan_in = math.prod(shape[1:]) if len(shape) == 4 else shape[0]
        weights[name] = rng.standard_normal(shape, np.float32) * np.float32(math.sqrt(2 / fan_in))
    return weights


def build(weights: Weights | None = None) -> ir.Model:
    """The network as an ONNX model of batch 1.

    Parameters
    ----------
    weights : mapping of str to float32 array, optional
        Every tensor of `weight_shapes` by name; `initial_weights()` by default.

    Returns
    -------
    onnx_ir.Model
        Input ``image`` float32 [1, 3, 66, 200], RGB in [-1, 1]; output ``steering`` float32 [1, 1], the angle of the
        steering wheel in radians, positive to the right.

    Raises
    ------
    ModelError
        If a tensor is missing, is not known, or has another shape.
    """
    weights = initial_weights() if weights is None else weights
    _check(weights)
    tensors = {name: ir.tensor(np.asarray(weights[name], np.float32), name=name) for name in weight_shapes()}
    initializers = {name: _value(name, tensor.shape.numpy(), tensor) for name, tensor in tensors.items()}
    image = _value("image", INPUT_SHAPE)
    nodes: list[ir.Node] = []

    def add(
        op: str, name: str, inputs: list[ir.Value], shape: tuple[int, ...], attributes: Attributes | None = None
    ) -> ir.Value:
        output = _value("steering" if name == "steering" else f"{name}_out", shape)
        nodes.append(ir.node(op, inputs, attributes, outputs=[output], name=name))
        return output

    x, (_, _, height, width) = image, INPUT_SHAPE
    for conv in CONV_LAYERS:
        height, width = ((size - conv.kernel) // conv.stride + 1 for size in (height, width))
        shape = (1, conv.out_channels, height, width)
        parts = [x, initializers[f"{conv.name}.weight"], initializers[f"{conv.name}.bias"]]
        x = add("Conv", conv.name, parts, shape, {"kernel_shape": [conv.kernel] * 2, "strides": [conv.stride] * 2})
        x = add("Relu", f"{conv.name}_relu", [x], shape)
    x = add("Flatten", "flatten", [x], (1, FC_LAYERS[0].in_features), {"axis": 1})
    for fc in FC_LAYERS:
        parts = [x, initializers[f"{fc.name}.weight"], initializers[f"{fc.name}.bias"]]
        x = add("Gemm", fc.name, parts, (1, fc.out_features))
        if fc is not FC_LAYERS[-1]:
            x = add("Relu", f"{fc.name}_relu", [x], (1, fc.out_features))
    x = add("Atan", "atan", [x], (1, 1))
    two = add("Constant", "two", [], (), {"value_float": 2.0})
    x = add("Mul", "steering", [x, two], (1, 1))
    graph = ir.Graph(
        [image], [x], nodes=nodes, initializers=list(initializers.values()), opset_imports={"": OPSET}, name="autopilot"
    )
    return ir.Model(graph, ir_version=10, producer_name="reuse_compiler.models.autopilot")


def _value(name: str, shape: Sequence[int], const: ir.TensorProtocol | None = None) -> ir.Value:
    return ir.Value(name=name, shape=ir.Shape(shape), type=ir.TensorType(ir.DataType.FLOAT), const_value=const)


def _check(weights: Weights) -> None:
    shapes = weight_shapes()
    if weights.keys() != shapes.keys():
        names = ", ".join(sorted(weights.keys() ^ shapes.keys()))
        raise ModelError(f"weights: {names}: missing, or not of the network: give the tensors of weight_shapes()")
    for name, shape in shapes.items():
        if weights[name].shape != shape:
            raise ModelError(f"{name}: shape is {weights[name].shape}: give {shape}")
