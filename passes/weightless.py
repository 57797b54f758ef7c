"""Hand a model to onnx's C++ functions without its large weights: those take protos of 2 GiB at most."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import onnx
import onnx_ir as ir

__all__ = ["LARGE_BYTES", "without_weights"]

LARGE_BYTES = 1024
_INITIALIZERS_NEED_NO_INPUTS = 4


@contextmanager
def without_weights(model: ir.Model) -> Iterator[onnx.ModelProto]:
    """`model` as a proto in which initializers above 1 KiB are the last of the graph's inputs.

    They come after the model's own inputs. The model itself is as before when the block ends.
    """
    graph = model.graph
    count = len(graph.inputs)
    version = model.ir_version
    order = list(graph.initializers.values())
    large = {
        name: value
        for name, value in graph.initializers.items()
        if value.const_value is not None and value.const_value.nbytes > LARGE_BYTES
    }
    for name, value in large.items():
        assert value.const_value is not None
        value.shape = ir.Shape(value.const_value.shape.numpy())
        value.dtype = value.const_value.dtype
        graph.initializers.pop(name)
        graph.inputs.append(value)
    model.ir_version = max(version, _INITIALIZERS_NEED_NO_INPUTS)
    try:
        yield ir.to_proto(model)
    finally:
        model.ir_version = version
        del graph.inputs[count:]
        for value in order:  # in the order that they had: a file written now is the one written before
            graph.initializers.pop(str(value.name), None)
            graph.register_initializer(value)
