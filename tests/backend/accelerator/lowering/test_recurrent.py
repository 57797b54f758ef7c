"""Recurrent layers from model to values, on both machines: against onnxruntime, and against a reference with reuse."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from reuse_compiler import frontend
from reuse_compiler.backend.accelerator import program_file
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
    ("GRU", {"attributes": {"clip": 0.3}}),
    ("GRU", {"attributes": {"linear_before_reset": 1}}),
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
    for sequence in (SEQUENCES[:1] if direction == "bidirectional" else SEQUENCES)
]


def named(layer: object) -> str:
    if not isinstance(layer, Recurrence):
        return ""
    extras = [layer.initial, "peephole" if layer.peephole else "", "ragged" if layer.lengths else ""]
    return "-".join(filter(None, [layer.op, layer.direction, *layer.attributes, *extras]))


def compiled(layer: Recurrence, tiling: Tiling, quantizer: QuantizerSpec | None) -> Program:
    """With reuse at every site, or nowhere."""
    model = layer.model()
    return lower(model.ir if quantizer is None else rewrite(model, plan_of(model, quantizer)), tiling, model.sha256)


def _loaded(proto: onnx.ModelProto) -> ir.Model:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(proto, path)
        return frontend.load(path).ir


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


def check_reuse(
    layer: Recurrence, program: Program, quantizer: QuantizerSpec, hardware: Hardware | None = None
) -> None:
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
                np.testing.assert_allclose(interpreter.linear[f"{name}.{site}"], one.linear[site], atol=1e-5)
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
    # The reference reads a value for every activation.
    expected = Recurrence(
        op,
        scale=0.3,
        attributes={"activations": activations, "activation_alpha": alpha, "activation_beta": beta},
    )

    interpreter, reference = Interpreter(program), directions(expected, QUANTIZER.build())["n"]
    for inputs in node.frames(2):
        found, ran = interpreter.run(inputs), reference.run(inputs)
        np.testing.assert_allclose(found["Y"][:, 0], ran.y, atol=1e-5)
        for site, indices in ran.indices.items():
            np.testing.assert_array_equal(interpreter.indices[f"n.{site}"], indices)


RAGGED = Recurrence("LSTM", steps=6, rows=5, inputs=9, hidden=8, lengths=(6, 6, 4, 6, 2), initial="constants")


@pytest.mark.parametrize(
    ("tiling", "rows", "inputs", "outputs", "transfers"),
    [
        # X and Y pass through the staging region, row by row of X as wide as the rows that are still at work.
        (Tiling("all rows", 4, 4096, 1 << 20, 4096, 4096), {1, 2, 4, 5}, {8, 9}, {32}, 0),
        (Tiling("two rows at once", 4, 4096, 1 << 20, 2048, 2048), {1, 2}, {8, 9}, {32}, 0),
        (Tiling("one row at once", 4, 4096, 1 << 20, 1600, 1600), {1}, {8, 9}, {32}, 0),
        (Tiling("parts of the outputs", 4, 8, 1 << 20, 1 << 16, 1 << 16), {1}, {8, 9}, {8}, 0),
        # W of x does not stay: five tiles of two inputs or fewer in each of eight runs of rows.
        (Tiling("streamed", 4, 4096, 2560, 1 << 16, 1 << 16), {1, 2, 4, 5}, {1, 2, 8}, {32}, 40),
        (Tiling("everything at once", 4, 16, 1400, 1600, 1600), {1}, {2, 3}, {16}, 288),
    ],
    ids=lambda value: value.hardware if isinstance(value, Tiling) else "",
)
def test_small_memories(
    tiling: Tiling, rows: set[int], inputs: set[int], outputs: set[int], transfers: int, hardware: Hardware
) -> None:
    program = compiled(RAGGED, tiling, QUANTIZER)
    tiles = frame_of(program, DeltaFc)
    assert {tile.rows for tile in tiles} == rows
    assert {tile.inputs for tile in tiles} == inputs
    assert {tile.outputs for tile in tiles} == outputs
    assert sum(load.space is Space.EDRAM for load in frame_of(program, Load)) == transfers
    for code in (program.reuse, program.baseline):
        assert races(code) == []
        check_code(program, code, hardware)
    check_reuse(RAGGED, program, QUANTIZER)
    baseline = Interpreter(program, program.baseline)
    session = onnxruntime.InferenceSession(RAGGED.proto().SerializeToString(), providers=["CPUExecutionProvider"])
    for frame in RAGGED.frames(2):
        for found, expected in zip(baseline.run(frame).values(), session.run(None, frame), strict=True):
            np.testing.assert_allclose(found, expected, atol=2e-6)


def test_weights_that_do_not_stay_are_loaded_once_a_frame_where_the_halves_hold_a_layer() -> None:
    """Two directions of 2,176 bytes of weights each, and 3,200 bytes of eDRAM, of which 512 hold biases."""
    layer = Recurrence("LSTM", "bidirectional", steps=6, rows=2, inputs=9, hidden=8)
    program = compiled(layer, Tiling("two halves", 4, 4096, 3200, 1 << 16, 1 << 16), QUANTIZER)
    loads = [load for load in frame_of(program, Load) if load.space is Space.EDRAM]
    assert [load.run_bytes for load in loads] == [1152, 1024, 1152, 1024]
    names = [program.layers[load.layer].name for load in loads]
    assert names == ["n.forward.x", "n.forward.h", "n.reverse.x", "n.reverse.h"]
    assert races(program.reuse) == []
    check_reuse(layer, program, QUANTIZER)


def test_every_product_has_a_row_of_the_report(hardware: Hardware) -> None:
    layer = Recurrence("GRU", steps=4, rows=3, inputs=5, hidden=6, lengths=(4, 1, 2))
    program = compiled(layer, hardware.tiling, QUANTIZER)
    rows = {info.name: (info.backend, info.macs, info.inputs, info.clusters) for info in program.layers}
    assert rows == {
        "n.x": ("reuse", 7 * 5 * 18, 7 * 5, 41),
        "n.h": ("reuse", 7 * 6 * 12, 7 * 6, 41),
        "n.r": ("reuse", 7 * 6 * 6, 7 * 6, 41),
        "n": ("dense", 0, 0, 0),
    }
    assert [site.node for site in program.reuse.sites] == ["n.x", "n.h", "n.r"]


def test_a_program_with_time_steps_survives_its_file(hardware: Hardware, tmp_path: Path) -> None:
    program = compiled(Recurrence("GRU", "bidirectional"), hardware.tiling, QUANTIZER)
    program_file.save(program, tmp_path / "program.safetensors")
    loaded = program_file.load(tmp_path / "program.safetensors")
    assert loaded.reuse.sites == program.reuse.sites
    assert all(len(site.steps) == site.time_steps == 5 for site in loaded.reuse.sites)


def test_a_layer_that_runs_forward_continues_from_a_restored_state(hardware: Hardware) -> None:
    layer = Recurrence("LSTM")
    program = compiled(layer, hardware.tiling, QUANTIZER)
    first, second = Interpreter(program), Interpreter(program)
    frames = layer.frames(3)
    for frame in frames[:2]:
        first.run(frame)
    assert first.held_indices["n.x"].shape == (2, 7)
    np.testing.assert_array_equal(first.held_indices["n.x"], first.indices["n.x"][-1])
    second.restore(first.held_indices, first.linear)
    found = second.run(frames[2])
    for name, values in first.run(frames[2]).items():
        np.testing.assert_array_equal(found[name], values)
    np.testing.assert_array_equal(first.counts, second.counts)
    np.testing.assert_array_equal(first.indices["n.h"], second.indices["n.h"])


def test_a_model_called_step_by_step_with_its_state_fed_back_does_what_one_run_does(hardware: Hardware) -> None:
    whole, single = Recurrence("LSTM", rows=1, initial="inputs"), Recurrence("LSTM", rows=1, steps=1, initial="inputs")
    at_once = Interpreter(compiled(whole, hardware.tiling, QUANTIZER))
    stepwise = Interpreter(compiled(single, hardware.tiling, QUANTIZER))
    for frame in whole.frames(2):
        expected = at_once.run(frame)
        state = {"h0": frame["h0"], "c0": frame["c0"]}
        for step, x in enumerate(frame["X"]):
            found = stepwise.run({"X": x[None], **state})
            state = {"h0": found["Yh"], "c0": found["Yc"]}
            np.testing.assert_allclose(found["Y"][0], expected["Y"][step], atol=1e-6)
            for site in ("n.x", "n.h"):
                np.testing.assert_array_equal(stepwise.indices[site][0], at_once.indices[site][step])
        np.testing.assert_allclose(found["Yc"], expected["Yc"], atol=1e-6)


def test_a_layer_that_runs_backwards_begins_anew_in_every_run(hardware: Hardware) -> None:
    layer = Recurrence("LSTM", "reverse")
    program = compiled(layer, hardware.tiling, QUANTIZER)
    assert not [fill for fill in program.reuse.sections.start if isinstance(fill, Fill)]
    interpreter, frame = Interpreter(program), layer.frames(1)[0]
    interpreter.run(frame)
    counts = interpreter.counts.copy()
    interpreter.run(frame)
    np.testing.assert_array_equal(interpreter.counts, counts)
    assert counts.any()


def test_indices_of_steps_begin_with_the_zero_index(hardware: Hardware) -> None:
    layer = Recurrence("RNN")
    interpreter = Interpreter(compiled(layer, hardware.tiling, QUANTIZER))
    interpreter.run(layer.frames(1)[0])
    interpreter.reset()
    for name, shape in {"n.x": (5, 2, 7), "n.h": (5, 2, 6)}.items():
        np.testing.assert_array_equal(interpreter.indices[name], np.full(shape, QUANTIZER.zero))


def test_outputs_that_nothing_reads_are_not_stored(hardware: Hardware) -> None:
    """Of the last hidden state alone the steps before need no place."""
    proto = Recurrence("GRU", steps=9).proto()
    del proto.graph.output[0]
    program = lower(_loaded(proto), hardware.tiling, "")
    assert len([i for i in program.reuse.sections.frame if isinstance(i, Store)]) == 1
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    frame = Recurrence("GRU", steps=9).frames(1)[0]
    np.testing.assert_allclose(Interpreter(program).run(frame)["Yh"], session.run(None, frame)[0], atol=2e-6)


def test_the_baseline_accumulates_where_reuse_keeps_products_apart(hardware: Hardware) -> None:
    program = compiled(Recurrence("LSTM", steps=3), hardware.tiling, QUANTIZER)
    dense = [i for i in program.baseline.sections.frame if isinstance(i, DenseFc)]
    assert [i.accumulate for i in dense] == [0, 1] * 3
    assert not [i for i in program.baseline.sections.frame if isinstance(i, DeltaFc)]
