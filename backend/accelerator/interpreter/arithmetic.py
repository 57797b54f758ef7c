"""The arithmetic inside instructions that numpy has no call for: convolution and host models, by onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from reuse_compiler.geometry import ConvGeometry

__all__ = ["Convolution", "Convolutions", "host_session"]

_OPSET, _IR_VERSION = 18, 10


class Convolution:
    """conv(x, W) of one tile shape, x already padded: float32 [1, channels, extents..] with the geometry's rank."""

    def __init__(self, session: onnxruntime.InferenceSession, geometry: ConvGeometry, rank: int) -> None:
        self._session = session
        self.padded = np.zeros(
            (
                1,
                geometry.in_channels,
                *(
                    begin + size + end
                    for begin, size, end in zip(geometry.pads_begin, geometry.in_shape, geometry.pads_end, strict=True)
                ),
            ),
            np.float32,
        )
        where: list[slice] = [
            slice(begin, begin + size) for begin, size in zip(geometry.pads_begin, geometry.in_shape, strict=True)
        ]
        self.inside: NDArray[np.float32] = self.padded[0][(slice(None), *where)]
        self._x = self.padded.reshape(self.padded.shape[: 2 + rank])
        self._out = (geometry.out_channels, *geometry.out_shape)
        self._kernel = geometry.kernel[:rank]

    def __call__(self, weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """The outputs [out_channels, 3 axes] for the values now in `inside`; weights in ONNX layout, 3 axes."""
        kernel = weights.reshape(*weights.shape[:2], *self._kernel)
        result: NDArray[np.float32] = self._session.run(None, {"x": self._x, "w": kernel})[0]
        return result.reshape(self._out)


class Convolutions:
    """Convolution objects that share one onnxruntime session per kernel, stride, dilation and group."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._sessions: dict[Any, onnxruntime.InferenceSession] = {}
        self._tiles: dict[ConvGeometry, Convolution] = {}

    def get(self, geometry: ConvGeometry) -> Convolution:
        """The convolution of a tile; tiles of one geometry share it."""
        if geometry not in self._tiles:
            innermost = geometry.pads_begin[2] + geometry.in_shape[2] + geometry.pads_end[2]
            rank = 3 if innermost > 1 else 2
            key = (rank, geometry.kernel, geometry.strides, geometry.dilations, geometry.group)
            if key not in self._sessions:
                self._sessions[key] = _session(_conv_model(geometry, rank), self._threads)
            self._tiles[geometry] = Convolution(self._sessions[key], geometry, rank)
        return self._tiles[geometry]


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
    node = helper.make_node(
        "Conv",
        ["x", "w"],
        ["y"],
        kernel_shape=geometry.kernel[:rank],
        strides=geometry.strides[:rank],
        dilations=geometry.dilations[:rank],
        group=geometry.group,
    )
    free: list[str] = [f"n{axis}" for axis in range(rank + 2)]
    graph = helper.make_graph(
        [node],
        "convolution",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, free),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, [f"w{name}" for name in free]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [f"y{name}" for name in free])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
