"""A program of its own, so that a crash is seen: runs nodes that are wrong in one place and prints what onnxruntime says.

``python -m tests.backend.cpu.bad_nodes LIBRARY`` prints a line of JSON before each case, its name, and one after it: the
message of the error, or null where there was none.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from reuse_compiler.operators import ConvAttributes
from reuse_compiler.quantizers import LinearQuantizer, Quantizer, TableQuantizer
from reuse_compiler.runtime_errors import RUNTIME_ERRORS
from tests.backend.cpu.native_run import Arrays, open_model
from tests.backend.cpu.node_cases import PAST, NodeCase, prepare

Edit = Callable[[onnx.ModelProto, Arrays], None]

_LINEAR = LinearQuantizer(0.125, 16, 33, 0.1)
_TABLE = TableQuantizer((-1.0, 0.0, 2.0))


@dataclass(frozen=True)
class BadNode:
    """A good node, what is done to it, and a part of the message that is expected."""

    case: NodeCase
    edit: Edit
    message: str


def _fc(edit: Edit, message: str, quantizer: Quantizer = _LINEAR) -> BadNode:
    return BadNode(NodeCase((2, 5), (5, 3), quantizer), edit, message)


def _conv(edit: Edit, message: str, quantizer: Quantizer = _LINEAR) -> BadNode:
    attributes = ConvAttributes((1, 1), (1, 1, 1, 1), (1, 1), 2)
    return BadNode(NodeCase((1, 4, 6, 7), (6, 2, 3, 3), quantizer, conv=attributes), edit, message)


def _feed(name: str, *shape: int) -> Edit:
    """Another shape of an input."""

    def edit(model: onnx.ModelProto, feeds: Arrays) -> None:
        feeds[name] = np.zeros(shape, feeds[name].dtype)

    return edit


def _weight(*shape: int) -> Edit:
    def edit(model: onnx.ModelProto, feeds: Arrays) -> None:
        weight = next(tensor for tensor in model.graph.initializer if tensor.name == "W")
        weight.CopyFrom(numpy_helper.from_array(np.ones(shape, np.float32), "W"))

    return edit


def _attribute(name: str, value: Any) -> Edit:
    """Another value of an attribute; None takes it away."""

    def edit(model: onnx.ModelProto, feeds: Arrays) -> None:
        node = model.graph.node[0]
        kept = [attribute for attribute in node.attribute if attribute.name != name]
        assert len(kept) < len(node.attribute)
        del node.attribute[:]
        node.attribute.extend(kept)
        if value is not None:
            kind = onnx.AttributeProto.FLOATS if isinstance(value, list) and not value else None
            node.attribute.append(helper.make_attribute(name, value, attr_type=kind))

    return edit


def _index_type(dtype: Any) -> Edit:
    def edit(model: onnx.ModelProto, feeds: Arrays) -> None:
        feeds[PAST["index"]] = feeds[PAST["index"]].astype(dtype)
        for value in (*model.graph.input, *model.graph.output):
            if "index" in value.name:
                value.type.tensor_type.elem_type = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

    return edit


def _all(*edits: Edit) -> Edit:
    def edit(model: onnx.ModelProto, feeds: Arrays) -> None:
        for one in edits:
            one(model, feeds)

    return edit


_RESET = "reset the state, or compile the model again"
_AGAIN = "compile the model again"
_ATTRIBUTES = ("step", "zero", "clusters", "deadband", "activation_slope", "activation_max")
_GEOMETRY = ("strides", "pads", "dilations", "group")
BAD = {
    "fc-index-shape": _fc(_feed(PAST["index"], 2, 6), f"past_index has shape [2, 6], not [2, 5]: {_RESET}"),
    "fc-index-rank": _fc(_feed(PAST["index"], 10), f"past_index has shape [10], not [2, 5]: {_RESET}"),
    "fc-linear-shape": _fc(_feed(PAST["linear"], 3, 3), f"past_linear has shape [3, 3], not [2, 3]: {_RESET}"),
    "fc-linear-empty": _fc(_feed(PAST["linear"], 0, 3), f"past_linear has shape [0, 3], not [2, 3]: {_RESET}"),
    "fc-weight": _fc(_weight(6, 3), "x of shape [2, 5] does not fit W of shape [6, 3]"),
    "fc-weight-rank": _fc(
        _weight(5, 3, 1), "x of shape [2, 5] does not fit W of shape [5, 3, 1]: feed what the model was compiled for"
    ),
    "fc-weight-vector": _fc(_weight(5), "x of shape [2, 5] does not fit W of shape [5]"),
    "fc-x-scalar": _fc(_feed("x"), "x of shape [] does not fit W of shape [5, 3]"),
    "fc-x-empty-row": _fc(_feed("x", 2, 0), "x of shape [2, 0] does not fit W of shape [5, 3]"),
    "fc-no-rows": _fc(_feed("x", 0, 5), f"past_index has shape [2, 5], not [0, 5]: {_RESET}"),
    "fc-x-of-nine-axes": _fc(_feed("x", *(1,) * 8, 5), "input 0 has 9 axes, at most 8 are possible"),
    "fc-deadbands": _fc(_attribute("deadband", [0.1, 0.2]), f"2 deadbands for 5 inputs: {_AGAIN}"),
    "fc-table": _fc(_attribute("boundaries", [0.0]), "3 centroids, 1 boundaries, zero 1 do not fit", _TABLE),
    "fc-table-zero": _fc(_attribute("zero", 3), "3 centroids, 2 boundaries, zero 3 do not fit", _TABLE),
    "fc-no-centroids": _fc(
        _attribute("centroids", None), f"attribute centroids is missing or of another type: {_AGAIN}", _TABLE
    ),
    "fc-narrow-index": _fc(_attribute("clusters", 300), f"300 clusters with indices of 8 bits: {_AGAIN}"),
    "fc-wide-index": _fc(_index_type(np.uint16), f"33 clusters with indices of 16 bits: {_AGAIN}"),
    "fc-step-zero": _fc(_attribute("step", 0.0), f"step 0, zero 16, clusters 33 are no quantizer: {_AGAIN}"),
    "fc-step-nan": _fc(_attribute("step", float("nan")), f"step nan, zero 16, clusters 33 are no quantizer: {_AGAIN}"),
    "fc-step-inf": _fc(_attribute("step", float("inf")), f"step inf, zero 16, clusters 33 are no quantizer: {_AGAIN}"),
    "fc-step-tiny": _fc(_attribute("step", 1e-40), "are no quantizer"),
    "fc-zero": _fc(_attribute("zero", 33), f"step 0.125, zero 33, clusters 33 are no quantizer: {_AGAIN}"),
    "fc-clusters": _fc(_attribute("clusters", 1), f"step 0.125, zero 16, clusters 1 are no quantizer: {_AGAIN}"),
    "fc-step-type": _fc(_attribute("step", 1), f"attribute step is missing or of another type: {_AGAIN}"),
    "fc-deadband-type": _fc(_attribute("deadband", 0.1), f"deadband has no value: {_AGAIN}"),
    "fc-no-deadbands": _fc(_attribute("deadband", []), f"deadband has no value: {_AGAIN}"),
    "conv-index-shape": _conv(
        _feed(PAST["index"], 1, 4, 6, 7), f"past_index has shape [1, 4, 6, 7], not [1, 6, 7, 4]: {_RESET}"
    ),
    "conv-linear-shape": _conv(
        _feed(PAST["linear"], 1, 6, 7, 5), f"past_linear has shape [1, 6, 7, 5], not [1, 6, 7, 6]: {_RESET}"
    ),
    "conv-x-rank": _conv(_feed("x", 1, 4, 6), "x of shape [1, 4, 6], W of shape [6, 2, 3, 3]"),
    "conv-six-axes": _conv(
        _all(
            _feed("x", 1, 4, 2, 2, 6, 7),
            _weight(6, 2, 1, 1, 3, 3),
            _attribute("strides", [1] * 4),
            _attribute("pads", [1] * 8),
            _attribute("dilations", [1] * 4),
        ),
        "x of shape [1, 4, 2, 2, 6, 7]",
    ),
    "conv-two-axes": _conv(_all(_feed("x", 1, 4), _weight(6, 2)), "x of shape [1, 4], W of shape [6, 2]"),
    "conv-no-batch": _conv(_feed("x", 0, 4, 6, 7), "x or W has an axis of size 0: feed at least one element"),
    "conv-no-channels": _conv(_feed("x", 1, 0, 6, 7), "x or W has an axis of size 0: feed at least one element"),
    "conv-no-width": _conv(_feed("x", 1, 4, 6, 0), "x or W has an axis of size 0: feed at least one element"),
    "conv-no-outputs": _conv(_weight(0, 2, 3, 3), "x or W has an axis of size 0: feed at least one element"),
    "conv-empty-kernel": _conv(_weight(6, 2, 0, 3), "x or W has an axis of size 0: feed at least one element"),
    "conv-weight": _conv(
        _weight(6, 4, 3, 3), "x of shape [1, 4, 6, 7] does not fit W of shape [6, 4, 3, 3] in 2 groups"
    ),
    "conv-outputs": _conv(
        _weight(5, 2, 3, 3), "x of shape [1, 4, 6, 7] does not fit W of shape [5, 2, 3, 3] in 2 groups"
    ),
    "conv-group": _conv(_attribute("group", 3), "in 3 groups"),
    "conv-no-group": _conv(_attribute("group", 0), "in 0 groups"),
    "conv-large-kernel": _conv(_weight(6, 2, 9, 3), "the kernel of W, [6, 2, 9, 3], is larger than x with its padding"),
    "conv-strides": _conv(_attribute("strides", [1]), "1 strides, 2 dilations, 4 pads"),
    "conv-stride-zero": _conv(_attribute("strides", [1, 0]), "stride 0, dilation 1"),
    "conv-dilation-zero": _conv(_attribute("dilations", [1, 0]), "stride 1, dilation 0"),
    "conv-dilation-large": _conv(_attribute("dilations", [1, 2**40]), "dilation 1099511627776"),
    "conv-pads-negative": _conv(_attribute("pads", [-1, 0, 0, 0]), "pads -1, 0"),
    "conv-pads-large": _conv(_attribute("pads", [2**62, 0, 2**62, 0]), "pads 4611686018427387904"),
    "conv-deadbands": _conv(_attribute("deadband", [0.1] * 3), f"3 deadbands for 4 channels: {_AGAIN}"),
    "conv-table": _conv(_attribute("centroids", [0.0] * 300), "300 centroids, 2 boundaries", _TABLE),
    "conv-wide-index": _conv(_index_type(np.uint16), f"33 clusters with indices of 16 bits: {_AGAIN}"),
    **{
        f"fc-without-{name}": _fc(_attribute(name, None), f"attribute {name} is missing or of another type: {_AGAIN}")
        for name in _ATTRIBUTES
    },
    **{
        f"conv-without-{name}": _conv(
            _attribute(name, None), f"attribute {name} is missing or of another type: {_AGAIN}"
        )
        for name in _GEOMETRY
    },
}


def _say(value: str | None) -> None:
    print(json.dumps(value), flush=True)


def _run(bad: BadNode, library: Path) -> str | None:
    prepared = prepare(bad.case)
    model, feeds = onnx.load_model_from_string(prepared.model), {**prepared.frames[0], **prepared.state}
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.ClearField("shape")
    bad.edit(model, feeds)
    try:
        open_model(model.SerializeToString(), library).run(None, feeds)
    except RUNTIME_ERRORS as error:
        return str(error)
    return None


if __name__ == "__main__":
    for name, one in BAD.items():
        _say(name)
        _say(_run(one, Path(sys.argv[1])))
