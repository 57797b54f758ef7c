"""The arithmetic inside instructions that numpy has no call for: convolution and host models, by onnxruntime."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from reuse_compiler.geometry import ConvGeometry

__all__ = ["Convolution", "Convolutions", "host_session"]

_OPSET, _IR_VERSION = 18, 10
_MACS_FOR_THREADS = 5_000_000  # a tile of fewer is done before a second thread has woken


class Convolution:
    """conv(x, W) of one tile: its values are put into `inside`, an array [in_channels, 3 axes] amid zeros.

    Parameters
    ----------
    geometry : ConvGeometry
        Three spatial axes.
    padded : array
        float32 [in_channels, 3 padded axes] of zeros, which tiles of one geometry may share; without padding where the
        convolution is transposed.
    weights : array
        float32 [out_channels, in_channels / group, kernel of three axes], a view that is read at every call.
    session : onnxruntime.InferenceSession, optional
        What computes it; a convolution that is depthwise and not transposed needs none.
    """

    def __init__(
        self,
        geometry: ConvGeometry,
        padded: NDArray[np.float32],
        weights: NDArray[np.float32],
        session: onnxruntime.InferenceSession | None,
    ) -> None:
        begins = (0, 0, 0) if geometry.transposed else geometry.pads_begin
        where: list[slice] = [slice(begin, begin + size) for begin, size in zip(begins, geometry.in_shape, strict=True)]
        self.inside: NDArray[np.float32] = padded[(slice(None), *where)]
        out = (geometry.out_channels, *geometry.out_shape)
        if session is None:
            self._compute = _depthwise(geometry, padded, weights, out)
        elif geometry.transposed:
            self._compute = _transposed(session, geometry, padded, weights, out)
        else:
            self._compute = _dense(session, padded, weights, out)

    def __call__(self) -> NDArray[np.float32]:
        """The outputs [out_channels, 3 axes], valid until the next call."""
        return self._compute()


Compute = Callable[[], NDArray[np.float32]]


def _dense(
    session: onnxruntime.InferenceSession,
    padded: NDArray[np.float32],
    weights: NDArray[np.float32],
    out: tuple[int, ...],
) -> Compute:
    rank = len(session.get_inputs()[0].shape) - 2
    feed = {
        "x": padded.reshape(1, *padded.shape[: 1 + rank]),
        "w": weights.reshape(weights.shape[: 2 + rank]),
    }

    def compute() -> NDArray[np.float32]:
        result: NDArray[np.float32] = session.run(None, feed)[0]
        return result.reshape(out)

    return compute


def _transposed(
    session: onnxruntime.InferenceSession,
    geometry: ConvGeometry,
    x: NDArray[np.float32],
    weights: NDArray[np.float32],
    out: tuple[int, ...],
) -> Compute:
    """All that the inputs reach is computed, and then cut to the tile; what they do not reach stays zero."""
    rank, group = len(session.get_inputs()[0].shape) - 2, geometry.group
    batch = x.reshape(1, *x.shape[: 1 + rank])
    grouped = weights.reshape(group, -1, *weights.shape[1:]).swapaxes(1, 2)
    shape = (geometry.in_channels, geometry.outputs_per_group, *geometry.kernel[:rank])
    reached = tuple(
        (size - 1) * stride + geometry.reach(axis)
        for axis, (size, stride) in enumerate(zip(geometry.in_shape, geometry.strides, strict=True))
    )
    inside = tuple(
        slice(begin, begin + size) for begin, size in zip(geometry.pads_begin, geometry.out_shape, strict=True)
    )
    extents = [max(min(part.stop, size) - part.start, 0) for part, size in zip(inside, reached, strict=True)]
    result = np.zeros(out, np.float32)
    front = result[(slice(None), *(slice(extent) for extent in extents))]

    def compute() -> NDArray[np.float32]:
        by_input = np.ascontiguousarray(grouped).reshape(shape)
        everything: NDArray[np.float32] = session.run(None, {"x": batch, "w": by_input})[0]
        cut = everything.reshape(out[0], *reached)[(slice(None), *inside)]
        if front.shape == out:
            return cut
        front[...] = cut
        return result

    return compute


def _depthwise(
    geometry: ConvGeometry, padded: NDArray[np.float32], weights: NDArray[np.float32], out: tuple[int, ...]
) -> Compute:
    """A tap of the kernel is a shifted view of the input: onnxruntime is slow where channels do not mix.

    With strides of 1 the views are shifted runs of the flattened input, which numpy passes over fastest; between the
    rows of the output they leave sums that nothing reads.
    """
    views, result, total = _runs(geometry, padded) if set(geometry.strides) == {1} else _windows(geometry, padded)
    product = np.empty_like(total)
    shape = (-1, *[1] * (total.ndim - 1))
    positions = itertools.product(*(range(size) for size in geometry.kernel))
    taps = [(view, weights[:, 0, i, j, k].reshape(shape)) for view, (i, j, k) in zip(views, positions, strict=True)]

    def compute() -> NDArray[np.float32]:
        np.multiply(*taps[0], out=total)
        for view, weight in taps[1:]:
            np.multiply(view, weight, out=product)
            np.add(total, product, out=total)
        return result

    assert result.shape == out
    return compute


Views = tuple[list[NDArray[np.float32]], NDArray[np.float32], NDArray[np.float32]]


def _runs(geometry: ConvGeometry, padded: NDArray[np.float32]) -> Views:
    """Shifted runs of the flattened input, one a tap; the outputs, and the run that holds them."""
    _, _, second, third = padded.shape
    first_out, second_out, third_out = geometry.out_shape
    flat = padded.reshape(len(padded), -1)
    length = ((first_out - 1) * second + second_out - 1) * third + third_out
    full = np.zeros((len(padded), first_out, second, third), np.float32)
    total = full.reshape(len(padded), -1)[:, :length]
    steps = (geometry.dilations[0] * second * third, geometry.dilations[1] * third, geometry.dilations[2])
    starts = [
        sum(at * step for at, step in zip(position, steps, strict=True))
        for position in itertools.product(*(range(size) for size in geometry.kernel))
    ]
    return [flat[:, start : start + length] for start in starts], full[:, :, :second_out, :third_out], total


def _windows(geometry: ConvGeometry, padded: NDArray[np.float32]) -> Views:
    """Shifted and strided views of the input, one a tap; the outputs, twice."""
    views = []
    for position in itertools.product(*(range(size) for size in geometry.kernel)):
        window: list[slice] = [
            slice(at * dilation, at * dilation + (size - 1) * stride + 1, stride)
            for at, dilation, size, stride in zip(
                position, geometry.dilations, geometry.out_shape, geometry.strides, strict=True
            )
        ]
        views.append(padded[(slice(None), *window)])
    result = np.zeros((len(padded), *geometry.out_shape), np.float32)
    return views, result, result


class Convolutions:
    """Makes convolutions. Those with the same kernel, stride, dilation and group share one onnxruntime session, those
    of one geometry the input amid its padding."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._sessions: dict[Any, onnxruntime.InferenceSession] = {}
        self._padded: dict[ConvGeometry, NDArray[np.float32]] = {}

    def get(self, geometry: ConvGeometry, weights: NDArray[np.float32]) -> Convolution:
        """The convolution of a tile, with `weights` in ONNX layout and three axes, where they are kept."""
        if geometry not in self._padded:
            extents = geometry.in_shape if geometry.transposed else _padded_extents(geometry)
            self._padded[geometry] = np.zeros((geometry.in_channels, *extents), np.float32)
        padded = self._padded[geometry]
        depthwise = geometry.group == geometry.in_channels == geometry.out_channels and not geometry.transposed
        session = (
            None if depthwise else self._session(geometry, 3 if max(padded.shape[3], geometry.reach(2)) > 1 else 2)
        )
        return Convolution(geometry, padded, weights, session)

    def _session(self, geometry: ConvGeometry, rank: int) -> onnxruntime.InferenceSession:
        threads = self._threads if geometry.macs >= _MACS_FOR_THREADS else 1
        key = (
            *(rank, geometry.transposed, geometry.kernel, geometry.strides, geometry.dilations),
            *(geometry.group, threads),
        )
        if key not in self._sessions:
            self._sessions[key] = _session(_conv_model(geometry, rank), threads)
        return self._sessions[key]


def _padded_extents(geometry: ConvGeometry) -> tuple[int, ...]:
    return tuple(
        begin + size + end
        for begin, size, end in zip(geometry.pads_begin, geometry.in_shape, geometry.pads_end, strict=True)
    )


def host_session(model: bytes, threads: int) -> onnxruntime.InferenceSession:
    """A session for a host model."""
    return _session(model, threads)


def _session(model: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _conv_model(geometry: ConvGeometry, rank: int) -> bytes:
    """A Conv or ConvTranspose of any extents and weights."""
    node = helper.make_node(
        "ConvTranspose" if geometry.transposed else "Conv",
        ["x", "w"],
        ["y"],
        kernel_shape=geometry.kernel[:rank],
        strides=geometry.strides[:rank],
        dilations=geometry.dilations[:rank],
        group=geometry.group,
    )
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [f"{name}{axis}" for axis in range(rank + 2)])
        for name in ("x", "w")
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph([node], "convolution", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    return bytes(model.SerializeToString())
