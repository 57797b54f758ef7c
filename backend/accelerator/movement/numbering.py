"""Follow the elements through a node that only moves them: run it once on the numbers of its elements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.shapes import constant, shape_of

__all__ = ["DATA_INPUTS", "Numbering", "number_elements"]

Array = NDArray[Any]

_ALL = slice(0, None)
_FIRST = slice(0, 1)
_TARGET_AND_NEW = slice(0, None, 2)

DATA_INPUTS: Mapping[str, slice] = {
    "CenterCropPad": _FIRST,
    "Compress": _FIRST,
    "Concat": _ALL,
    "DepthToSpace": _FIRST,
    "Expand": _FIRST,
    "Gather": _FIRST,
    "GatherElements": _FIRST,
    "GatherND": _FIRST,
    "Pad": _TARGET_AND_NEW,
    "Resize": _FIRST,
    "ReverseSequence": _FIRST,
    "ScatterElements": _TARGET_AND_NEW,
    "ScatterND": _TARGET_AND_NEW,
    "Slice": _FIRST,
    "SpaceToDepth": _FIRST,
    "Split": _FIRST,
    "Tile": _FIRST,
    "Transpose": _FIRST,
    "Trilu": _FIRST,
}
"""The operators that only move elements, and which of their inputs hold the elements; the others say where to."""

_NUMBERS: Mapping[str, np.dtype[Any]] = dict.fromkeys(("DepthToSpace", "SpaceToDepth"), np.dtype(np.float64))
"""The type of numbers that onnxruntime moves, where int32 is none of them."""

_FILL = {"Resize": "extrapolation_value"}
"""The attribute that holds an element of the output."""


@dataclass(frozen=True)
class Numbering:
    """Where every element of the outputs comes from.

    Number 0 is zero; the others up to `constants.size` - 1 are elements of `constants`, which has the type of the data.
    The elements of operand i follow each other from `bases[i]` on; between operands is a number that nothing has.
    `maps` has an array of int32 in the shape of each output, in the order of `outputs`.
    """

    operands: tuple[ir.Value, ...]
    outputs: tuple[ir.Value, ...]
    constants: Array
    bases: tuple[int, ...]
    sizes: tuple[int, ...]
    maps: tuple[NDArray[np.int32], ...]


def number_elements(node: ir.Node) -> Numbering:
    """Run `node` on element numbers. Its parameters must be constants, and all numbers below 2**31."""
    data = [value for value in node.inputs[DATA_INPUTS[node.op_type]] if value is not None]
    constants, numbers, fill = _constants(node, data)
    operands = [value for value in dict.fromkeys(data) if value not in numbers]
    top, bases = constants.size, []
    for value in operands:
        bases.append(top + 1)
        top += 1 + _size(value)
        numbers[value] = range(bases[-1], top)
    outputs = [value for value in node.outputs if value.name and (value.uses() or value.is_graph_output())]
    return Numbering(
        operands=tuple(operands),
        outputs=tuple(outputs),
        constants=constants,
        bases=tuple(bases),
        sizes=tuple(_size(value) for value in operands),
        maps=tuple(array.astype(np.int32, copy=False) for array in _run(node, numbers, outputs, fill)),
    )


def _size(value: ir.Value) -> int:
    return math.prod(shape_of(value) or ())


def _constants(node: ir.Node, data: Sequence[ir.Value]) -> tuple[Array, dict[ir.Value, range], int]:
    """The constants of a node one behind the other, the numbers of each operand among them, and that of the fill."""
    assert node.outputs[0].dtype is not None
    dtype = node.outputs[0].dtype.numpy()
    arrays, numbers, fill, top = [np.zeros(1, dtype)], {}, 0, 1
    for value in dict.fromkeys(data):
        array = constant(value)
        if array is not None:
            arrays.append(array.reshape(-1))
            numbers[value] = range(top, top + array.size)
            top += array.size
    if node.op_type in _FILL:
        arrays.append(np.array([node.attributes.get_float(_FILL[node.op_type], 0.0)]).astype(dtype))
        fill = top
    return np.concatenate(arrays), numbers, fill


def _run(node: ir.Node, numbers: Mapping[ir.Value, range], outputs: Sequence[ir.Value], fill: int) -> list[Array]:
    """The outputs of `node` on the numbers of its operands."""
    kind = _NUMBERS.get(node.op_type, np.dtype(np.int32))
    element = onnx.helper.np_dtype_to_tensor_dtype(kind)
    parameters = {value.name: constant(value) for value in node.inputs if value is not None and value not in numbers}
    proto = ir.to_proto(node)
    if node.op_type in _FILL:
        kept = [attribute for attribute in proto.attribute if attribute.name != _FILL[node.op_type]]
        del proto.attribute[:]
        proto.attribute.extend([*kept, onnx.helper.make_attribute(_FILL[node.op_type], float(fill))])
    graph = onnx.helper.make_graph(
        [proto],
        "numbers",
        [onnx.helper.make_tensor_value_info(str(value.name), element, shape_of(value)) for value in numbers],
        [onnx.helper.make_tensor_value_info(str(value.name), element, shape_of(value)) for value in outputs],
        [onnx.numpy_helper.from_array(array, name) for name, array in parameters.items() if array is not None],
    )
    assert isinstance(node.graph, ir.Graph)
    opsets = [onnx.helper.make_opsetid(domain, version) for domain, version in node.graph.opset_imports.items()]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {
        str(value.name): np.arange(held.start, held.stop, dtype=kind).reshape(shape_of(value) or ())
        for value, held in numbers.items()
    }
    results: list[Array] = session.run([str(value.name) for value in outputs], feeds)
    return results
