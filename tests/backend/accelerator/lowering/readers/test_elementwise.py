"""Reading element-wise nodes: the function, its operands, and what takes several instructions."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from reuse_compiler.backend.accelerator.isa import Binary, Special
from reuse_compiler.backend.accelerator.lowering.graph import read_graph
from reuse_compiler.backend.accelerator.lowering.specs import (
    ElementwiseSpec,
    FunctionSpec,
    LayerGraph,
    Operand,
    SelectSpec,
    Spec,
    Tensor,
)
from reuse_compiler.passes.infer_shapes import InferShapes


def read(signature: str, node: str, **constants: Any) -> LayerGraph:
    """The layers of a model of one node, n; numbers become float32 constants."""
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 20]> g {signature} {{ {node} }}')
    for name, value in constants.items():
        array = np.asarray(value, None if isinstance(value, np.generic | np.ndarray) else np.float32)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    model = ir.from_proto(proto)
    InferShapes()(model)
    model.graph[0].name = "n"
    return read_graph(model)


def only(signature: str, node: str, **constants: Any) -> Spec:
    [layer] = read(signature, node, **constants).layers
    assert layer.name == "n"
    return layer.spec


SIX: Any = np.float32(6)
LARGEST = float(np.finfo(np.float32).max)


@pytest.mark.parametrize(
    ("body", "spec"),
    [
        ("y = Relu (x)", FunctionSpec(Special.RAMP, 0.0, math.inf)),
        ("y = LeakyRelu (x)", FunctionSpec(Special.RAMP, 0.01, math.inf)),
        ("y = LeakyRelu <alpha=0.5> (x)", FunctionSpec(Special.RAMP, 0.5, math.inf)),
        ("y = Clip (x, zero, six)", FunctionSpec(Special.RAMP, 0.0, 6.0)),
        ("y = Clip (x, zero)", FunctionSpec(Special.RAMP, 0.0, math.inf)),
        ("y = Clip (x, one, six)", FunctionSpec(Special.CLIP, -1.0, 6.0)),
        ("y = Clip (x, , six)", FunctionSpec(Special.CLIP, -LARGEST, 6.0)),
        ("y = Clip (x)", FunctionSpec(Special.CLIP, -LARGEST, LARGEST)),
        ("y = Elu <alpha=2.0> (x)", FunctionSpec(Special.ELU, 2.0)),
        ("y = HardSigmoid <alpha=0.25> (x)", FunctionSpec(Special.HARD_SIGMOID, 0.25, 0.5)),
        ("y = Sigmoid (x)", FunctionSpec(Special.SIGMOID)),
        ("y = Reciprocal (x)", FunctionSpec(Special.RECIPROCAL)),
        ("y = Selu <gamma=2.0> (x)", FunctionSpec(Special.SELU, 1.6732632423543772, 2.0)),
        ("y = Shrink <bias=1.0> (x)", FunctionSpec(Special.SHRINK, 0.5, 1.0)),
        ("y = LeakyRelu <alpha=-2.0> (x)", FunctionSpec(Special.RAMP, -2.0, math.inf)),
        ("y = Add (x, x)", ElementwiseSpec((24,), (Operand((1,)), Operand((1,))), Binary.ADD)),
        ("y = Max (x, x)", ElementwiseSpec((24,), (Operand((1,)), Operand((1,))), Binary.MAX)),
    ],
)
def test_functions_and_arithmetic(body: str, spec: Spec) -> None:
    found = only("(float[1,2,3,4] x) => (float[1,2,3,4] y)", body, zero=0, six=SIX, one=-1)
    assert found == spec


@pytest.mark.parametrize(("body", "constant"), [("y = Sub (x, six)", 1), ("y = Div (six, x)", 0)])
def test_either_operand_may_be_a_constant(body: str, constant: int) -> None:
    [layer] = read("(float[2,3] x) => (float[2,3] y)", body, six=SIX).layers
    assert isinstance(layer.spec, ElementwiseSpec)
    assert [operand.strides for operand in layer.spec.operands] == ([(1,), (0,)] if constant else [(0,), (1,)])
    assert [operand.constant is None for operand in layer.spec.operands] == [
        position != constant for position in (0, 1)
    ]
    assert [tensor.name for tensor in layer.inputs] == ["x"]


def test_a_broadcast_needs_only_the_axes_that_differ() -> None:
    spec = only("(float[1,2,3,4] x) => (float[1,2,3,4] y)", "y = Mul (x, c)", c=np.ones((2, 1, 1), np.float32))
    assert isinstance(spec, ElementwiseSpec)
    assert (spec.sizes, [operand.strides for operand in spec.operands]) == ((2, 12), [(12, 1), (1, 0)])


@pytest.mark.parametrize(
    ("body", "functions"),
    [
        ("y = Sum (x, x, x)", [Binary.ADD, Binary.ADD]),
        ("y = Mean (x, x, x)", [Binary.ADD, Binary.ADD, Binary.DIV]),
        ("y = Min (x, six, one, x)", [Binary.MIN, Binary.MIN, Binary.MIN]),
        ("y = Max (six, one, x)", [Binary.MAX]),
        ("y = Sum (x)", [Special.IDENTITY]),
        ("y = Clip (x, low, x)", [Binary.MAX, Binary.MIN]),
        ("y = Pow (x, i)", [Special.IDENTITY, Binary.POW]),
        ("y = DequantizeLinear (b, six, z)", [Special.IDENTITY, Binary.SUB, Binary.MUL]),
    ],
)
def test_what_takes_several_instructions_is_parts_of_one_row(body: str, functions: list[Binary | Special]) -> None:
    """What constants make alone is computed at once."""
    graph = read("(float[2] x, float low, int32[2] i, uint8[2] b) => (float[2] y)", body, six=SIX, one=1, z=np.uint8(3))
    found = [layer.spec.function for layer in graph.layers if isinstance(layer.spec, ElementwiseSpec | FunctionSpec)]
    assert found == functions
    assert graph.rows == {"n": 0}
    assert graph.layers[-1].outputs == (Tensor("y", (2,), "float32"),)
    assert all(layer.outputs[0] in later.inputs for layer, later in itertools.pairwise(graph.layers[-2:]))


def test_a_where_is_a_selection_with_constants_among_its_operands() -> None:
    [layer] = read(
        "(float[2,3] x) => (float[2,3] y)", "y = Where (c, x, low)", c=np.array([True, False, True]), low=-1
    ).layers
    assert isinstance(layer.spec, SelectSpec)
    assert [operand.strides for operand in layer.spec.operands] == [(0, 1), (3, 1), (0, 0)]
    assert [operand.constant is None for operand in layer.spec.operands] == [False, True, False]
    assert layer.spec.residents[0].dtype == np.bool_


@pytest.mark.parametrize(
    ("signature", "node", "kinds"),
    [
        ("(float16[2] x) => (float16[2] y)", "y = Exp (x)", ["float16", "float32", "float16"]),
        ("(float16[2] x) => (bool[2] y)", "y = IsNaN (x)", ["float16", "float32", "bool"]),
        ("(float16[2] x) => (float16[2] y)", "y = Add (x, half)", ["float16", "float32", "float32", "float16"]),
        ("(int8[2] x) => (double[2] y)", "y = Cast <to=11> (x)", ["int8", "float64"]),
        ("(int64[2] x) => (int64[2] y)", "y = Relu (x)", ["int64", "int64"]),
    ],
)
def test_types_along_the_way(signature: str, node: str, kinds: list[str]) -> None:
    """float16 is converted before and after."""
    layers = read(signature, node, half=np.float16(0.5)).layers
    assert [layers[0].inputs[0].dtype, *(layer.outputs[0].dtype for layer in layers)] == kinds
