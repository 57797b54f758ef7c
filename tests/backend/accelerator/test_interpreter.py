"""The interpreter: state that moves between executors, counts, and programs that do not fit their machine."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from numpy.typing import NDArray

from reuse_compiler import frontend
from reuse_compiler.backend.accelerator.interpreter import Interpreter
from reuse_compiler.backend.accelerator.isa import (
    ConfigureQuantizer,
    ConfigureTable,
    Copy,
    DeltaFc,
    Function,
    Gather,
    Halt,
    Instruction,
    Load,
    Loop,
    Over,
    Quantize,
    Space,
    Special,
    Sync,
    build,
)
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.backend.accelerator.program import Code, Program, Tiling
from reuse_compiler.errors import ProgramError
from reuse_compiler.operators import past_index_name, past_linear_name
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan
from reuse_compiler.quantizers import LinearQuantizer
from reuse_compiler.session import Session
from reuse_compiler.sites import find_sites
from reuse_compiler.state_layout import channels_last

Arrays = dict[str, NDArray[Any]]
Evaluate = Callable[[onnx.ModelProto, Mapping[str, NDArray[Any]]], Arrays]

# Shared tensors, a residual sum, a linear output that is an output of the model.
NETWORK = """
<ir_version: 8, opset_import: ["": 18]>
net (float[1, 2, 6, 5] x) => (float[1, 3] y, float[1, 4, 6, 5] d) {
    a = Conv <pads = [1, 1, 1, 1]> (x, W1, B1)
    b = Relu (a)
    c = Conv <pads = [1, 1, 1, 1], group = 2> (b, W2)
    d = Conv (b, W3, B3)
    e = Add (c, d)
    f = Flatten (e)
    y = Gemm <transB = 1> (f, W4, B4)
}"""
SHAPES = {
    "W1": (4, 2, 3, 3),
    "B1": (4,),
    "W2": (4, 2, 3, 3),
    "W3": (4, 4, 1, 1),
    "B3": (4,),
    "W4": (3, 120),
    "B4": (3,),
}
BANDS: dict[str, float | tuple[float, ...]] = {"x": (0.125, 0.0), "b": 0.25, "f": 0.0}
CLUSTERS = {"x": 16, "b": 300, "f": 65_535}


def dyadic(generator: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    return (generator.integers(-4, 5, shape) / 4).astype(np.float32)


@pytest.fixture(scope="module")
def reuse_model() -> ir.Model:
    """Scalar and per-channel deadbands, indices of one byte and two; all sums are exact."""
    generator = np.random.default_rng(4)
    proto = onnx.parser.parse_model(NETWORK)
    for name, shape in SHAPES.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(dyadic(generator, *shape), name))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(proto, path)
        model = frontend.load(path)
    sites = [
        SitePlan(
            node=site.node,
            input=site.input,
            op=site.op,
            mode="reuse",
            quantizer=QuantizerSpec.of(
                LinearQuantizer(0.25, CLUSTERS[site.input] // 2, CLUSTERS[site.input], BANDS[site.input])
            ),
        )
        for site in find_sites(model)
    ]
    return rewrite(model, Plan(model=ModelRef(path="model.onnx", sha256=model.sha256), sites=sites))


@pytest.fixture(scope="module", params=["all in the buffer", "tiles through DRAM"])
def lowered(request: pytest.FixtureRequest, reuse_model: ir.Model) -> Program:
    small = request.param == "tiles through DRAM"
    tiling = (
        Tiling("small", 4, 16, 2400, 3000, 3100) if small else Tiling("large", 128, 16384, 1 << 20, 1 << 16, 1 << 17)
    )
    return lower(reuse_model, tiling, "ab" * 32)


def test_the_two_lowerings_keep_their_state_in_other_places(lowered: Program) -> None:
    memories = {memory for site in lowered.reuse.sites for memory in (site.index_memory, site.linear_memory)}
    assert memories == ({"buffer"} if lowered.tiling.hardware == "large" else {"buffer", "dram"})


def frames(count: int, seed: int = 0) -> list[Arrays]:
    generator = np.random.default_rng(seed)
    x = dyadic(generator, 1, 2, 6, 5)
    result = []
    for _ in range(count):
        x = np.where(generator.random(x.shape) < 0.2, dyadic(generator, *x.shape), x)
        result.append({"x": x})
    return result


def assert_equal(values: Arrays, others: Arrays) -> None:
    assert values.keys() == others.keys()
    for name, value in values.items():
        np.testing.assert_array_equal(value, others[name], err_msg=name)


# --------------------------------------------------------------------------------------------------------------- state


def test_a_session_moves_into_the_interpreter(lowered: Program, reuse_model: ir.Model) -> None:
    session, interpreter = Session(reuse_model, threads=1), Interpreter(lowered)
    for number, frame in enumerate(frames(10)):
        if number == 5:
            interpreter.restore(session.indices, session.linear)
        expected = session.run(frame)
        if number >= 5:
            assert_equal(interpreter.run(frame), expected)
            assert_equal(interpreter.indices, session.indices)
            assert_equal(interpreter.linear, session.linear)


def kept(values: NDArray[Any]) -> NDArray[Any]:
    """In the layout of the state: that of CONV has four axes here."""
    return channels_last(values) if values.ndim == 4 else values


def test_the_interpreter_moves_into_a_session(lowered: Program, reuse_model: ir.Model) -> None:
    session, interpreter = Session(reuse_model, threads=1), Interpreter(lowered)
    for number, frame in enumerate(frames(10)):
        if number == 5:
            arrays = dict(session.save().arrays)
            arrays |= {past_index_name(node): kept(index) for node, index in interpreter.indices.items()}
            arrays |= {past_linear_name(node): kept(linear) for node, linear in interpreter.linear.items()}
            session.restore(replace(session.save(), arrays=arrays))
        expected = interpreter.run(frame)
        if number >= 5:
            assert_equal(session.run(frame), expected)
            assert_equal(session.indices, interpreter.indices)
            assert_equal(session.linear, interpreter.linear)


def test_a_reset_begins_a_sequence(lowered: Program) -> None:
    fresh, used = Interpreter(lowered), Interpreter(lowered)
    start = {**fresh.indices}, {**fresh.linear}
    for frame in frames(3, seed=1):
        used.run(frame)
    assert any((used.indices[node] != start[0][node]).any() for node in start[0])
    used.reset()
    assert_equal(used.indices, start[0])
    assert_equal(used.linear, start[1])
    for frame in frames(3, seed=2):
        assert_equal(used.run(frame), fresh.run(frame))
        np.testing.assert_array_equal(used.counts, fresh.counts)


def test_a_sequence_starts_with_zero_indices_and_the_bias(lowered: Program, reuse_model: ir.Model) -> None:
    interpreter = Interpreter(lowered)
    assert {node: (index.dtype.name, set(index.ravel().tolist())) for node, index in interpreter.indices.items()} == {
        "a": ("uint8", {8}),
        "c": ("uint16", {150}),
        "d": ("uint16", {150}),
        "y": ("uint16", {32_767}),
    }
    bias = reuse_model.graph.initializers["B1"].const_value
    assert bias is not None
    expected = np.broadcast_to(bias.numpy()[:, None, None], (1, 4, 6, 5))
    np.testing.assert_array_equal(interpreter.linear["a"], expected)


def test_a_frame_like_the_last_changes_nothing(lowered: Program) -> None:
    interpreter = Interpreter(lowered)
    [frame] = frames(1)
    first = interpreter.run(frame)
    assert interpreter.counts.sum() > 0
    state = interpreter.indices, interpreter.linear
    assert_equal(interpreter.run(frame), first)
    assert_equal(interpreter.indices, state[0])
    assert_equal(interpreter.linear, state[1])
    zeros = Interpreter(lowered)
    zeros.run({"x": np.zeros((1, 2, 6, 5), np.float32)})
    zeros.run({"x": np.zeros((1, 2, 6, 5), np.float32)})
    changed = [operation for operation in zeros.frame_operations if operation.columns]
    assert len(changed) >= 4
    position = 0
    for operation in changed:  # only skipped multiply-accumulates are counted, those of 0.0
        columns = zeros.counts[position : position + operation.columns]
        position += operation.columns
        if operation.classes is not None:
            assert not columns[: operation.classes.fan_out.size + 1].any() and not columns[-1]


def test_outputs_and_state_are_copies(lowered: Program) -> None:
    one, other = Interpreter(lowered), Interpreter(lowered)
    first, second = frames(2)
    outputs = one.run(first)
    for array in (*outputs.values(), *one.indices.values(), *one.linear.values()):
        array[...] = 77
    other.run(first)
    assert_equal(one.run(second), other.run(second))


def test_the_baseline_keeps_nothing(lowered: Program) -> None:
    baseline = Interpreter(lowered, lowered.baseline)
    first, second = frames(2)
    outputs = baseline.run(first)
    baseline.run(second)
    assert_equal(baseline.run(first), outputs)
    assert (baseline.indices, baseline.linear, baseline.counts.size) == ({}, {}, 0)


@pytest.mark.parametrize(
    ("indices", "linear", "message"),
    [
        ({"d": None}, {}, "indices of site d are none: they must be uint16 [1, 4, 6, 5]"),
        ({"a": np.zeros((1, 2, 6, 5), np.uint16)}, {}, "indices of site a are uint16 [1, 2, 6, 5]: they must be uint8"),
        (
            {},
            {"y": np.zeros((3,), np.float32)},
            "linear outputs of site y are float32 [3]: they must be float32 [1, 3]",
        ),
        ({}, {"y": np.zeros((1, 3))}, "linear outputs of site y are float64 [1, 3]: they must be float32 [1, 3]"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_whole(
    indices: Arrays, linear: Arrays, message: str, lowered: Program
) -> None:
    interpreter, other = Interpreter(lowered), Interpreter(lowered)
    for frame in frames(2):
        other.run(frame)
    state = interpreter.indices, interpreter.linear
    given = [
        {k: v for k, v in {**one, **two}.items() if v is not None}
        for one, two in ((other.indices, indices), (other.linear, linear))
    ]
    with pytest.raises(ProgramError) as caught:
        interpreter.restore(*given)
    assert str(caught.value).startswith(message)
    assert_equal(interpreter.indices, state[0])
    assert_equal(interpreter.linear, state[1])


# ------------------------------------------------------------------------------------------------ quantizing over time


def test_a_deadband_holds_an_index_while_the_input_stays_near_its_centroid() -> None:
    """Step 1, deadband 0.75 on the second channel alone; the linear output follows the index."""
    instructions: list[Instruction] = [
        ConfigureQuantizer(step=1.0, zero=4, clusters=9, deadband_channels=2, deadband_address=0),
        DeltaFc(
            rows=1,
            inputs=2,
            outputs=2,
            x=64,
            x_stride=2,
            index=0,
            index_stride=2,
            z=128,
            z_stride=2,
            weights=64,
            weights_stride=2,
            commit=1,
        ),
        Sync(),
    ]
    interpreter = bare(instructions)
    memory = interpreter._machine.memory  # the values are put where the instruction reads them
    x = memory.array(Space.BUFFER, 64, (2,), np.float32)
    index, z = memory.array(Space.BUFFER, 0, (2,), np.uint8), memory.array(Space.BUFFER, 128, (2,), np.float32)
    memory.array(Space.EDRAM, 64, (2, 2), np.float32)[...] = [[1, 0], [0, 1]]
    index[...] = 4
    seen = []
    for value in (0.7, 0.8, 1.7, 1.8, 1.25, 0.3, 0.2):
        x[...] = value
        interpreter.run({})
        seen.append((*index.tolist(), *z.tolist(), int(interpreter.counts[0])))
    assert seen == [
        (5, 4, 1, 0, 1),
        (5, 5, 1, 1, 1),
        (6, 5, 2, 1, 1),
        (6, 6, 2, 2, 1),
        (5, 6, 1, 2, 1),
        (4, 4, 0, 0, 2),
        (4, 4, 0, 0, 0),
    ]


def bare(frame: list[Instruction]) -> Interpreter:
    """A program of these instructions alone; the first eight bytes of its eDRAM are the floats 0 and 0.75."""
    bands = np.array([0, 0.75], np.float32).view(np.uint8)
    setup = (Load(space=Space.EDRAM, run_bytes=8, count0=1, count1=1), Sync())
    loops = Loop(over=Over.SEQUENCES, length=1 + len(frame)), Loop(over=Over.FRAMES, length=len(frame))
    code = Code((*setup, *loops, *frame, Halt()), 64, 256, (), (), (), ())
    return Interpreter(Program(code, code, bands, (), Tiling("bare", 1, 1, 256, 256, 256), "ab" * 32))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (ConfigureTable(clusters=1), "configure.table: centroids are 1: give 2 to 256"),
        (
            ConfigureTable(clusters=2, table_address=4),
            "configure.table: centroids 0.75 and 0 are not in ascending order",
        ),
        (ConfigureTable(clusters=2), "configure.table: the boundaries or zero are not those of the centroids"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(table: ConfigureTable, message: str) -> None:
    quantize = Quantize(x=64, index=0, list=8, outer=1, channels=1, inner=4)
    with pytest.raises(ProgramError, match=message):
        bare([table, quantize, Sync()]).run({})


# ----------------------------------------------------------------------------------------------------------- functions

VALUES = np.array([0, -0.0, 1, -1, 0.1, -0.1, 3.5, -3.5, 20, -20, 100, -100, 1e-6, np.inf, -np.inf], np.float32)


@pytest.mark.parametrize(
    ("function", "alpha", "beta", "node"),
    [
        (Special.IDENTITY, 0, 0, "Identity (x)"),
        (Special.RAMP, 0, np.inf, "Relu (x)"),
        (Special.RAMP, 0.25, np.inf, "LeakyRelu <alpha = 0.25> (x)"),
        (Special.RAMP, 0, 6, "Clip (x, zero, six)"),
        (Special.CLIP, -3.4028234663852886e38, 6, "Clip (x, , six)"),
        (Special.SIGMOID, 0, 0, "Sigmoid (x)"),
        (Special.TANH, 0, 0, "Tanh (x)"),
        (Special.ATAN, 0, 0, "Atan (x)"),
        (Special.EXP, 0, 0, "Exp (x)"),
        (Special.LOG, 0, 0, "Log (x)"),
        (Special.SQRT, 0, 0, "Sqrt (x)"),
        (Special.ABS, 0, 0, "Abs (x)"),
        (Special.NEG, 0, 0, "Neg (x)"),
        (Special.ELU, 0.5, 0, "Elu <alpha = 0.5> (x)"),
        (Special.SOFTPLUS, 0, 0, "Softplus (x)"),
        (Special.HARD_SIGMOID, 0.25, 0.5, "HardSigmoid <alpha = 0.25, beta = 0.5> (x)"),
        (Special.RECIPROCAL, 0, 0, "Reciprocal (x)"),
        (Special.ERF, 0, 0, "Erf (x)"),
    ],
    ids=lambda value: value.name if isinstance(value, Special) else "",
)
def test_functions_are_those_of_onnx(
    function: Special, alpha: float, beta: float, node: str, evaluate: Evaluate
) -> None:
    """Also of infinities and of arguments whose exponential overflows."""
    size = VALUES.size
    ramp = Function(function=function, alpha=alpha, beta=beta, x=0, y=128, size0=1, size1=1, size2=1, size3=size)
    interpreter = bare([ramp, Sync()])
    memory = interpreter._machine.memory
    memory.array(Space.BUFFER, 0, (size,), np.float32)[...] = VALUES
    interpreter.run({})
    text = f'<ir_version: 8, opset_import: ["": 18]> g (float[{size}] x) => (float[{size}] y) <float zero = {{0}}, float six = {{6}}> {{ y = {node} }}'
    expected = evaluate(onnx.parser.parse_model(text), {"x": VALUES})["y"]
    np.testing.assert_allclose(memory.array(Space.BUFFER, 128, (size,), np.float32), expected, rtol=3e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("shape", "pool"),
    [
        ([9], "MaxPool <kernel_shape = [3], dilations = [2]>"),
        ([9, 8], "MaxPool <kernel_shape = [3, 2], dilations = [2, 3], strides = [2, 1], pads = [1, 0, 2, 1]>"),
        ([9, 8], "MaxPool <kernel_shape = [2, 2], strides = [2, 3], ceil_mode = 1>"),
        ([5, 4, 6], "MaxPool <kernel_shape = [2, 3, 1], dilations = [1, 1, 1], strides = [1, 1, 4]>"),
        ([9], "AveragePool <kernel_shape = [4], pads = [3, 2]>"),
        ([3], "AveragePool <kernel_shape = [3], pads = [1, 0], strides = [2]>"),
        ([9, 8], "AveragePool <kernel_shape = [2, 3], pads = [1, 1, 0, 2], count_include_pad = 1>"),
        ([9, 8], "AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [3, 2], ceil_mode = 1>"),
        ([5, 4, 6], "AveragePool <kernel_shape = [5, 4, 6]>"),
        ([5, 4, 6], "GlobalAveragePool"),
        ([9, 8], "GlobalMaxPool"),
    ],
)
def test_pools_are_those_of_onnx(shape: list[int], pool: str, evaluate: Evaluate, tmp_path: Path) -> None:
    """At once, and in tiles of rows and channels."""
    extents = [1, 3, *shape]
    proto = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": 18]> g (float{extents} x) => (float[] y) {{ y = {pool} (x) }}'
    )
    onnx.save(proto, tmp_path / "model.onnx")
    model = frontend.load(tmp_path / "model.onnx")
    feeds = {"x": np.random.default_rng(0).standard_normal(extents).astype(np.float32)}
    expected = evaluate(proto, feeds)["y"]
    plan = Plan(model=ModelRef(path="model.onnx", sha256=model.sha256), sites=[])
    for buffer in (1 << 20, 2048):
        program = lower(rewrite(model, plan), Tiling("pool", 4, 64, 256, buffer, buffer), model.sha256)
        assert all(info.backend == "dense" for info in program.layers)
        np.testing.assert_allclose(Interpreter(program).run(feeds)["y"], expected, rtol=1e-6, atol=1e-7)


# ------------------------------------------------------------------------------------------------------- bad programs


@pytest.mark.parametrize(
    ("instruction", "message"),
    [
        (
            Function(y=128, size0=1, size1=1, size2=1, size3=33),
            "operand at byte 128 of the BUFFER ends at byte 260: it has 256",
        ),
        (
            Function(x=2, y=128, size0=1, size1=1, size2=1, size3=1),
            "operand at byte 2 of the BUFFER is not aligned to 4 bytes",
        ),
        (Function(x=1 << 30, size0=1, size1=1, size2=1, size3=1), "operand at byte 1,073,741,824 of the BUFFER"),
    ],
)
def test_an_operand_outside_its_memory_names_the_instruction(instruction: Instruction, message: str) -> None:
    with pytest.raises(ProgramError) as caught:
        bare([Sync(), instruction, Sync()])
    assert str(caught.value).startswith(f"instruction 1, function: {message}")


@pytest.mark.parametrize("kind", [Copy, Gather])
def test_elements_of_a_size_that_is_none_name_the_instruction(kind: type[Instruction]) -> None:
    with pytest.raises(
        ProgramError, match=rf"^instruction 1, {kind.MNEMONIC}: field element_bytes is 3: it must be 1, 2"
    ):
        bare([Sync(), build(kind, {"element_bytes": 3}), Sync()])


def test_a_table_with_an_entry_beyond_the_rows_is_an_error() -> None:
    gather = Gather(element_bytes=4, table=8, outer=1, rows=0, entries=2, inner=1, y_stride1=1)  # zeros
    with pytest.raises(ProgramError, match=r"gather: its table has entry 0: x has 0 rows"):
        bare([Sync(), gather, Sync()]).run({})


def test_threads_do_not_change_values(lowered: Program) -> None:
    one, two = Interpreter(lowered, threads=1), Interpreter(lowered, threads=2)
    for frame in frames(3):
        assert_equal(one.run(frame), two.run(frame))
