"""The native kernels of recurrent layers against the function bodies of their operators in stock onnxruntime."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reuse_compiler.guard import count_clipped
from reuse_compiler.recurrent import Kind
from reuse_compiler.replay import Replay
from reuse_compiler.steps import before_steps
from tests.backend.cpu import native_run
from tests.backend.cpu.native_run import Arrays, open_model, run_frames
from tests.backend.cpu.node_cases import kernels_under_test
from tests.backend.cpu.recurrent_cases import Case, Prepared, exact, prepare, read_outputs, save
from tests.recurrent.cells import Cell, feeds

LIBRARY = kernels_under_test()
pytestmark = pytest.mark.skipif(LIBRARY is None, reason="the native kernels are not built")
SETS = ("baseline", "avx2", "avx512")
KINDS: tuple[tuple[Kind, int], ...] = (("LSTM", 0), ("GRU", 0), ("GRU", 1), ("RNN", 0))
"""Of a cell, with ``linear_before_reset``."""


def _layers() -> Iterator[Case]:
    """Every kind of cell in every direction, and each attribute and type of index."""
    for direction in ("forward", "reverse", "bidirectional"):
        yield Case(Cell("LSTM", 5, 2, 33, 19, direction))
        yield Case(Cell("LSTM", 5, 3, 21, 16, direction, peephole=True, lengths=(5, 1, 4), initial=True), (True, False))
        yield Case(Cell("LSTM", 4, 1, 7, 5, direction, clip=0.75), (True, True), deadband=0.05)
        yield Case(Cell("LSTM", 4, 2, 17, 40, direction, peephole=True), (False, False), input_forget=True)
        for before in (0, 1):
            yield Case(Cell("GRU", 5, 2, 33, 19, direction, linear_before_reset=before))
            yield Case(
                Cell("GRU", 5, 3, 20, 9, direction, 1.5, linear_before_reset=before, lengths=(2, 5, 1), initial=True),
                (True, False, True),
                deadbands=True,
            )
        yield Case(Cell("RNN", 5, 2, 33, 19, direction, scale=0.2))
        yield Case(
            Cell("RNN", 5, 3, 21, 24, direction, 2.0, lengths=(1, 5, 5), initial=True), (True, False), deadbands=True
        )
    for bits in range(8):
        wide = (bool(bits & 1), bool(bits & 2), bool(bits & 4))
        yield Case(Cell("GRU", 4, 1, 18, 17), wide)
        if not wide[2]:
            yield Case(Cell("LSTM", 4, 1, 18, 17), wide)
            yield Case(Cell("GRU", 4, 1, 18, 17, linear_before_reset=1), wide)
            yield Case(Cell("RNN", 4, 1, 18, 17, scale=0.2), wide)


LAYERS = {case.name: case for case in _layers()}
EXACT = {f"exact-{name}": replace(case, cell=exact(case.cell)) for name, case in LAYERS.items()}
SINGLE = {
    f"single-{kind}-{before}": Case(
        Cell(kind, 1, 2, 35, 27, linear_before_reset=before, initial=True, peephole=kind == "LSTM"), frames=8
    )
    for kind, before in KINDS
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Prepared]:
    folder = tmp_path_factory.mktemp("models")
    return {name: prepare(case, folder) for name, case in {**LAYERS, **EXACT, **SINGLE}.items()}


@pytest.fixture(scope="module", params=SETS)
def native(
    request: pytest.FixtureRequest, prepared: dict[str, Prepared], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], list[Arrays]]:
    """Outputs of a case by frame, of one instruction set."""
    folder = tmp_path_factory.mktemp(request.param)
    for name, one in prepared.items():
        save(one, folder / f"{name}.onnx")
    environment = {**os.environ, "REUSE_KERNELS": request.param}
    command = [sys.executable, native_run.__file__, str(LIBRARY), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if done.stdout.strip() != request.param:
        pytest.skip(f"this machine has no {request.param}")
    return lambda name: read_outputs(folder / f"{name}.onnx")


def assert_same(found: list[Arrays], expected: list[Arrays]) -> None:
    """Bit for bit, but for the sign of zero."""
    for number, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert set(one) == set(other)
        for name, array in other.items():
            assert one[name].dtype == array.dtype
            np.testing.assert_array_equal(one[name], array, err_msg=f"frame {number}: {name}")


@pytest.mark.parametrize("name", EXACT)
def test_where_all_sums_are_exact_every_bit_is_that_of_the_function_body(
    name: str, prepared: dict[str, Prepared], native: Callable[[str], list[Arrays]]
) -> None:
    one = prepared[name]
    expected = run_frames(open_model(one.reuse, None), one.frames, one.state)
    assert_same(native(name), expected)
    assert all(np.count_nonzero(frame["Y"]) / frame["Y"].size > 0.2 for frame in expected), "most cells are at work"


@pytest.mark.parametrize("name", LAYERS)
def test_indices_are_exact_for_what_was_quantized_and_the_run_is_right(
    name: str, prepared: dict[str, Prepared], native: Callable[[str], list[Arrays]]
) -> None:
    one, outputs = prepared[name], native(name)
    replay = Replay(one.original, one.plan, threads=1)
    body = run_frames(open_model(one.reuse, None), one.frames, one.state)
    held: Arrays = {}
    for number, (frame, found, expected) in enumerate(zip(one.frames, outputs, body, strict=True)):
        linear = {site: found[f"present_linear_{site}"] for site in one.quantizers}
        indices = {site: found[f"steps_index_{site}"] for site in one.quantizers}
        replay.check(frame, indices, _shown(one, found), start=number == 0, linear=linear)
        for site, index in indices.items():
            if site.endswith(".x"):
                np.testing.assert_array_equal(index, expected[f"steps_index_{site}"])
            if site.endswith(".h"):
                held[site] = _check_hidden(one, site, frame, found, index, held.get(site))


def _shown(one: Prepared, outputs: Arrays) -> Arrays:
    return {spec.name: outputs[spec.name] for spec in one.original.outputs}


def _check_hidden(
    one: Prepared, site: str, frame: Arrays, outputs: Arrays, index: Any, past: np.ndarray[Any, Any] | None
) -> Any:
    """The indices of h are those of the outputs of the steps before; gives what the next frame is compared with."""
    cell, quantizer = one.case.cell, one.quantizers[site]
    reverse = cell.direction == "reverse" or ".reverse" in site
    direction = cell.directions - 1 if reverse else 0
    zero = np.full(index.shape[1:], quantizer.zero, index.dtype)
    first = frame["H0"][direction] if cell.initial else np.zeros(index.shape[1:], np.float32)
    before = before_steps(index, zero if past is None or reverse else past, reverse=reverse)
    hidden = before_steps(outputs["Y"][:, direction], first, reverse=reverse)
    for row, length in enumerate(cell.lengths or [cell.steps] * cell.batch):
        if reverse:
            hidden[length - 1, row] = first[row]
        for step in range(cell.steps):
            expected = before[step, row]
            if step < length:
                expected = quantizer.quantize(hidden[step, row], expected, channel_axis=-1)
            np.testing.assert_array_equal(index[step, row], expected, err_msg=f"{site}, row {row}, step {step}")
    return index[-1]


@pytest.mark.parametrize("name", SINGLE)
def test_a_step_is_that_of_the_function_body(
    name: str, prepared: dict[str, Prepared], native: Callable[[str], list[Arrays]]
) -> None:
    """From the same state each time: indices of x and h bit for bit, values within rounding."""
    one, outputs = prepared[name], native(name)
    body, state = open_model(one.reuse, None), one.state
    for frame, found in zip(one.frames, outputs, strict=True):
        (expected,) = run_frames(body, [frame], state)
        for output, array in expected.items():
            if output.endswith((".x", ".h")) and "index" in output:
                np.testing.assert_array_equal(found[output], array)
            elif "index" not in output:
                np.testing.assert_allclose(found[output], array, rtol=1e-5, atol=2e-6)
        state = {past: found[past.replace("past_", "present_", 1)] for past in state}


def test_a_run_of_all_steps_is_as_step_by_step(tmp_path: Path) -> None:
    for kind, before in KINDS:
        cell = Cell(kind, 7, 2, 30, 23, linear_before_reset=before, initial=True)
        whole = prepare(Case(cell, frames=1), tmp_path)
        single = prepare(Case(replace(cell, steps=1), frames=1), tmp_path)
        (together,) = run_frames(open_model(whole.reuse, LIBRARY), whole.frames, whole.state)
        session, state = open_model(single.reuse, LIBRARY), single.state
        carried = {name: array for name, array in whole.frames[0].items() if name != "X"}
        for step, x in enumerate(whole.frames[0]["X"]):
            (found,) = run_frames(session, [{"X": x[None], **carried}], state)
            state = {past: found[past.replace("past_", "present_", 1)] for past in state}
            carried = {name: found[{"H0": "Y_h", "C0": "Y_c"}[name]] for name in carried}
            np.testing.assert_array_equal(found["Y"][0], together["Y"][step])
        for past, array in state.items():
            np.testing.assert_array_equal(array, together[past.replace("past_", "present_", 1)])


@st.composite
def _cases(draw: st.DrawFn) -> Case:
    kind, before = draw(st.sampled_from(KINDS))
    steps, batch = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    lengths = draw(st.none() | st.lists(st.integers(1, steps), min_size=batch, max_size=batch))
    cell = Cell(
        kind,
        steps,
        batch,
        draw(st.integers(1, 70)),
        draw(st.integers(1, 50)),
        draw(st.sampled_from(["forward", "reverse", "bidirectional"])),
        draw(st.sampled_from([0.0, 0.5, 3.0])),
        linear_before_reset=before,
        peephole=kind == "LSTM" and draw(st.booleans()),
        initial=draw(st.booleans()),
        lengths=lengths,
        scale=0.2,
    )
    forget = kind == "LSTM" and draw(st.booleans())
    wide = (draw(st.booleans()), draw(st.booleans()), draw(st.booleans()))
    deadband = draw(st.sampled_from([0.0, 0.02, 0.3]))
    return Case(exact(cell), wide, deadband, draw(st.booleans()), forget, seed=draw(st.integers(0, 99)))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_cases())
def test_any_size_is_that_of_the_function_body_bit_for_bit(tmp_path: Path, case: Case) -> None:
    one = prepare(case, tmp_path)
    found, expected = (run_frames(open_model(one.reuse, kernels), one.frames, one.state) for kernels in (LIBRARY, None))
    assert_same(found, expected)


NAMED = [
    *(
        Case(Cell("LSTM", 3, activations=names), input_forget=forget)
        for forget in (False, True)
        for names in (
            None,
            ("HardSigmoid", "Tanh", "Tanh"),
            ("Sigmoid", "Relu", "Relu"),
            ("HardSigmoid", "Relu", "Relu"),
        )
    ),
    *(
        Case(Cell("GRU", 3, linear_before_reset=before, activations=names))
        for before in (0, 1)
        for names in (
            None,
            ("HardSigmoid", "Tanh"),
            ("Sigmoid", "Relu"),
            ("HardSigmoid", "Relu"),
        )
    ),
    *(
        Case(Cell("RNN", 3, activations=names, scale=0.2))
        for names in (None, ("Relu",), ("Sigmoid",), ("HardSigmoid",))
    ),
]


@pytest.mark.parametrize("case", NAMED, ids=lambda case: case.name)
def test_operators_run_natively_and_are_right(case: Case, tmp_path: Path) -> None:
    one = prepare(case, tmp_path)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.register_custom_ops_library(str(LIBRARY))
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    session = ort.InferenceSession(one.reuse, options, providers=["CPUExecutionProvider"])
    optimized = onnx.load(tmp_path / "optimized.onnx")
    assert [node.op_type.startswith("Reuse") for node in optimized.graph.node] == [True], "no function body is left"
    replay = Replay(one.original, one.plan, threads=1)
    for number, found in enumerate(run_frames(session, one.frames, one.state)):
        indices = {site: found[f"steps_index_{site}"] for site in one.quantizers}
        replay.check(one.frames[number], indices, _shown(one, found), start=number == 0)


def _values(arrays: Arrays) -> dict[str, ort.OrtValue]:
    return {name: ort.OrtValue.ortvalue_from_numpy(array.copy()) for name, array in arrays.items()}


def _run_in_place(
    session: ort.InferenceSession,
    frame: dict[str, ort.OrtValue],
    state: dict[str, ort.OrtValue],
    fed_back: Mapping[str, str],
) -> None:
    """One frame whose present state, and the outputs that are `fed_back`, go where the past and the inputs are."""
    binding = session.io_binding()
    for name, value in {**frame, **state}.items():
        binding.bind_ortvalue_input(name, value)
    for name, value in state.items():
        binding.bind_ortvalue_output(name.replace("past_", "present_", 1), value)
    for source, output in fed_back.items():
        binding.bind_ortvalue_output(output, frame[source])
    binding.bind_output("Y")
    session.run_with_iobinding(binding)


def test_state_that_is_bound_to_one_buffer_is_changed_in_place(tmp_path: Path) -> None:
    one = prepare(Case(Cell("LSTM", 2, 2, 25, 18, initial=True), frames=4), tmp_path)
    session, state = open_model(one.reuse, LIBRARY), _values(one.state)
    for frame, outputs in zip(one.frames, run_frames(session, one.frames, one.state), strict=True):
        values = _values(frame)
        _run_in_place(session, values, state, {"H0": "Y_h", "C0": "Y_c"})
        for name, value in state.items():
            np.testing.assert_array_equal(value.numpy(), outputs[name.replace("past_", "present_", 1)])
        np.testing.assert_array_equal(values["H0"].numpy(), outputs["Y_h"])
        np.testing.assert_array_equal(values["C0"].numpy(), outputs["Y_c"])


# As backend/cpu/src/watch.hpp has it.
RECORD = np.dtype(
    {
        "names": ["totals", "changed", "clipped", "limit", "frames", "sparse", "nanoseconds", "squares"],
        "formats": ["u8", "i8", "i8", "i8", "i8", "i8", "f8", "f8"],
    }
)


@pytest.mark.parametrize("cell", [Cell("LSTM", 4, 1, 40, 30), Cell("GRU", 5, 3, 40, 30, lengths=(5, 2, 1))])
def test_what_each_operand_did_is_written_down(cell: Cell, tmp_path: Path) -> None:
    one = prepare(Case(cell, (False, False, False), step=2.0**-8), tmp_path)
    session, state = open_model(one.reuse, LIBRARY), _values(one.state)
    expected = run_frames(session, one.frames, one.state)
    watch = ctypes.CDLL(str(LIBRARY)).reuse_watch
    watch.argtypes, watch.restype = (ctypes.c_void_p, ctypes.c_void_p), None
    totals, records = np.zeros(1, "i8, i4, i4"), np.zeros(len(one.quantizers), RECORD)
    records["totals"] = totals.ctypes.data
    linear = [state[f"past_linear_{site}"].data_ptr() for site in one.quantizers]
    for number, address in enumerate(linear):
        watch(address, records[number : number + 1].ctypes.data)
    past = one.state
    squares = np.zeros(len(records))
    for number, (frame, outputs) in enumerate(zip(one.frames, expected, strict=True)):
        _run_in_place(session, _values(frame), state, {})
        for place, (site, quantizer) in enumerate(one.quantizers.items()):
            index = outputs[f"steps_index_{site}"]
            before = before_steps(index, past[f"past_index_{site}"], reverse=False)
            squares[place] += float(np.abs(outputs[f"present_linear_{site}"]).max()) ** 2
            record = records[place]
            assert record["changed"] == np.count_nonzero(index != before)
            assert record["clipped"] == count_clipped(index, quantizer) > 0
            assert record["frames"] == record["sparse"] == number + 1
        np.testing.assert_allclose(records["squares"], squares, rtol=1e-12)
        past = {name: outputs[name.replace("past_", "present_", 1)] for name in past}
    assert records["nanoseconds"][0] > 0
    for address in linear:
        watch(address, None)


@pytest.mark.parametrize("cell", [Cell("GRU", 4, 8, 90, 120), Cell("LSTM", 3, 1, 700, 320), Cell("RNN", 2, 1, 9, 3)])
def test_results_do_not_depend_on_the_threads(cell: Cell, tmp_path: Path) -> None:
    one = prepare(Case(cell), tmp_path)
    first, *others = (
        run_frames(open_model(one.reuse, LIBRARY, threads), one.frames, one.state) for threads in (1, 2, 3)
    )
    for other in others:
        assert_same(other, first)


def test_nan_and_infinity_are_quantized_as_in_the_function_body(tmp_path: Path) -> None:
    one = prepare(Case(exact(Cell("LSTM", 2, 1, 40, 20)), deadband=0.1), tmp_path)
    for frame in one.frames:
        frame["X"][:, :, 3:6] = np.nan, np.inf, -np.inf
    found, expected = (run_frames(open_model(one.reuse, kernels), one.frames, one.state) for kernels in (LIBRARY, None))
    assert_same(found, expected)


def _loose(one: Prepared) -> ort.InferenceSession:
    """The same model with inputs of any shape."""
    model = onnx.load_from_string(one.reuse)
    for value in (*model.graph.input, *model.graph.output):
        for number, dim in enumerate(value.type.tensor_type.shape.dim):
            dim.dim_param = f"{value.name}_{number}"
    return open_model(model.SerializeToString(), LIBRARY)


WRONG = {
    "X": ((2, 3, 5), r"W_x has shape \[4, 24\], not \[5, 24\]"),
    "H0": ((1, 3, 7), r"initial_h has shape \[1, 3, 7\], not \[1, 3, 6\]"),
    "C0": ((1, 2, 6), r"initial_c has shape \[1, 2, 6\], not \[1, 3, 6\]"),
    "past_index_cell.x": ((3, 5), r"past_index_x has shape \[3, 5\], not \[3, 4\]: reset the state"),
    "past_index_cell.h": ((4, 6), r"past_index_h has shape \[4, 6\], not \[3, 6\]"),
    "past_linear_cell.x": ((3, 25), r"past_linear_x has shape \[3, 25\], not \[3, 24\]"),
    "past_linear_cell.h": ((0, 24), r"past_linear_h has shape \[0, 24\], not \[3, 24\]"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_shape_that_does_not_fit_is_said_in_one_line(name: str, tmp_path: Path) -> None:
    one = prepare(Case(Cell("LSTM", 2, 3, 4, 6, initial=True), frames=1), tmp_path)
    session, given = _loose(one), {**one.frames[0], **one.state}
    session.run(None, given)
    shape, message = WRONG[name]
    given[name] = np.zeros(shape, given[name].dtype)
    with pytest.raises(Exception, match=rf"ai\.reuse\.ReuseLSTM node cell: {message}"):
        session.run(None, given)


@pytest.mark.parametrize("axis", [1, 2])
def test_no_rows_or_inputs_are_an_error(axis: int, tmp_path: Path) -> None:
    one = prepare(Case(Cell("RNN", 2, 3, 4, 6, initial=True), frames=1), tmp_path)
    x = one.frames[0]["X"].take([], axis)
    with pytest.raises(Exception, match="has no rows or no inputs"):
        _loose(one).run(None, {**one.frames[0], **one.state, "X": x})


def test_no_steps_change_nothing(tmp_path: Path) -> None:
    one = prepare(Case(Cell("GRU", 2, 3, 4, 6, initial=True), frames=1), tmp_path)
    frame = {**one.frames[0], "X": one.frames[0]["X"][:0]}
    (found,) = run_frames(_loose(one), [frame], one.state)
    assert found["Y"].shape == (0, 1, 3, 6)
    np.testing.assert_array_equal(found["Y_h"], frame["H0"])
    for past, array in one.state.items():
        np.testing.assert_array_equal(found[past.replace("past_", "present_", 1)], array)


def test_feeds_differ_between_frames(tmp_path: Path) -> None:
    """The frames of a case repeat most inputs and change some: both paths of a kernel are at work."""
    one = prepare(Case(Cell("LSTM", 3, 1, 50, 20), frames=2), tmp_path)
    same = np.mean(one.frames[0]["X"] == one.frames[1]["X"])
    assert 0.5 < same < 0.8
    assert set(one.frames[0]) == set(feeds(onnx.load(one.original.path), np.random.default_rng(0)))
