"""AutoPilot, the steering network of the paper: five CONV and five FC layers from a camera image to one angle.

The layers are those of PilotNet (Bojarski et al., "End to End Learning for Self-Driving Cars", 2016) with the wider first
FC layer and the output ``2 * atan(z)`` that the paper's 1.6 M parameters belong to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler.models.network_graph import NetworkGraph, Weights, check_weights, float_value

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
    check_weights(weights, weight_shapes())
    network = NetworkGraph("autopilot", OPSET)
    tensors = {name: network.weight(name, weights[name]) for name in weight_shapes()}
    image = float_value("image", INPUT_SHAPE)
    x, (_, _, height, width) = image, INPUT_SHAPE
    for conv in CONV_LAYERS:
        height, width = ((size - conv.kernel) // conv.stride + 1 for size in (height, width))
        shape = (1, conv.out_channels, height, width)
        parts = [x, tensors[f"{conv.name}.weight"], tensors[f"{conv.name}.bias"]]
        x = network.node(
            "Conv", conv.name, parts, shape, {"kernel_shape": [conv.kernel] * 2, "strides": [conv.stride] * 2}
        )
        x = network.node("Relu", f"{conv.name}_relu", [x], shape)
    x = network.node("Flatten", "flatten", [x], (1, FC_LAYERS[0].in_features), {"axis": 1})
    for fc in FC_LAYERS:
        parts = [x, tensors[f"{fc.name}.weight"], tensors[f"{fc.name}.bias"]]
        x = network.node("Gemm", fc.name, parts, (1, fc.out_features))
        if fc is not FC_LAYERS[-1]:
            x = network.node("Relu", f"{fc.name}_relu", [x], (1, fc.out_features))
    x = network.node("Atan", "atan", [x], (1, 1))
    two = network.node("Constant", "two", [], (), {"value_float": 2.0})
    x = network.node("Mul", "steering", [x, two], (1, 1))
    return network.model(image, x, "steering")
