"""Recurrent layers from model to values, on both machines: against onnxruntime, and against a reference with reuse."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnxruntime
import pytest

from reuse_compiler.backend.accelerator.accounting import check_accounts, check_code
from reuse_compiler.backend.accelerator.cost import CostModel
from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.hazards import races
from reuse_compiler.backend.accelerator.interpreter import Interpreter
from reuse_compiler.backend.accelerator.isa import DeltaFc, DenseFc, Fill, Instruction, Load, Space, Store
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.backend.accelerator.program import Program, Tiling
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import QuantizerSpec
from tests.backend.accelerator.lowering.recurrence import Recurrence, directions, outputs, plan_of

QUANTIZER = QuantizerSpec(step=0.125, zero=20, clusters=41, deadband=0.0)

KINDS: list[tuple[str, dict[str, Any]]] = [
    ("LSTM", {}),
    ("LSTM", {"peephole": True, "attributes": {"clip": 0.4}}),
    ("LSTM", {"attributes": {"clip": 0.5, "input_forget": 1}}),
    ("LSTM", {"peephole": True, "attributes": {"input_forget": 1}}),
    ("GRU", {}),
    ("GRU", {"attributes": {"linear_before_reset": 1}}),
    ("GRU", {"attributes": {"linear_before_reset": 1, "clip": 0.3}}),
    ("GRU", {"attributes": {"clip": 0.3}}),
    ("RNN", {}),
    ("RNN", {"attributes": {"clip": 0.3}}),
]
SEQUENCES: list[dict[str, Any]] = [
    {},
    {"initial": "inputs", "rows": 1},
    {"lengths": (5, 2, 3), "rows": 3, "initial": "constants"},
]
LAYERS = [
    Recurrence(op, direction, **kind, **sequence)
    for op, kind in KINDS
    for direction in ("forward", "reverse", "bidirectional")
    for sequence in SEQUENCES
]


def named(layer: object) -> str:
    if not isinstance(layer, Recurrence):
        return ""
    extras = [layer.initial, "peephole" if layer.peephole else "", "ragged" if layer.lengths else ""]
    return "-".join(filter(None, [layer.op, layer.direction, *layer.attributes, *extras]))


def compiled(layer: Recurrence, tiling: Tiling, quantizer: QuantizerSpec | None) -> Program:
    """With reuse at every site, or nowhere."""
    model = layer.model()
    return lower(
        model.ir if quantizer is None else rewrite(model, plan_of(model, quantizer)), tiling, model.sha256
    )


def frame_of(program: Program, *kinds: type[Instruction]) -> list[Any]:
    return [instruction for instruction in program.reuse.sections.frame if isinstance(instruction, kinds)]


@pytest.mark.parametrize("layer", LAYERS, ids=named)
def test_without_reuse_it_is_what_onnxruntime_computes(layer: Recurrence, hardware: Hardware) -> None:
    session = onnxruntime.InferenceSession(layer.proto().SerializeToString(), providers=["CPUExecutionProvider"])
    program = compiled(layer, hardware.tiling, None)
    assert not [info.name for info in program.layers if info.backend == "host"]
    for code in (program.reuse, program.baseline):
        assert races(code) == []
        check_code(program, code, hardware)
        interpreter = Interpreter(program, code)
        for inputs in layer.frames(2):
            expected = session.run(None, inputs)
            for name, values in zip(interpreter.run(inputs).values(), expected, strict=True):
                np.testing.assert_allclose(name, values, atol=2e-6, rtol=2e-6)


def check_reuse(layer: Recurrence, program: Program, quantizer: QuantizerSpec, hardware: Hardware | None = None) -> None:
    """Three frames, a new sequence, and a frame more: every index, linear output, output and count."""
    interpreter = Interpreter(program)
    reference = directions(layer, quantizer.build())
    costs = None if hardware is None else CostModel(program, hardware)
    changed = {info.name: 0 for info in program.layers}
    for number, inputs in enumerate(layer.frames(4)):
        if number == 3:
            interpreter.reset()
            for direction in reference.values():
                direction.start()
        found = interpreter.run(inputs)
        ran = {name: direction.run(inputs) for name, direction in reference.items()}
        for name, one in ran.items():
            for site, indices in one.indices.items():
                np.testing.assert_array_equal(interpreter.indices[f"{name}.{site}"], indices, f"{name}.{site}")
                np.testing.assert_allclose(interpreter.linear[f"{name}.{site}"], one.state[site], atol=1e-5)
                changed[f"{name}.{site}"] += one.changed[site]
        for output, values in outputs(layer, ran):
            np.testing.assert_allclose(found[output], values, atol=1e-5)
        if costs is not None:
            costs.add(interpreter.counts[None])
    if costs is not None and hardware is not None:
        total = costs.costs()
        check_accounts(program, total, hardware)
        for info, done in zip(program.layers, total.layers, strict=True):
            assert done.changed == changed[info.name]


@pytest.mark.parametrize("layer", LAYERS, ids=named)
def test_with_reuse_every_step_compares_with_the_one_before(layer: Recurrence, hardware: Hardware) -> None:
    program = compiled(layer, hardware.tiling, QUANTIZER)
    for code in (program.reuse, program.baseline):
        assert races(code) == []
        check_code(program, code, hardware)
    check_reuse(layer, program, QUANTIZER, hardware)


@pytest.mark.parametrize(
    ("op", "activations", "alpha", "beta"),
    [
        ("LSTM", ["HardSigmoid", "Softsign", "ScaledTanh"], [0.3, 0.0, 1.5], [0.4, 0.0, 0.5]),
        ("LSTM", ["Sigmoid", "Affine", "Elu"], [0.0, 0.5, 0.7], [0.0, 0.25, 0.0]),
        ("GRU", ["HardSigmoid", "LeakyRelu"], [0.25, 0.1], [0.5, 0.0]),
        ("GRU", ["Sigmoid", "ThresholdedRelu"], [0.0, 0.3], [0.0, 0.0]),
        ("RNN", ["Softplus"], [0.0], [0.0]),
        ("RNN", ["Relu"], [0.0], [0.0]),
    ],
)
def test_activations(
    op: str, activations: list[str], alpha: list[float], beta: list[float], hardware: Hardware
) -> None:
    # onnxruntime and the frontend take a list with the parameters of those activations alone that have some.
    takes_alpha = {"HardSigmoid", "ScaledTanh", "Affine", "Elu", "LeakyRelu", "ThresholdedRelu"}
    takes_beta = {"HardSigmoid", "ScaledTanh", "Affine"}
    given = {
        "activation_alpha": [a for name, a in zip(activations, alpha, strict=True) if name in takes_alpha],
        "activation_beta": [b for name, b in zip(activations, beta, strict=True) if name in takes_beta],
    }
    named_ones = {name: values for name, values in given.items() if values}
    node = Recurrence(op, scale=0.3, attributes={"activations": activations, **named_ones})
    program = compiled(node, hardware.tiling, QUANTIZER)
    expected = Recurrence(
        op,
        scale=0.3,
        attributes={"activations": activations, "activation_alpha": alpha, "activation_beta": beta},
    )

    class Node(Recurrence):
        """The node as it is in the file; the reference reads a value for every activation."""

    interpreter, reference = Interpreter(program), directions(expected, QUANTIZER.build())["n"]
    for inputs in node.frames(2):
        found, ran = interpreter.run(inputs), reference.run(inputs)
        np.testing.assert_allclose(found["Y"][:, 0], ran.y, atol=1e-5)
        for site, indices in ran.indices.items():
            np.testing.assert_array_equal(interpreter.indices[f"n.{site}"], indices)
