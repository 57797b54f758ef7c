"""C3D, the video network of the paper: eight 3x3x3 CONV and three FC layers from a clip of 16 frames to scores of classes.

The layers are those of Tran et al., "Learning Spatiotemporal Features with 3D Convolutional Networks" (ICCV 2015), whose
numbers of channels are a `Geometry` here: the paper's network and a narrow one have the same depth and the same builder.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import DTypeLike

from reuse_compiler.models.network_graph import NetworkGraph, Weights, check_weights, float_value

__all__ = ["C3D", "INPUT_SHAPE", "OPSET", "POOLED", "Geometry", "Pool", "build", "output_shapes", "weight_shapes"]

OPSET = 20
INPUT_SHAPE = (1, 3, 16, 112, 112)


@dataclass(frozen=True)
class Geometry:
    """How wide the network is: outputs of the eight CONV layers, of each of the first two FC layers, and classes."""

    channels: tuple[int, int, int, int, int, int, int, int]
    hidden: int
    classes: int

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return sum(math.prod(shape) for shape in weight_shapes(self).values())

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a clip, those with padding included."""
        outputs = output_shapes(self)
        return sum(
            math.prod(outputs[name.removesuffix(".weight")]) * math.prod(shape[1:])
            if len(shape) == 5
            else math.prod(shape)
            for name, shape in weight_shapes(self).items()
            if name.endswith(".weight")
        )


@dataclass(frozen=True)
class Pool:
    """A max-pool: kernel and stride alike, padding on both sides, each over depth, rows and columns."""

    kernel: tuple[int, int, int]
    pads: tuple[int, int, int] = (0, 0, 0)

    def size(self, size: tuple[int, int, int]) -> tuple[int, int, int]:
        """What it makes of `size`."""
        depth, rows, columns = (
            (length + 2 * pad - kernel) // kernel + 1
            for length, pad, kernel in zip(size, self.pads, self.kernel, strict=True)
        )
        return depth, rows, columns


C3D = Geometry((64, 128, 256, 256, 512, 512, 512, 512), 4096, 101)

# After the CONV layer of that number. The last is padded, so that 7 x 7 become 4 x 4.
POOLED = {
    1: Pool((1, 2, 2)),
    2: Pool((2, 2, 2)),
    4: Pool((2, 2, 2)),
    6: Pool((2, 2, 2)),
    8: Pool((2, 2, 2), (0, 1, 1)),
}


def output_shapes(geometry: Geometry) -> dict[str, tuple[int, ...]]:
    """Shape of the output of every layer, pool and the flatten by name, in the order of execution; batch 1."""
    shapes: dict[str, tuple[int, ...]] = {}
    depth, rows, columns = INPUT_SHAPE[2:]
    size = (depth, rows, columns)
    for number, channels in enumerate(geometry.channels, 1):
        shapes[f"conv{number}"] = (1, channels, *size)
        if number in POOLED:
            size = POOLED[number].size(size)
            shapes[f"pool{number}"] = (1, channels, *size)
    shapes["flatten"] = (1, geometry.channels[-1] * math.prod(size))
    shapes |= {"fc1": (1, geometry.hidden), "fc2": (1, geometry.hidden), "fc3": (1, geometry.classes)}
    return shapes


def weight_shapes(geometry: Geometry) -> dict[str, tuple[int, ...]]:
    """Shape of every trained tensor by name: CONV weights [M, C, 3, 3, 3], FC weights input-major [K, N], biases [M] or [N]."""
    shapes: dict[str, tuple[int, ...]] = {}
    inputs = INPUT_SHAPE[1]
    for number, channels in enumerate(geometry.channels, 1):
        shapes[f"conv{number}.weight"] = (channels, inputs, 3, 3, 3)
        shapes[f"conv{number}.bias"] = (channels,)
        inputs = channels
    outputs = output_shapes(geometry)
    inputs = outputs["flatten"][1]
    for name in ("fc1", "fc2", "fc3"):
        shapes[f"{name}.weight"] = (inputs, outputs[name][1])
        shapes[f"{name}.bias"] = (outputs[name][1],)
        inputs = outputs[name][1]
    return shapes


def build(geometry: Geometry, weights: Weights, storage: DTypeLike = np.float32) -> ir.Model:
    """The network as an ONNX model of batch 1, computing in float32.

    Parameters
    ----------
    geometry : Geometry
        Its width.
    weights : mapping of str to float32 array
        Every tensor of `weight_shapes` by name.
    storage : float32 or float16
        How the file holds the weights; a Cast follows each that is float16.

    Returns
    -------
    onnx_ir.Model
        Input ``clip`` float32 [1, 3, 16, 112, 112], RGB in [-1, 1]; output ``scores`` float32 [1, classes], one logit a class.

    Raises
    ------
    ModelError
        If a tensor is missing, is not known, or has another shape.
    """
    check_weights(weights, weight_shapes(geometry))
    network = NetworkGraph("c3d", OPSET, storage)
    outputs = output_shapes(geometry)
    clip = x = float_value("clip", INPUT_SHAPE)
    for number in range(1, 9):
        name = f"conv{number}"
        parts = [x, *_parts(network, name, weights)]
        x = network.node("Conv", name, parts, outputs[name], {"kernel_shape": [3] * 3, "pads": [1] * 6})
        x = network.node("Relu", f"{name}_relu", [x], outputs[name])
        if number in POOLED:
            pool, name = POOLED[number], f"pool{number}"
            kernel, pads = list(pool.kernel), list(pool.pads) * 2
            attributes = {"kernel_shape": kernel, "strides": kernel, "pads": pads}
            x = network.node("MaxPool", name, [x], outputs[name], attributes)
    x = network.node("Flatten", "flatten", [x], outputs["flatten"], {"axis": 1})
    for name in ("fc1", "fc2"):
        x = network.node("Gemm", name, [x, *_parts(network, name, weights)], outputs[name])
        x = network.node("Relu", f"{name}_relu", [x], outputs[name])
    x = network.node("Gemm", "fc3", [x, *_parts(network, "fc3", weights)], outputs["fc3"])
    return network.model(clip, x, "scores")


def _parts(network: NetworkGraph, layer: str, weights: Weights) -> list[ir.Value]:
    """Weight and bias of a layer."""
    return [network.weight(f"{layer}.{part}", weights[f"{layer}.{part}"]) for part in ("weight", "bias")]
