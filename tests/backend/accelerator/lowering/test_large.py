"""Tensors of which a row does not fit the I/O buffer of the default accelerator: large pictures."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from reuse_compiler import frontend
from reuse_compiler.backend.accelerator.accounting import check_code
from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.hazards import races
from reuse_compiler.backend.accelerator.interpreter import Interpreter
from reuse_compiler.backend.accelerator.isa import Quantize
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.backend.accelerator.program import Program
from reuse_compiler.frontend import Model
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan
from reuse_compiler.session import Session
from reuse_compiler.sites import find_sites

Arrays = dict[str, NDArray[Any]]
Evaluate = Callable[[onnx.ModelProto, Mapping[str, NDArray[Any]]], Arrays]
SIDE = 640  # a channel has 1.6 MB, the buffer 1.25 MB


def compiled(
    text: str, constants: Mapping[str, NDArray[np.float32]], hardware: Hardware
) -> tuple[Model, Plan, Program]:
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]> net {text}')
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in constants.items())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(proto, path)
        model = frontend.load(path)
    quantizer = QuantizerSpec(step=0.25, zero=16, clusters=32)
    sites = [
        SitePlan(node=s.node, input=s.input, op=s.op, mode="reuse", quantizer=quantizer) for s in find_sites(model)
    ]
    plan = Plan(model=ModelRef(path="model.onnx", sha256=model.sha256), sites=sites)
    program = lower(rewrite(model, plan), hardware.tiling, model.sha256)
    for code in (program.reuse, program.baseline):
        assert races(code) == []
        check_code(program, code, hardware)
    return model, plan, program


def picture(channels: int, seed: int = 0) -> NDArray[np.float32]:
    values = np.random.default_rng(seed).integers(-8, 9, (1, channels, SIDE, SIDE)) / 4
    return values.astype(np.float32)


@pytest.mark.parametrize(
    ("text", "constants", "channels"),
    [
        (f"(float[1,3,{SIDE},{SIDE}] x) => (float[1,3,{SIDE},{SIDE}] y) {{ y = Sub (x, mean) }}", {"mean": (3, 1, 1)}, [3]),
        (f"(float[1,2,{SIDE},{SIDE}] x) => (float[1,2,{SIDE},{SIDE}] y) {{ y = Mul (x, row) }}", {"row": (1, SIDE)}, [2]),
        (f"(float[1,2,{SIDE},{SIDE}] x, float[1,1,{SIDE},{SIDE}] z) => (float[1,2,{SIDE},{SIDE}] y) {{ y = Add (x, z) }}", {}, [2, 1]),
        (f"(float[1,2,{SIDE},{SIDE}] x, float[1,2,{SIDE},{SIDE}] z) => (float[1,2,{2 * SIDE},{SIDE}] y) {{ y = Concat <axis = 2> (x, z) }}", {}, [2, 2]),
    ],
    ids=["Sub per channel", "Mul per column", "Add of one channel", "Concat of rows"],
)  # fmt: skip
def test_functions_of_large_pictures(
    text: str, constants: Mapping[str, tuple[int, ...]], channels: list[int], hardware: Hardware, evaluate: Evaluate
) -> None:
    arrays = {
        name: np.random.default_rng(1).standard_normal(shape).astype(np.float32) for name, shape in constants.items()
    }
    model, _, program = compiled(text, arrays, hardware)
    feeds = {name: picture(count) for name, count in zip(("x", "z"), channels, strict=False)}
    outputs = Interpreter(program).run(feeds)
    np.testing.assert_array_equal(outputs["y"], evaluate(model.proto(), feeds)["y"])


def test_a_large_picture_that_two_layers_read_is_quantized_in_parts(hardware: Hardware) -> None:
    weights = {
        name: ((np.arange(count * 3).reshape(count, 3, 1, 1) - 2) / 4).astype(np.float32)
        for name, count in (("V", 2), ("W", 1))
    }
    text = f"(float[1,3,{SIDE},{SIDE}] x) => (float[1,2,{SIDE},{SIDE}] y, float[1,1,{SIDE},{SIDE}] z) {{ y = Conv (x, V) z = Conv (x, W) }}"
    model, plan, program = compiled(text, weights, hardware)
    parts = [instruction for instruction in program.reuse.sections.frame if isinstance(instruction, Quantize)]
    assert len(parts) > 3 and {part.channel for part in parts} == {0, 1, 2}
    assert sum(part.outer * part.channels * part.inner for part in parts) == 3 * SIDE * SIDE
    interpreter, session = Interpreter(program), Session(rewrite(model, plan), threads=1)
    for seed in (0, 1):
        frame = {"x": picture(3, seed)}
        outputs, expected = interpreter.run(frame), session.run(frame)
        for name, values in expected.items():
            np.testing.assert_array_equal(outputs[name], values)


def test_a_layer_that_is_fully_connected_to_a_large_picture(hardware: Hardware, evaluate: Evaluate) -> None:
    """Of its 409,600 inputs no half of the buffer holds all, with their indices."""
    weight = (np.random.default_rng(2).integers(-2, 3, (SIDE * SIDE, 3)) / 4).astype(np.float32)
    text = f"(float[1,1,{SIDE},{SIDE}] x) => (float[1,3] y) {{ f = Flatten (x) y = MatMul (f, W) }}"
    model, _, program = compiled(text, {"W": weight}, hardware)
    interpreter, baseline = Interpreter(program), Interpreter(program, program.baseline)
    for seed in (0, 1):
        frame = {"x": picture(1, seed)}
        expected = evaluate(model.proto(), frame)["y"]
        np.testing.assert_array_equal(interpreter.run(frame)["y"], expected)
        np.testing.assert_array_equal(baseline.run(frame)["y"], expected)
