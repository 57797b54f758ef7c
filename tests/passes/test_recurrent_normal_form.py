from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from reuse_compiler.errors import ModelError
from reuse_compiler.passes.infer_shapes import InferShapes
from reuse_compiler.passes.recurrent_normal_form import RECURRENT, RecurrentNormalForm

Array = NDArray[Any]
Evaluate = Callable[..., dict[str, Array]]

STEPS, BATCH, IN, HIDDEN = 5, 2, 3, 4
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
ACTIVATIONS = ("Tanh", "Sigmoid", "LeakyRelu", "HardSigmoid", "Elu", "ScaledTanh", "Softsign")


def random(*shape: int, seed: int) -> NDArray[np.float32]:
    return (np.random.default_rng(seed).standard_normal(shape) * 0.5).astype(np.float32)


def build(
    op: str,
    direction: str,
    *,
    optional: tuple[str, ...] = (),
    fixed: tuple[str, ...] = ("W", "R", "B", "P"),
    outputs: tuple[str, ...] | None = None,
    **attributes: Any,
) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """A model of one layer, and its feeds. `optional` are the inputs given besides X, W and R; `fixed` the constants."""
    directions, gates = 2 if direction == "bidirectional" else 1, GATES[op]
    everything: dict[str, Array] = {
        "X": random(STEPS, BATCH, IN, seed=0),
        "W": random(directions, gates * HIDDEN, IN, seed=1),
        "R": random(directions, gates * HIDDEN, HIDDEN, seed=2),
        "B": random(directions, 2 * gates * HIDDEN, seed=3),
        "lengths": np.array([STEPS, STEPS - 2], np.int32),
        "h": random(directions, BATCH, HIDDEN, seed=4),
        "c": random(directions, BATCH, HIDDEN, seed=5),
        "P": random(directions, 3 * HIDDEN, seed=6),
    }
    if attributes.get("layout"):
        everything |= {name: np.swapaxes(everything[name], 0, 1) for name in ("X", "h", "c")}
    order = list(everything)[: 8 if op == "LSTM" else 6]
    names = [name if name in ("X", "W", "R", *optional) else "" for name in order]
    results = outputs or ("Y", "Y_h", "Y_c")[: 3 if op == "LSTM" else 2]
    node = helper.make_node(
        op,
        names,
        results,
        "layer",
        hidden_size=HIDDEN,
        direction=direction,
        **{k: v for k, v in attributes.items() if v},
    )
    given = {name: everything[name] for name in names if name}
    graph = helper.make_graph(
        [node],
        "g",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in given.items()
            if name not in fixed
        ],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in results if name],
        [numpy_helper.from_array(array, name) for name, array in given.items() if name in fixed],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return model, {name: array for name, array in given.items() if name not in fixed}


def normalized(proto: onnx.ModelProto) -> ir.Model:
    model = ir.from_proto(proto)
    InferShapes()(model)
    RecurrentNormalForm()(model)
    assert not RecurrentNormalForm()(model).modified
    values = [value for node in model.graph for value in node.outputs]
    given = {value.name: value.shape for value in values if value.shape is not None and value.shape.is_static()}
    InferShapes()(model)
    assert given == {value.name: value.shape for value in values if value.name in given}
    return model


def layers(model: ir.Model) -> list[ir.Node]:
    found = [node for node in model.graph if node.op_type in RECURRENT]
    for node in found:
        recurrence = node.inputs[2]
        assert recurrence is not None and recurrence.shape is not None and recurrence.shape[0] == 1
        assert node.attributes.get_string("direction") in ("forward", "reverse")
        assert "layout" not in node.attributes and node.outputs[0].name
    return found


@settings(max_examples=150)
@given(data=st.data())
def test_values_stay(data: st.DataObject, evaluate: Evaluate) -> None:
    op = data.draw(st.sampled_from(["LSTM", "GRU", "RNN"]))
    direction = data.draw(st.sampled_from(["forward", "reverse", "bidirectional"]))
    optional = data.draw(st.sets(st.sampled_from(["B", "lengths", "h", "c", "P"])))
    count = RECURRENT[op] * (2 if direction == "bidirectional" else 1)
    activations = data.draw(st.just([]) | st.lists(st.sampled_from(ACTIVATIONS), min_size=count, max_size=count))
    alphas, betas = (data.draw(st.lists(st.sampled_from([0.5, 0.9, 1.2]), max_size=count)) for _ in range(2))
    proto, feeds = build(
        op,
        direction,
        optional=tuple(optional),
        fixed=("W", "R", "B", "P", *data.draw(st.sets(st.sampled_from(["h", "c", "lengths"])))),
        activations=activations,
        activation_alpha=alphas if activations else [],
        activation_beta=betas if activations else [],
        clip=data.draw(st.sampled_from([0.0, 0.7])),
        linear_before_reset=int(op == "GRU" and data.draw(st.booleans())),
    )
    model = normalized(proto)
    names = [node.name for node in layers(model)]
    assert names == (["layer.forward", "layer.reverse"] if direction == "bidirectional" else ["layer"])
    after = ir.to_proto(model)
    onnx.checker.check_model(after, full_check=True)
    expected, result = evaluate(proto, feeds), evaluate(after, feeds)
    assert list(result) == list(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(result[name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("op", RECURRENT)
def test_batch_first_becomes_time_first(op: str, direction: str, evaluate: Evaluate) -> None:
    # onnxruntime has no layout 1 on the CPU: the layer with layout 0 is the judge.
    optional = ("B", "lengths", "h", "c", "P") if op == "LSTM" else ("B", "lengths", "h")
    proto, feeds = build(op, direction, optional=optional)
    expected = evaluate(proto, feeds)
    other, feeds = build(op, direction, optional=optional, layout=1)
    model = normalized(other)
    assert len(layers(model)) == (2 if direction == "bidirectional" else 1)
    result = evaluate(ir.to_proto(model), feeds)
    np.testing.assert_allclose(result["Y"], np.moveaxis(expected["Y"], 2, 0), rtol=1e-5, atol=1e-6)
    for name in expected.keys() - {"Y"}:
        np.testing.assert_allclose(result[name], np.swapaxes(expected[name], 0, 1), rtol=1e-5, atol=1e-6)


def test_weights_that_are_computed_stay_with_both_directions() -> None:
    proto, _ = build("LSTM", "bidirectional", fixed=("W",), optional=("B",))
    model = ir.from_proto(proto)
    InferShapes()(model)
    assert not RecurrentNormalForm()(model).modified


def test_only_outputs_that_are_read_are_joined() -> None:
    model = normalized(build("LSTM", "bidirectional", outputs=("", "Y_h"))[0])
    assert [node.op_type for node in model.graph] == ["LSTM", "LSTM", "Concat"]
    assert len(layers(model)) == 2
    assert model.graph.initializers.keys() == {"W_forward", "R_forward", "W_reverse", "R_reverse"}


def test_the_first_output_gets_a_name_and_the_direction_is_written() -> None:
    proto, _ = build("GRU", "forward", outputs=("", "Y_h"))
    del proto.graph.node[0].attribute[1:]
    [node] = layers(normalized(proto))
    assert node.outputs[0].name == "layer_Y" and node.outputs[0].shape == (STEPS, 1, BATCH, HIDDEN)


def test_whole_sequence_lengths_go(evaluate: Evaluate) -> None:
    proto, feeds = build("RNN", "forward", optional=("lengths", "h"), fixed=("W", "R", "lengths"))
    proto.graph.initializer[2].CopyFrom(numpy_helper.from_array(np.full(BATCH, STEPS, np.int32), "lengths"))
    model = normalized(proto)
    assert layers(model)[0].inputs[4] is None
    expected, result = evaluate(proto, feeds), evaluate(ir.to_proto(model), feeds)
    np.testing.assert_array_equal(result["Y"], expected["Y"])


@pytest.mark.parametrize(("length", "layout"), [(6, 0), (-1, 0), (3, 1)])
def test_a_sequence_length_beyond_the_time_axis_is_an_error(length: int, layout: int) -> None:
    proto, _ = build("GRU", "forward", optional=("lengths",), fixed=("W", "R", "lengths"), layout=layout)
    if layout:
        proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 2
    lengths = next(tensor for tensor in proto.graph.initializer if tensor.name == "lengths")
    lengths.CopyFrom(numpy_helper.from_array(np.array([1, length], np.int32), "lengths"))
    model = ir.from_proto(proto)
    InferShapes()(model)
    steps = 2 if layout else STEPS
    message = rf"node layer \(GRU\): sequence_lens lengths has {length}, its input has {steps} time steps"
    with pytest.raises(ModelError, match=message):
        RecurrentNormalForm()(model)
