"""Reading models into layers: in the terms of the instruction set, or as sub-models for the host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.isa import Pooling
from reuse_compiler.backend.accelerator.lowering.graph import read_graph
from reuse_compiler.backend.accelerator.lowering.specs import (
    ConvSpec,
    FcSpec,
    HostSpec,
    LayerGraph,
    PoolSpec,
    Spec,
    Tensor,
)
from reuse_compiler.operators import Activation
from reuse_compiler.passes.infer_shapes import InferShapes

Evaluate = Callable[..., dict[str, NDArray[Any]]]


def read(signature: str, body: str, **constants: Any) -> LayerGraph:
    """The layers of a model given as ONNX text; lists become float32 constants."""
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]> g {signature} {{ {body} }}')
    for name, value in constants.items():
        array = np.asarray(value) if isinstance(value, np.ndarray) else np.asarray(value, np.float32)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    model = ir.from_proto(proto)
    InferShapes()(model)
    for number, node in enumerate(model.graph):
        node.name = node.name or f"n{number}"
    return read_graph(model)


def only(signature: str, body: str, **constants: Any) -> Spec:
    [layer] = read(signature, body, **constants).layers
    return layer.spec


# -------------------------------------------------------------------------------------------------- CONV, FC, fusion


def test_a_conv_has_three_axes_unused_ones_last() -> None:
    spec = only(
        "(float[1,4,10,8] x) => (float[1,6,A,B] y)",
        "y = Conv <group=2, strides=[2,1], dilations=[1,2], pads=[1,0,2,3]> (x, w)",
        w=np.arange(6 * 2 * 9, dtype=np.float32).reshape(6, 2, 3, 3),
    )
    assert isinstance(spec, ConvSpec)
    geometry = spec.geometry
    assert (geometry.in_channels, geometry.out_channels, geometry.group) == (4, 6, 2)
    assert (geometry.in_shape, geometry.kernel, geometry.out_shape) == ((10, 8, 1), (3, 3, 1), (6, 7, 1))
    assert (geometry.strides, geometry.dilations) == ((2, 1, 1), (1, 2, 1))
    assert (geometry.pads_begin, geometry.pads_end) == ((1, 0, 0), (2, 3, 0))
    assert spec.weight.shape == (6, 2, 3, 3, 1) and not spec.bias.any()
    assert (spec.activation, spec.quantizer) == (Activation(), None)


def test_the_factors_of_a_gemm_go_into_weight_and_bias() -> None:
    spec = only(
        "(float[5,3] x) => (float[5,2] y)",
        "y = Gemm <transB=1, alpha=0.5, beta=3.0> (x, w, b)",
        w=[[1, 2, 3], [4, 5, 6]],
        b=[7],
    )
    assert isinstance(spec, FcSpec)
    assert (spec.rows, spec.inputs, spec.outputs) == (5, 3, 2)
    np.testing.assert_array_equal(spec.weight, [[0.5, 2], [1, 2.5], [1.5, 3]])
    np.testing.assert_array_equal(spec.bias, [21, 21])


@pytest.mark.parametrize(("shape", "rows"), [([4], 1), ([1, 4], 1), ([2, 3, 4], 6)])
def test_a_matmul_has_a_row_for_every_leading_index(shape: list[int], rows: int) -> None:
    out = [*shape[:-1], 2]
    spec = only(f"(float{shape} x) => (float{out} y)", "y = MatMul (x, w)", w=np.ones((4, 2), np.float32))
    assert isinstance(spec, FcSpec)
    assert (spec.rows, spec.inputs, spec.outputs) == (rows, 4, 2)


@pytest.mark.parametrize(
    ("body", "layers"),
    [
        ("z = MatMul (x, w) y = Relu (z)", 1),
        ("z = MatMul (x, w) y = LeakyRelu <alpha=0.25> (z)", 1),
        ("z = MatMul (x, w) y = Clip (z, zero, six)", 1),
        ("z = MatMul (x, w) y = Clip (z, six, six)", 2),
        ("z = MatMul (x, w) y = Sigmoid (z)", 2),
        ("z = MatMul (x, w) r = Relu (z) y = Add (r, z)", 3),
        ("z = MatMul (x, w) r = Relu (z) s = Relu (r) y = Neg (s)", 3),
    ],
)
def test_a_ramp_is_fused_into_the_dense_layer_that_it_alone_reads(body: str, layers: int) -> None:
    weight = np.ones((4, 2), np.float32)
    graph = read("(float[1,4] x) => (float[1,2] y)", body, w=weight, zero=np.float32(0), six=np.float32(6))
    assert len(graph.layers) == layers
    assert graph.layers[-1].outputs == (Tensor("y", (1, 2), "float32"),)


def test_a_linear_output_that_is_an_output_is_not_fused() -> None:
    graph = read(
        "(float[1,4] x) => (float[1,2] y, float[1,2] z)",
        "z = MatMul (x, w) y = Relu (z)",
        w=np.ones((4, 2), np.float32),
    )
    assert [layer.op for layer in graph.layers] == ["MatMul", "Relu"]


# ------------------------------------------------------------------------------------------------ all other operators


@pytest.mark.parametrize(
    ("body", "pooling", "kernel", "pads", "out"),
    [
        ("MaxPool <kernel_shape=[2,3], pads=[1,0,0,2]>", Pooling.MAX, (2, 3, 1), (1, 0, 0), (5, 6, 1)),
        ("AveragePool <kernel_shape=[2,2], strides=[2,2]>", Pooling.AVERAGE, (2, 2, 1), (0, 0, 0), (2, 3, 1)),
        (
            "AveragePool <kernel_shape=[2,2], strides=[2,2], ceil_mode=1>",
            Pooling.AVERAGE,
            (2, 2, 1),
            (0, 0, 0),
            (3, 3, 1),
        ),
        (
            "AveragePool <kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1>",
            Pooling.AVERAGE_PADDED,
            (3, 3, 1),
            (1, 1, 0),
            (5, 6, 1),
        ),
    ],
)
def test_a_pool_is_the_geometry_of_its_window(
    body: str, pooling: Pooling, kernel: tuple[int, ...], pads: tuple[int, ...], out: tuple[int, ...]
) -> None:
    spec = only(f"(float[1,2,5,6] x) => (float[1,2,{out[0]},{out[1]}] y)", f"y = {body} (x)")
    assert isinstance(spec, PoolSpec)
    assert (spec.pooling, spec.geometry.kernel, spec.geometry.pads_begin, spec.out_shape) == (
        pooling,
        kernel,
        pads,
        out,
    )


# ---------------------------------------------------------------------------------------------------------------- host


def host(signature: str, body: str, **constants: Any) -> tuple[HostSpec, tuple[Tensor, ...], tuple[Tensor, ...]]:
    [layer] = read(signature, body, **constants).layers
    assert isinstance(layer.spec, HostSpec)
    return layer.spec, layer.inputs, layer.outputs


def test_a_node_for_the_host_is_a_model_with_its_constants_inside(evaluate: Evaluate) -> None:
    spec, inputs, outputs = host(
        "(float[2,3] x) => (float[2,1] y, int64[2,1] i)", "y, i = TopK <axis=1> (x, k)", k=np.array([1])
    )
    assert inputs == (Tensor("x", (2, 3), "float32"),)
    assert outputs == (Tensor("y", (2, 1), "float32"), Tensor("i", (2, 1), "int64"))
    assert (spec.macs, spec.operations) == (0, 4)
    result = evaluate(onnx.load_from_string(spec.model), {"x": np.array([[1, 5, 2], [7, 0, 3]], np.float32)})
    assert (result["y"].tolist(), result["i"].tolist()) == ([[5], [7]], [[1], [0]])


@pytest.mark.parametrize(
    ("signature", "body", "macs"),
    [
        ("(double[2,3,4] x, double[2,4,5] w) => (double[2,3,5] y)", "y = MatMul (x, w)", 2 * 3 * 5 * 4),
        ("(double[4,3] x, double[4,5] w) => (double[3,5] y)", "y = Gemm <transA=1> (x, w)", 3 * 5 * 4),
        ("(float[2,3,8] x, float[4,3,3] w) => (float[2,4,6] y)", "y = Conv (x, w)", 2 * 4 * 6 * 3 * 3),
        ("(float[1,3,8] x, float[3,4,3] w) => (float[1,4,10] y)", "y = ConvTranspose (x, w)", 3 * 8 * 4 * 3),
        (
            "(float[7,1,3] x, float[1,20,3] w, float[1,20,5] r) => (float[7,1,1,5] y)",
            "y = LSTM <hidden_size=5> (x, w, r)",
            7 * (20 * 3 + 20 * 5),
        ),
        ("(float[3,3] x) => (float[] y)", "y = Det (x)", 0),
    ],
)
def test_the_work_of_the_host_is_counted(signature: str, body: str, macs: int) -> None:
    spec, *_ = host(signature, body)
    assert spec.macs == macs
    assert (spec.operations == 0) == (macs > 0)


def test_operands_that_subgraphs_take_from_outside_are_operands() -> None:
    """At any depth; what the subgraph makes itself is none, and constants come along."""
    body = """
        y = Loop <body = b (int64 i, bool go, float[4] s) => (bool on, float[4] t) {
            on = Identity (go)
            t = If <then_branch = u () => (float[4] a) { p = Add (h, s) a = Add (p, w) },
                    else_branch = v () => (float[4] n) { n = Neg (k) }> (go)
        }> (count, , x)
    """
    spec, inputs, _ = host(
        "(float[4] x, float[4] h, float[4] k, int64 count) => (float[4] y)", body, w=np.ones(4, np.float32)
    )
    assert {tensor.name for tensor in inputs} == {"x", "h", "k", "count"}
    assert [value.name for value in onnx.load_from_string(spec.model).graph.initializer] == ["w"]
    onnx.checker.check_model(onnx.load_from_string(spec.model), full_check=True)


# ------------------------------------------------------------------------------------------------------------- graphs


def test_outputs_that_are_constants_stand_apart() -> None:
    graph = read(
        "(float[2] x) => (float[2] a, float[2] c, float[2] b)", "a = Relu (x) b = Neg (x)", c=np.ones(2, np.float32)
    )
    assert [tensor.name for tensor in graph.outputs] == ["a", "b"]
    assert list(graph.constants) == ["c"]
    assert graph.output_names == ("a", "c", "b")


def test_what_has_no_known_size_stays_on_the_host() -> None:
    graph = read("(float[N,3] x, float[2] z) => (float[N,3] y, float[2] a)", "y = Relu (x) a = Relu (z)")
    hosts = [layer for layer in graph.layers if isinstance(layer.spec, HostSpec)]
    assert [(layer.op, layer.inputs[0].on_host, layer.outputs[0].on_host) for layer in hosts] == [("Relu", True, True)]
    assert [tensor.on_host for tensor in graph.inputs] == [True, False]
