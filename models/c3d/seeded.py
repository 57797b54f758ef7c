"""Seeded weights for a C3D of any width: random, and balanced layer by layer on rendered clips.

Weights begin with the deviation sqrt(2 / fan-in) (He et al., ICCV 2015). Then, from the first layer to the last, what the
layer makes of three clips decides: its bias puts the median of every CONV channel, and of all outputs of an FC layer, at
zero, so that each ReLU passes half, and weights and bias are divided by the deviation about it, so that activations keep
their size through the network. Nothing is learned: the scores mean nothing.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper

from reuse_compiler.files import replacing
from reuse_compiler.models.c3d.actions import ACTIONS
from reuse_compiler.models.c3d.network import C3D, OPSET, POOLED, Geometry, Pool, build, weight_shapes
from reuse_compiler.models.c3d.recording import CALIBRATION_SEED, CLIP, prepare
from reuse_compiler.models.c3d.stage import film

__all__ = ["seeded_weights", "write"]

_SHOWN = (ACTIONS.index("walk left"), ACTIONS.index("run right"), ACTIONS.index("turn round"))

Float = NDArray[np.float32]


def write(path: str | Path, seed: int = 0) -> None:
    """Write the paper's C3D with `seeded_weights` to `path`: an ONNX file of 314 MB, in ten seconds of one core.

    The same machine makes the same file. Raises ReuseError where it cannot be written.
    """
    with replacing(path) as temporary:
        ir.save(build(C3D, seeded_weights(C3D, seed)), temporary)


def seeded_weights(geometry: Geometry, seed: int = 0) -> dict[str, Float]:
    """Every tensor of `weight_shapes` by name, float32, from a seed."""
    draw = np.random.default_rng(seed)
    shapes = weight_shapes(geometry)
    weights: dict[str, Float] = {}
    x = np.concatenate([prepare(film(action, CALIBRATION_SEED + action, 0, CLIP)) for action in _SHOWN])
    convolve = _convolution()
    for number in range(1, 9):
        name = f"conv{number}"
        weight = _drawn(draw, shapes[f"{name}.weight"], math.prod(shapes[f"{name}.weight"][1:]))
        (z,) = convolve.run(None, {"x": x, "w": weight})
        middle = np.array([np.median(z[:, channel]) for channel in range(len(weight))], np.float32)
        z -= middle[:, None, None, None]
        x = np.maximum(z, 0, out=z)
        _balance(weights, name, weight, middle, _deviation(x))
        x /= _deviation(x)
        x = _pooled(x, POOLED[number]) if number in POOLED else x
    x = x.reshape(len(x), -1)
    for name in ("fc1", "fc2", "fc3"):
        weight = _drawn(draw, shapes[f"{name}.weight"], shapes[f"{name}.weight"][0])
        z = x @ weight
        middle = np.full(z.shape[1], np.median(z), np.float32)
        x = np.maximum(z - middle, 0)
        _balance(weights, name, weight, middle, _deviation(x))
        x /= _deviation(x)
    return weights


def _drawn(draw: np.random.Generator, shape: tuple[int, ...], fan_in: int) -> Float:
    weight = draw.standard_normal(shape, np.float32)
    weight *= np.float32(math.sqrt(2 / fan_in))
    return weight


def _deviation(x: Float) -> np.float32:
    """Of the layer's outputs about their median at zero, from the half that the ReLU passes."""
    return np.float32(math.sqrt(2 * float(np.square(x).mean(dtype=np.float64))))


def _balance(weights: dict[str, Float], name: str, weight: Float, middle: Float, deviation: np.float32) -> None:
    weight /= deviation
    weights[f"{name}.weight"], weights[f"{name}.bias"] = weight, -middle / deviation


def _pooled(x: Float, pool: Pool) -> Float:
    """Max-pool of what a ReLU gave; zeros pad it."""
    clips, channels, *size = x.shape
    depth, rows, columns = pool.size((size[0], size[1], size[2]))
    kernel = pool.kernel
    padded = np.zeros((clips, channels, depth * kernel[0], rows * kernel[1], columns * kernel[2]), np.float32)
    padded[:, :, pool.pads[0] :, pool.pads[1] :, pool.pads[2] :] = x
    windows = padded.reshape(clips, channels, depth, kernel[0], rows, kernel[1], columns, kernel[2])
    pooled: Float = windows.max(axis=(3, 5, 7))
    return pooled


def _convolution() -> ort.InferenceSession:
    """y = Conv(x, w), 3x3x3 with padding, for any numbers of channels; one thread, so that sums have one order."""
    x, w, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 5) for name in "xwy")
    node = helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3] * 3, pads=[1] * 6)
    graph = helper.make_graph([node], "conv", [x, w], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
