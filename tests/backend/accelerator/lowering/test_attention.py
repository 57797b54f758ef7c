"""Products, softmax and normalization that follow each other: an attention layer, staged and resident, in both codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.accounting import check_accounts, check_code
from reuse_compiler.backend.accelerator.cost import CostModel
from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.hazards import races
from reuse_compiler.backend.accelerator.interpreter import Interpreter
from reuse_compiler.backend.accelerator.isa import Event
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.backend.accelerator.program import Program, Tiling
from reuse_compiler.passes.infer_shapes import InferShapes
from tests.backend.accelerator.lowering.one_node import outputs_of

HEADS, STEPS, WIDTH = 3, 10, 8

# Two batches; the scores of what lies ahead are minus infinity. The scores are also multiplied with themselves.
TEXT = f"""<ir_version: 8, opset_import: ["": 18]>
    attention (float[2, {STEPS}, {HEADS * WIDTH}] x) => (float[2, {STEPS}, {HEADS * WIDTH}] y, float[2, {HEADS}, {WIDTH}, {WIDTH}] g)
    <int64[4] split = {{2, {STEPS}, {HEADS}, {WIDTH}}}, int64[3] joined = {{2, {STEPS}, {HEADS * WIDTH}}},
     float scale = {{0.35}}> {{
        [reshape] h = Reshape (x, split)
        [queries] q = Transpose <perm = [0, 2, 1, 3]> (h)
        [keys] k = Transpose <perm = [0, 2, 3, 1]> (h)
        [scores] s = MatMul (q, k)
        [scale] t = Mul (s, scale)
        [mask] m = Add (t, ahead)
        [softmax] p = Softmax <axis = -1> (m)
        [values] v = MatMul (p, q)
        [merge] o = Transpose <perm = [0, 2, 1, 3]> (v)
        [join] c = Reshape (o, joined)
        [residual] r = Add (c, x)
        [norm] y = LayerNormalization (r, gain, shift)
        [gram] g = MatMul (k, q)
    }}"""

MACS = {
    "scores": 2 * HEADS * STEPS * STEPS * WIDTH,
    "values": 2 * HEADS * STEPS * STEPS * WIDTH,
    "gram": 2 * HEADS * WIDTH * WIDTH * STEPS,
}


@pytest.fixture(scope="module")
def attention() -> onnx.ModelProto:
    proto = onnx.parser.parse_model(TEXT)
    generator = np.random.default_rng(0)
    ahead = np.triu(np.full((STEPS, STEPS), -np.inf, np.float32), 1)
    gain, shift = generator.standard_normal((2, HEADS * WIDTH)).astype(np.float32)
    for name, value in (("ahead", ahead), ("gain", gain), ("shift", shift)):
        proto.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    return proto


def lowered(proto: onnx.ModelProto, tiling: Tiling) -> Program:
    model = ir.from_proto(proto)
    InferShapes()(model)
    return lower(model, tiling, "")


@pytest.mark.parametrize("buffer", [1200, 4096, 1 << 20])
def test_an_attention_layer(attention: onnx.ModelProto, buffer: int, hardware: Hardware) -> None:
    program = lowered(attention, Tiling("tiny", 4, 64, 1 << 16, buffer, buffer))
    assert {info.backend for info in program.layers} == {"dense"}
    x: NDArray[Any] = np.random.default_rng(1).standard_normal((2, STEPS, HEADS * WIDTH)).astype(np.float32)
    expected = outputs_of(attention, {"x": x})
    for code in (program.reuse, program.baseline):
        assert races(code) == []
        check_code(program, code, hardware)
        interpreter = Interpreter(program, code)
        interpreter.run({"x": x[::-1]})
        found = interpreter.run({"x": x})
        for value, other in zip(found.values(), expected, strict=True):
            # Sums of some ten products, in another order, then the roundings of exp and of a normalization to about 1.
            np.testing.assert_allclose(value, other, rtol=0, atol=5e-6 * float(np.abs(other).max()))


def test_each_node_has_a_row_and_products_their_macs(attention: onnx.ModelProto, hardware: Hardware) -> None:
    program = lowered(attention, hardware.tiling)
    rows = [info.name for info in program.layers]
    assert len(rows) == len(set(rows))
    assert set(rows) <= {node.name for node in attention.graph.node}
    assert {"softmax", "norm", *MACS} <= set(rows)
    assert {info.name: info.macs for info in program.layers if info.macs} == MACS
    costs = CostModel(program, hardware)
    costs.add(np.zeros((3, 0), np.int64))
    total = costs.costs()
    check_accounts(program, total, hardware)
    counted = {name: events.get(Event.MACS, 0) for name, events in zip(rows, total.baseline.events, strict=True)}
    assert {name: count for name, count in counted.items() if count} == {name: 3 * macs for name, macs in MACS.items()}
    assert total.reuse.events == total.baseline.events
