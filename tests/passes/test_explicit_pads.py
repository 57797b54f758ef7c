from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import numpy_helper, parser

from reuse_compiler.passes.explicit_pads import ExplicitPads
from reuse_compiler.passes.infer_shapes import InferShapes
from reuse_compiler.runtime_errors import RUNTIME_ERRORS

Evaluate = Callable[..., dict[str, NDArray[Any]]]


@settings(max_examples=80, deadline=None)
@given(
    op=st.sampled_from(["Conv", "MaxPool", "AveragePool", "LpPool"]),
    mode=st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"]),
    size=st.lists(st.integers(5, 9), min_size=1, max_size=3),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 4),
    count_include_pad=st.booleans(),
)
def test_values_stay(
    op: str, mode: str, size: list[int], kernel: int, stride: int, count_include_pad: bool, evaluate: Evaluate
) -> None:
    attributes = f'auto_pad="{mode}", kernel_shape={[kernel] * len(size)}, strides={[stride] * len(size)}'
    if op == "AveragePool":
        attributes += f", count_include_pad={int(count_include_pad)}"
    arguments = "x, w" if op == "Conv" else "x"
    text = f'<ir_version: 8, opset_import: ["" : 18]> g (float{[1, 2, *size]} x) => (float[] y) {{ y = {op}<{attributes}>({arguments}) }}'
    proto = parser.parse_model(text)
    generator = np.random.default_rng(0)
    if op == "Conv":
        weight = generator.standard_normal((3, 2, *[kernel] * len(size))).astype(np.float32)
        proto.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    model = ir.from_proto(proto)
    InferShapes()(model)
    changed = ExplicitPads()(model).modified
    assert changed == ("auto_pad" not in model.graph[0].attributes)
    assert changed or (mode.startswith("SAME") and stride > kernel + 1)
    feeds = {"x": generator.standard_normal((1, 2, *size)).astype(np.float32)}
    after = evaluate(ir.to_proto(model), feeds)["y"] if changed else None
    try:
        before = evaluate(proto, feeds)["y"]
    except RUNTIME_ERRORS:  # it cannot pool with SAME and a stride above the kernel
        assert op != "Conv" and stride > kernel
        return
    if after is not None:
        np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-6)


@settings(max_examples=150)
@given(
    op=st.sampled_from(["MaxPool", "AveragePool", "LpPool"]),
    size=st.lists(st.integers(3, 8), min_size=1, max_size=2),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 4),
    dilation=st.integers(1, 2),
    begin=st.integers(0, 3),
    end=st.integers(0, 3),
)
def test_ceil_mode_becomes_padding_at_the_end(
    op: str, size: list[int], kernel: int, stride: int, dilation: int, begin: int, end: int, evaluate: Evaluate
) -> None:
    """Values stay, and shape inference then gives the shape that onnxruntime computes."""
    dilation = 1 if op == "AveragePool" else dilation
    assume(max(begin, end) < kernel and min(size) + begin + end >= (kernel - 1) * dilation + 1)
    rank = len(size)
    attributes = f"kernel_shape={[kernel] * rank}, strides={[stride] * rank}, pads={[begin] * rank + [end] * rank}"
    attributes += f", dilations={[dilation] * rank}" if dilation > 1 else ""
    text = f'<ir_version: 8, opset_import: ["" : 18]> g (float{[1, 2, *size]} x) => (float[] y) {{ y = {op}<{attributes}, ceil_mode=1>(x) }}'
    proto = parser.parse_model(text)
    feeds = {"x": np.random.default_rng(0).standard_normal((1, 2, *size)).astype(np.float32)}
    before = evaluate(proto, feeds)["y"]
    model = ir.from_proto(proto)
    InferShapes()(model)
    changed = ExplicitPads()(model).modified
    assert changed == ("ceil_mode" not in model.graph[0].attributes)
    assert changed or dilation > 1
    if changed:
        InferShapes()(model)
        assert model.graph.outputs[0].shape == before.shape
        np.testing.assert_allclose(evaluate(ir.to_proto(model), feeds)["y"], before, rtol=1e-6)


def test_ceil_mode_stays_where_padding_is_counted() -> None:
    text = """<ir_version: 8, opset_import: ["" : 18]> g (float[1,2,8] x) => (float[] y)
        { y = AveragePool<kernel_shape=[3], strides=[2], ceil_mode=1, count_include_pad=1>(x) }"""
    model = ir.from_proto(parser.parse_model(text))
    InferShapes()(model)
    assert not ExplicitPads()(model).modified


def test_dilation_widens_the_kernel() -> None:
    text = """<ir_version: 8, opset_import: ["" : 18]> g (float[1,2,8] x) => (float[] y)
        { y = Conv<auto_pad="SAME_LOWER", dilations=[3]>(x, w) }"""
    proto = parser.parse_model(text)
    proto.graph.initializer.append(numpy_helper.from_array(np.ones((1, 2, 2), np.float32), "w"))
    model = ir.from_proto(proto)
    InferShapes()(model)
    ExplicitPads()(model)
    assert model.graph[0].attributes.get_ints("pads") == (2, 1)


@pytest.mark.parametrize(
    ("signature", "attributes"),
    [
        ("float[1,2,8] x", 'auto_pad="SAME_UPPER", kernel_shape=[2], ceil_mode=1'),
        ("float[1,2,8] x", 'auto_pad="SAME_UPPER", kernel_shape=[2], dilations=[2]'),
        ("float[1,2,W] x", 'auto_pad="SAME_UPPER", kernel_shape=[2]'),
        ("float[1,2,8] x", "kernel_shape=[2], pads=[1, 0]"),
    ],
)
def test_where_pads_are_not_known_or_explicit_the_node_stays(signature: str, attributes: str) -> None:
    text = f'<ir_version: 8, opset_import: ["" : 18]> g ({signature}) => (float[] y) {{ y = MaxPool<{attributes}>(x) }}'
    model = ir.from_proto(parser.parse_model(text))
    InferShapes()(model)
    assert not ExplicitPads()(model).modified


@settings(max_examples=200)
@given(
    mode=st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"]),
    size=st.lists(st.integers(1, 5), min_size=1, max_size=2),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 4),
    dilation=st.integers(1, 2),
    output_padding=st.integers(0, 2),
    more=st.none() | st.integers(-3, 3),
    pads=st.integers(0, 2),
)
def test_a_transposed_convolution_keeps_its_values(
    mode: str,
    size: list[int],
    kernel: int,
    stride: int,
    dilation: int,
    output_padding: int,
    more: int | None,
    pads: int,
    evaluate: Evaluate,
) -> None:
    rank = len(size)
    assume(output_padding < stride)
    natural = [(n - 1) * stride + (kernel - 1) * dilation + 1 + output_padding for n in size]
    assume(min(natural) - 2 * pads > 0 and min(natural) + (more or 0) > 0)
    attributes = f'auto_pad="{mode}", strides={[stride] * rank}, dilations={[dilation] * rank}'
    attributes += f", output_padding={[output_padding] * rank}"
    if more is not None:
        attributes += f", output_shape={[n + more for n in natural]}"
    elif mode == "NOTSET":
        attributes += f", pads={[pads] * rank + [0] * rank}"
    text = f"""<ir_version: 8, opset_import: ["" : 18]> g (float{[1, 2, *size]} x) => (float[] y)
        {{ y = ConvTranspose<{attributes}>(x, w) }}"""
    proto = parser.parse_model(text)
    generator = np.random.default_rng(0)
    weight = generator.standard_normal((2, 3, *[kernel] * rank)).astype(np.float32)
    proto.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    model = ir.from_proto(proto)
    InferShapes()(model)
    changed = ExplicitPads()(model).modified
    feeds = {"x": generator.standard_normal((1, 2, *size)).astype(np.float32)}
    try:
        before = evaluate(proto, feeds)["y"]
    except RUNTIME_ERRORS:  # output_padding would reach a stride
        assert not changed
        return
    assert changed and not {"auto_pad", "output_shape"} & set(model.graph[0].attributes)
    assert not ExplicitPads()(model).modified
    after = ir.to_proto(model)
    np.testing.assert_allclose(evaluate(after, feeds)["y"], before, rtol=1e-5, atol=1e-5)
    InferShapes()(model)
    assert model.graph.outputs[0].shape == before.shape
