"""What each layer takes in stock onnxruntime, though its optimizations rename and fuse them."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping

import onnx

from reuse_compiler.layer_times import KernelTimes

__all__ = ["by_layer"]

_LAYER_OPERATORS = ("Conv", "Gemm", "MatMul", "LSTM", "GRU", "RNN")
_BEFORE, _AFTER = "fused ", "_nchwc"


def by_layer(
    graph: onnx.GraphProto, layers: Collection[str], times: Mapping[str, KernelTimes], frames: int
) -> tuple[dict[str, float], float]:
    """Milliseconds a frame of `layers`, as far as they can be told apart, and of all other nodes together.

    Parameters
    ----------
    graph : GraphProto
        The model before onnxruntime's optimizations; every node has a name.
    layers : collection of str
        Names of nodes of it.
    times : mapping of str to KernelTimes
        By name of the node in the graph that runs, over `frames` frames.

    Notes
    -----
    onnxruntime calls what it fuses ``fused NAME``, ``NAME/..Fusion`` or, in its own layout, ``OUTPUT_nchwc`` by the last
    tensor that is computed in it. From there the layer is found against the data flow, past nodes that are none. A node that
    is a layer itself goes first.
    """
    nodes = {node.name: node for node in graph.node}
    producers = {output: node for node in graph.node for output in node.output if output}
    found: dict[str, float] = {}
    others = 0.0
    starts = [(time, _start(name, nodes, producers)) for name, time in times.items()]
    for time, start in sorted(starts, key=lambda pair: pair[1] is None or pair[1].name not in layers):
        milliseconds = time.median * len(time.microseconds) / frames / 1e3
        name = _layer(start, layers, found, producers) if _computes(time.op) and start is not None else None
        if name is None:
            others += milliseconds
        else:
            found[name] = milliseconds
    return found, others


def _computes(op: str) -> bool:
    return any(layer in op for layer in _LAYER_OPERATORS)


def _start(
    name: str, nodes: Mapping[str, onnx.NodeProto], producers: Mapping[str, onnx.NodeProto]
) -> onnx.NodeProto | None:
    """The node of the original graph that `name` of the optimized one speaks of."""
    for candidate in _original_names(name):
        node = nodes.get(candidate) or producers.get(candidate)
        if node is not None:
            return node
    return None


def _original_names(name: str) -> Iterator[str]:
    yield name
    bare = name.removeprefix(_BEFORE)
    yield bare
    yield bare.removesuffix(_AFTER)
    while "/" in bare:
        bare = bare.rpartition("/")[0]
        yield bare


def _layer(
    start: onnx.NodeProto, layers: Collection[str], taken: Collection[str], producers: Mapping[str, onnx.NodeProto]
) -> str | None:
    """The nearest of `layers` that is not `taken`, from `start` against the data flow; none beyond another layer."""
    waiting, seen = deque([start]), {start.name}
    while waiting:
        node = waiting.popleft()
        if node.name in layers:
            if node.name not in taken:
                return node.name
            continue
        for tensor in node.input:
            producer = producers.get(tensor)
            if producer is not None and producer.name not in seen:
                seen.add(producer.name)
                waiting.append(producer)
    return None
