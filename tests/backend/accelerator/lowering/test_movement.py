"""Operators that only move elements, against onnxruntime, bit for bit, on accelerators so small that tensors are staged."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from reuse_compiler.backend.accelerator.accounting import check_code
from reuse_compiler.backend.accelerator.assembler import assemble, disassemble
from reuse_compiler.backend.accelerator.cost import CostModel
from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.hazards import races
from reuse_compiler.backend.accelerator.interpreter import Interpreter
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.backend.accelerator.program import Program, Tiling
from reuse_compiler.passes.infer_shapes import InferShapes

Array = NDArray[Any]
Arrays = dict[str, Array]

TYPES = ("float32", "int64", "bool", "float16", "uint8", "float64", "int32")


@dataclass
class Case:
    """A node that moves elements: operator, data operands, parameters behind or between them, number of outputs."""

    op: str
    operands: list[Array | None]  # float32 zeros stand for data; parameters are constants
    data: Sequence[int] = (0,)  # positions of the operands that are computed at run time
    outputs: int = 1
    attributes: dict[str, Any] = field(default_factory=dict)
    dtype: str = "float32"


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


def model_of(case: Case, before: bool, behind: bool) -> onnx.ModelProto:
    """A model of the node, where asked for with a function of the accelerator before each operand and behind each
    output, so that these have a chance of a place in the I/O buffer."""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(case.dtype))
    names, inputs, constants, nodes = [], [], [], []
    for position, operand in enumerate(case.operands):
        names.append("" if operand is None else f"p{position}")
        if position in case.data:
            assert operand is not None
            inputs.append(helper.make_tensor_value_info(f"in{position}", kind, operand.shape))
            nodes.append(_between(case.dtype, before, f"in{position}", f"p{position}"))
        elif operand is not None:
            constants.append(numpy_helper.from_array(operand, f"p{position}"))
    results = [f"r{number}" for number in range(case.outputs)]
    nodes.append(helper.make_node(case.op, names, results, name="move", **case.attributes))
    nodes += [_between(case.dtype, behind, result, f"out{number}") for number, result in enumerate(results)]
    outputs = [helper.make_tensor_value_info(f"out{number}", kind, None) for number in range(case.outputs)]
    graph = helper.make_graph(nodes, "moves", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def _between(dtype: str, there: bool, name: str, result: str) -> onnx.NodeProto:
    op = {"float32": "Neg", "bool": "Not", "int64": "Neg", "int32": "Neg"}.get(dtype) if there else None
    return helper.make_node(op or "Identity", [name], [result], name=f"{op} {result}")


def prepared(proto: onnx.ModelProto) -> ir.Model:
    model = ir.from_proto(proto)
    InferShapes()(model)
    return model


def lowered(model: ir.Model, buffer_bytes: int) -> Program:
    """For a buffer of this size, or the next multiple that leaves nothing to the host."""
    while True:
        program = lower(model, Tiling("tiny", 8, 64, 1 << 17, buffer_bytes, buffer_bytes), "0" * 64)
        if not program.reuse.hosts and not program.baseline.hosts:
            return program
        assert buffer_bytes < 1 << 20, "a node is left to the host whatever the buffer"
        buffer_bytes *= 2


def fed(proto: onnx.ModelProto, seed: int) -> Arrays:
    """Anything, as bytes: NaN and minus zero are moved like any other number."""
    generator = np.random.default_rng(seed)
    feeds = {}
    for value in proto.graph.input:
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        data = generator.integers(0, 256, math.prod(shape) * dtype.itemsize).astype(np.uint8)
        array = data % 2 == 0 if dtype == np.bool_ else data.view(dtype)
        feeds[value.name] = np.asarray(array).reshape(shape)
    return feeds


def expected(proto: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    results: list[Array] = ort.InferenceSession(proto.SerializeToString(), options).run(None, feeds)
    return results


def check(case: Case, before: bool, behind: bool, buffer_bytes: int, seed: int = 0) -> Program:
    """Both codes give what onnxruntime gives, have no race, and nothing is left to the host."""
    proto = model_of(case, before, behind)
    program = lowered(prepared(proto), buffer_bytes)
    feeds = fed(proto, seed)
    wanted = expected(proto, feeds)
    for code in (program.reuse, program.baseline):
        assert not races(code)
        got = Interpreter(program, code).run(feeds)
        for number, want in enumerate(wanted):
            found = got[f"out{number}"]
            assert (found.shape, found.dtype) == (want.shape, want.dtype)
            assert found.tobytes() == want.tobytes()
    assert assemble(disassemble(program), program) == program
    return program


# ------------------------------------------------------------------------------------------ operators, as drawn

Shape = tuple[int, ...]


def zeros(shape: Sequence[int]) -> Array:
    return np.zeros(shape, np.float32)


def shapes(low: int = 1, high: int = 4, most: int = 7) -> st.SearchStrategy[Shape]:
    return st.lists(st.integers(1, most), min_size=low, max_size=high).map(tuple)


@st.composite
def transposes(draw: st.DrawFn) -> Case:
    shape = draw(shapes(high=6, most=5))
    return Case("Transpose", [zeros(shape)], attributes={"perm": draw(st.permutations(range(len(shape))))})


@st.composite
def slices(draw: st.DrawFn) -> Case:
    shape = draw(shapes())
    starts = [draw(st.integers(0, size - 1)) for size in shape]
    steps = [draw(st.sampled_from([1, 2, -1, -2])) for _ in shape]
    ends = [
        draw(st.integers(start + 1, size)) if step > 0 else draw(st.integers(-size - 1, start - size - 1))
        for start, step, size in zip(starts, steps, shape, strict=True)
    ]
    parameters = [ints(*starts), ints(*ends), ints(*range(len(shape))), ints(*steps)]
    return Case("Slice", [zeros(shape), *parameters])


@st.composite
def pads(draw: st.DrawFn) -> Case:
    shape = draw(shapes(most=5))
    mode = draw(st.sampled_from(["constant", "edge", "reflect", "wrap"]))
    begin, end = ([draw(st.integers(0, 2 if mode == "constant" else size - 1)) for size in shape] for _ in range(2))
    cut = mode == "constant" and shape[-1] > 1
    begin[-1] -= draw(st.integers(0, 2)) if cut and begin[-1] == 0 and shape[-1] > 2 else 0
    value = np.array(draw(st.sampled_from([0, 1])), np.float32) if mode == "constant" and draw(st.booleans()) else None
    return Case("Pad", [zeros(shape), ints(*begin, *end), value], attributes={"mode": mode})


@st.composite
def splits(draw: st.DrawFn) -> Case:
    shape = draw(shapes(most=9))
    axis = draw(st.integers(0, len(shape) - 1))
    cuts = sorted(draw(st.sets(st.integers(1, max(shape[axis] - 1, 1)), max_size=3)) - {shape[axis]})
    widths = np.diff([0, *cuts, shape[axis]])
    return Case("Split", [zeros(shape), widths.astype(np.int64)], outputs=len(widths), attributes={"axis": axis})


@st.composite
def concats(draw: st.DrawFn) -> Case:
    shape = draw(shapes())
    axis = draw(st.integers(0, len(shape) - 1))
    count = draw(st.integers(1, 4))
    parts = [zeros((*shape[:axis], draw(st.integers(1, 4)), *shape[axis + 1 :])) for _ in range(count)]
    fixed = draw(st.sets(st.integers(1, 3)))
    data = [number for number in range(count) if number not in fixed]
    generator = np.random.default_rng(count)
    operands = [part if i in data else generator.integers(0, 2, part.shape) for i, part in enumerate(parts)]
    return Case("Concat", [np.asarray(part) for part in operands], data, attributes={"axis": axis})


@st.composite
def expands(draw: st.DrawFn) -> Case:
    shape = draw(shapes(most=5))
    full = [draw(st.integers(1, 4)) if size == 1 or draw(st.booleans()) else size for size in shape]
    small = [size if size == wide else 1 for size, wide in zip(shape, full, strict=True)]
    return Case("Expand", [zeros(small), ints(*draw(shapes(0, 1, 3)), *full)])


@st.composite
def tiles(draw: st.DrawFn) -> Case:
    shape = draw(shapes(most=5))
    return Case("Tile", [zeros(shape), ints(*(draw(st.integers(1, 3)) for _ in shape))])


@st.composite
def gathers(draw: st.DrawFn) -> Case:
    shape = draw(shapes(most=40, high=3))
    generator = np.random.default_rng(draw(st.integers(0, 999)))
    axis = draw(st.integers(0, len(shape) - 1))
    size = shape[axis]
    match draw(st.sampled_from(["Gather", "GatherElements", "GatherND"])):
        case "Gather":
            where = generator.integers(-size, size, draw(shapes(0, 2, 30)))
            return Case("Gather", [zeros(shape), where], attributes={"axis": axis})
        case "GatherElements":
            where = generator.integers(-size, size, [max(extent // 2, 1) for extent in shape])
            return Case("GatherElements", [zeros(shape), where], attributes={"axis": axis})
        case _:
            depth = draw(st.integers(1, len(shape)))
            batch = draw(st.integers(0, depth - 1))
            leading = (*shape[:batch], draw(st.integers(1, 6)))
            where = np.stack([generator.integers(0, extent, leading) for extent in shape[batch:depth]], -1)
            return Case("GatherND", [zeros(shape), where], attributes={"batch_dims": batch})


@st.composite
def scatters(draw: st.DrawFn) -> Case:
    shape = draw(shapes(most=20, high=3))
    generator = np.random.default_rng(draw(st.integers(0, 999)))
    data = draw(st.sampled_from([(0, 2), (0,), (2,)]))
    if draw(st.booleans()):
        axis = draw(st.integers(0, len(shape) - 1))
        at = generator.random(shape).argsort(axis)[tuple(slice(0, max(extent // 2, 1)) for extent in shape)]
        operands: list[Array | None] = [zeros(shape), np.ascontiguousarray(at), zeros(at.shape)]
        return Case("ScatterElements", operands, data, attributes={"axis": axis})
    rows = generator.permutation(shape[0])[: draw(st.integers(1, shape[0]))].reshape(-1, 1)
    return Case("ScatterND", [zeros(shape), rows, zeros((len(rows), *shape[1:]))], data)


@st.composite
def blocks(draw: st.DrawFn) -> Case:
    size = draw(st.integers(1, 3))
    batch, channels, height, width = (draw(st.integers(1, most)) for most in (2, 3, 4, 4))
    if draw(st.booleans()):
        mode = draw(st.sampled_from(["DCR", "CRD"]))
        shape: Shape = (batch, channels * size * size, height, width)
        return Case("DepthToSpace", [zeros(shape)], attributes={"blocksize": size, "mode": mode})
    return Case("SpaceToDepth", [zeros((batch, channels, height * size, width * size))], attributes={"blocksize": size})


@st.composite
def reversals(draw: st.DrawFn) -> Case:
    shape = draw(shapes(2, 3, 8))
    time = draw(st.integers(0, 1))
    lengths = ints(*(draw(st.integers(1, shape[time])) for _ in range(shape[1 - time])))
    return Case("ReverseSequence", [zeros(shape), lengths], attributes={"time_axis": time, "batch_axis": 1 - time})


@st.composite
def resizes(draw: st.DrawFn) -> Case:
    shape = (1, draw(st.integers(1, 3)), draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    attributes: dict[str, Any] = {
        "mode": "nearest",
        "nearest_mode": draw(st.sampled_from(["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"])),
        "coordinate_transformation_mode": draw(st.sampled_from(["half_pixel", "asymmetric", "align_corners"])),
    }
    if draw(st.booleans()):
        scales = np.array([1, 1, draw(st.integers(1, 3)), draw(st.integers(1, 3))], np.float32)
        return Case("Resize", [zeros(shape), None, scales], attributes=attributes)
    sizes = ints(*shape[:2], draw(st.integers(1, 11)), draw(st.integers(1, 11)))
    return Case("Resize", [zeros(shape), None, None, sizes], attributes=attributes)


@st.composite
def crops(draw: st.DrawFn) -> Case:
    shape = draw(shapes(2, 3, 9))
    which = draw(st.sampled_from(["CenterCropPad", "Trilu"]))
    if which == "CenterCropPad":
        return Case(which, [zeros(shape), ints(*(draw(st.integers(1, 9)) for _ in shape))])
    diagonal = np.array(draw(st.integers(-3, 3)), np.int64)
    return Case(which, [zeros(shape), diagonal], attributes={"upper": draw(st.integers(0, 1))})


FAMILIES: Mapping[str, Callable[[], st.SearchStrategy[Case]]] = {
    "transpose": transposes,
    "slice": slices,
    "pad": pads,
    "split": splits,
    "concat": concats,
    "expand": expands,
    "tile": tiles,
    "gather": gathers,
    "scatter": scatters,
    "blocks": blocks,
    "reverse": reversals,
    "crop": crops,
}
"""Families whose operators onnxruntime has for every type, or whose types are restricted below."""

_ONLY = {
    "DepthToSpace": ("float32", "float64"),
    "SpaceToDepth": ("float32", "float64"),
    "Pad": ("float32", "int64", "bool", "float64", "int32", "uint8"),
    "Trilu": ("float32", "float64", "int64", "int32", "bool"),
    "CenterCropPad": ("float32", "int64", "int32"),
    "Tile": ("float32", "int64", "bool", "float64", "int32", "uint8"),
}


def typed(case: Case, dtype: str) -> Case:
    """The same with elements of another type, constant ones included, where onnxruntime has the operator for it."""
    if dtype not in _ONLY.get(case.op, TYPES):
        dtype = "float32"
    parameters = {"Concat": (), "Pad": (1, 3), "ScatterElements": (1,), "ScatterND": (1,)}.get(case.op)
    elements = [
        position == 0 if parameters is None else position not in parameters for position in range(len(case.operands))
    ]
    operands = [
        value.astype(dtype) if element and value is not None else value
        for element, value in zip(elements, case.operands, strict=True)
    ]
    return Case(case.op, operands, case.data, case.outputs, case.attributes, dtype)


@pytest.mark.parametrize("family", FAMILIES)
def test_elements_arrive_where_onnxruntime_puts_them(family: str) -> None:
    @settings(max_examples=40)
    @given(
        case=FAMILIES[family](),
        dtype=st.sampled_from(TYPES),
        before=st.booleans(),
        behind=st.booleans(),
        buffer_bytes=st.sampled_from([256, 512, 1024, 4096, 1 << 16]),
        seed=st.integers(0, 999),
    )
    def moved(case: Case, dtype: str, before: bool, behind: bool, buffer_bytes: int, seed: int) -> None:
        check(typed(case, dtype), before, behind, buffer_bytes, seed)

    moved()


@settings(max_examples=40)
@given(case=resizes(), before=st.booleans(), behind=st.booleans(), buffer_bytes=st.sampled_from([256, 1024, 1 << 16]))
def test_resizing_to_the_nearest(case: Case, before: bool, behind: bool, buffer_bytes: int) -> None:
    check(case, before, behind, buffer_bytes)


# ---------------------------------------------------------------------------------------------- what is emitted


def mnemonics(program: Program) -> dict[str, int]:
    return dict(Counter(instruction.MNEMONIC for instruction in program.baseline.sections.frame))


ROOMY = 1 << 16


def test_a_movement_that_leaves_every_element_in_its_place_is_nothing() -> None:
    program = check(Case("Transpose", [zeros((1, 6, 1, 7))], attributes={"perm": [0, 2, 1, 3]}), True, True, ROOMY)
    assert mnemonics(program) == {"load": 1, "function": 2, "store": 1, "sync": 1}


def test_a_transpose_in_the_buffer_is_one_copy() -> None:
    program = check(Case("Transpose", [zeros((6, 7, 8))], attributes={"perm": [2, 0, 1]}), True, True, ROOMY)
    assert mnemonics(program) == {"load": 1, "function": 2, "copy": 1, "store": 1, "sync": 1}


def test_runs_from_or_to_dram_are_moved_by_the_data_master_alone() -> None:
    split = Case("Split", [zeros((6, 10)), ints(4, 6)], outputs=2, attributes={"axis": 1})
    assert mnemonics(check(split, False, False, ROOMY)) == {"load": 2, "store": 2, "sync": 1}
    concat = Case("Concat", [zeros((6, 4)), zeros((6, 5))], (0, 1), attributes={"axis": 1})
    assert mnemonics(check(concat, False, True, ROOMY)) == {"load": 2, "function": 1, "store": 1, "sync": 1}
    assert mnemonics(check(concat, True, False, ROOMY)) == {"load": 2, "function": 2, "store": 2, "sync": 1}


def test_a_transpose_from_dram_to_dram_is_staged_in_tiles() -> None:
    counts = mnemonics(check(Case("Transpose", [zeros((40, 50))], attributes={"perm": [1, 0]}), False, False, 1024))
    assert counts["load"] == counts["copy"] == counts["store"] > 8


def test_an_irregular_gather_is_a_table() -> None:
    where = np.random.default_rng(0).permutation(100)
    case = Case("Gather", [zeros((3, 100, 4)), where], attributes={"axis": 1})
    program = check(case, True, True, ROOMY)
    assert mnemonics(program) == {"load": 1, "function": 2, "gather": 1, "store": 1, "sync": 1}
    assert mnemonics(check(case, False, False, 4096))["gather"] > 1


def test_what_one_constant_fills_is_no_table() -> None:
    program = check(Case("Trilu", [zeros((70, 60))]), True, True, ROOMY)
    assert mnemonics(program) == {"load": 1, "function": 2, "copy": 1, "gather": 1, "store": 1, "sync": 1}


def test_elements_that_come_from_two_tensors_by_turns_take_two_tables() -> None:
    order = np.random.default_rng(1).permutation(90)[:45].reshape(-1, 1)
    case = Case("ScatterND", [zeros((90,)), order, zeros((45,))], (0, 2))
    assert mnemonics(check(case, True, True, ROOMY))["gather"] == 2
    check(case, False, False, 2048)


def test_a_selection_by_a_constant_condition_is_moved() -> None:
    """Its shape is declared: onnx does not infer it."""
    text = """<ir_version: 8, opset_import: ["": 18]> g (float[4,9] x) => (float[4,5] y) { y = Compress <axis=1> (x, c) }"""
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.append(numpy_helper.from_array(np.arange(9) % 2 == 0, "c"))
    feeds = fed(proto, 0)
    found = Interpreter(lowered(prepared(proto), 1024)).run(feeds)
    assert found["y"].tobytes() == expected(proto, feeds)[0].tobytes()


def test_one_tensor_may_be_read_twice_and_outputs_left_unused() -> None:
    text = """<ir_version: 8, opset_import: ["": 18]> g (float[4,6] x) => (float[4,12] y)
        { a = Neg (x) p, q = Split <axis=1, num_outputs=2> (a) y = Concat <axis=1> (a, q, q) }"""
    proto = onnx.parser.parse_model(text)
    program = lowered(prepared(proto), 1024)
    feeds = fed(proto, 0)
    assert not races(program.baseline)
    assert Interpreter(program).run(feeds)["y"].tobytes() == expected(proto, feeds)[0].tobytes()


def test_an_empty_output_moves_nothing() -> None:
    text = """<ir_version: 8, opset_import: ["": 18]> g (float[4,6] x) => (float[4,0] y, float[4,6] z)
        { y, z = Split <axis=1> (x, s) }"""
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.append(numpy_helper.from_array(ints(0, 6), "s"))
    found = Interpreter(lowered(prepared(proto), 1024)).run(fed(proto, 0))
    assert (found["y"].shape, found["z"].tobytes()) == ((4, 0), fed(proto, 0)["x"].tobytes())


# -------------------------------------------------------------------------------------------------------- cycles


def total_cycles(program: Program, hardware: Hardware) -> int:
    check_code(program, program.baseline, hardware)
    costs = CostModel(program, hardware)
    costs.add(np.zeros((1, Interpreter(program).counts.size), np.int64))
    return int(costs.costs().baseline.total_cycles)


@pytest.mark.parametrize(
    ("case", "cycles"),
    [
        # 640 float32: load 50 + 2560 / 51.2 = 100, ready 6 later; copy 640 / 16 = 40, ready 4 later; store 100 and 6.
        (Case("Transpose", [zeros((20, 32))], attributes={"perm": [1, 0]}), 106 + 44 + 106),
        # An element of 8 bytes takes two passes: load 150, copy 80, store 150.
        (Case("Transpose", [zeros((20, 32))], attributes={"perm": [1, 0]}, dtype="int64"), 156 + 84 + 156),
        # 80 rows of 8: load 100; gather 640 / 16 = 40; store 100.
        (
            Case("Gather", [zeros((80, 8)), np.random.default_rng(0).permutation(80)], attributes={"axis": 0}),
            106 + 44 + 106,
        ),
    ],
)
def test_cycles_by_hand(case: Case, cycles: int, hardware: Hardware) -> None:
    program = lower(prepared(model_of(case, False, False)), hardware.tiling, "0" * 64)
    assert list(mnemonics(program)) == ["load", "gather" if case.op == "Gather" else "copy", "store", "sync"]
    assert total_cycles(program, hardware) == cycles
