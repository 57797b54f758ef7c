from __future__ import annotations

import onnx_ir as ir
import pytest
from onnx import parser

from reuse_compiler.errors import ModelError
from reuse_compiler.passes.bind_shapes import BindShapes


def model(signature: str, body: str = "y = Relu(x)") -> ir.Model:
    text = f'<ir_version: 8, opset_import: ["" : 18]> g ({signature}) => (float[] y) {{ {body} }}'
    return ir.from_proto(parser.parse_model(text))


def shapes(bound: ir.Model) -> dict[str | None, list[object]]:
    return {value.name: list(value.shape or ()) for value in bound.graph.inputs}


def test_an_open_first_dimension_becomes_one() -> None:
    bound = model("float[N, 3, 4] x")
    assert BindShapes()(bound).modified
    assert shapes(bound) == {"x": [1, 3, 4]}


def test_a_nameless_first_dimension_becomes_one() -> None:
    bound = model("float[?, 3] x")
    BindShapes()(bound)
    assert shapes(bound) == {"x": [1, 3]}


def test_the_batch_symbol_is_bound_wherever_it_occurs() -> None:
    bound = model("float[N, 3] x, float[2, N] h")
    bound.graph[0].outputs[0].shape = ir.Shape(["N", 3])
    BindShapes()(bound)
    assert shapes(bound) == {"x": [1, 3], "h": [2, 1]}
    assert bound.graph[0].outputs[0].shape == ir.Shape([1, 3])


def test_another_open_dimension_is_an_error_that_says_what_to_give() -> None:
    with pytest.raises(ModelError, match=r"^input x: dimension 2 \(W\) is open: give --shape x=1,3,W$"):
        BindShapes()(model("float[N, 3, W] x"))


@pytest.mark.parametrize(
    ("inputs", "options"),
    [
        ("float[N, T, 40] x, float[N, T] mask, float[U, S] h", "--shape x=1,T,40 --shape h=1,S"),
        ("float[N, T] x, float[4, T, S] h", "--shape x=1,T --shape h=4,T,S"),
        ("float[0, T] x, float[] h", "--shape x=0,T --shape h=1,.."),
        ("float[] h, float[2] x", "--shape h=1,.."),
    ],
)
def test_the_error_gives_the_options_for_all_inputs(inputs: str, options: str) -> None:
    with pytest.raises(ModelError) as error:
        BindShapes()(model(inputs))
    assert str(error.value).endswith(f": give {options}")


def test_an_open_dimension_without_a_symbol_is_n_in_the_options() -> None:
    bound = model("float[N, 3] x")
    bound.graph.inputs[0].shape = ir.Shape([None, None, 3])
    with pytest.raises(ModelError, match=r"^input x: dimension 1 is open: give --shape x=1,N,3$"):
        BindShapes()(bound)


def test_given_shapes_bind_symbols_of_other_inputs() -> None:
    bound = model("float[N, W] x, float[W, 5] h")
    BindShapes({"x": (1, 7)})(bound)
    assert shapes(bound) == {"x": [1, 7], "h": [7, 5]}


def test_a_given_shape_overrides_fixed_sizes_and_drops_what_was_declared() -> None:
    bound = model("float[4, 3] x")
    bound.graph[0].outputs[0].shape = ir.Shape([4, 3])
    BindShapes({"x": (2, 3)})(bound)
    assert shapes(bound) == {"x": [2, 3]}
    assert bound.graph[0].outputs[0].shape is None


def test_an_input_without_rank_needs_a_given_shape() -> None:
    with pytest.raises(ModelError, match="input x: its shape is not declared"):
        BindShapes()(model("float[] x"))
    bound = model("float[] x")
    BindShapes({"x": (1, 2)})(bound)
    assert shapes(bound) == {"x": [1, 2]}


def test_a_size_of_zero_is_a_size() -> None:
    bound = model("float[2, 0] x")
    assert not BindShapes()(bound).modified
    assert shapes(bound) == {"x": [2, 0]}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"z": (1,)}, "shape of z: the model has no such input: it has x, h"),
        ({"x": (1, 2, 3)}, r"shape of x: \[1, 2, 3\] has 3 dimensions, the input 2"),
        ({"x": (-1, 3)}, "shape of x: .* give sizes of 0 or more"),
        ({"x": (2, 3), "h": (5, 3)}, "shape of h: N would be 2 and 5"),
    ],
)
def test_shapes_that_do_not_fit_are_errors(given: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        BindShapes(given)(model("float[N, 3] x, float[N, 3] h"))


def test_a_sequence_has_no_one_shape_and_stays() -> None:
    body = "i = Constant<value_int=0>() y = SequenceAt(x, i)"
    given = model("seq(float[N]) x, float[N, 3] h", body)
    BindShapes()(given)
    assert isinstance(given.graph.inputs[0].type, ir.SequenceType)
    assert given.graph.inputs[1].shape == [1, 3]
    with pytest.raises(ModelError, match="shape of x: it is a SequenceType"):
        BindShapes({"x": (2,)})(model("seq(float[2]) x", body))
