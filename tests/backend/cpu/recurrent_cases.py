"""Recurrent layers, plans for them and frames, for the native kernels and the function bodies to run.

With dyadic weights and steps every sum of a linear output is exact, and HardSigmoid and Relu are a few operations that
round alike everywhere: a layer of them gives the same bits on both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper, numpy_helper

from reuse_compiler.frontend import Model, load
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan
from reuse_compiler.quantizers import Quantizer
from reuse_compiler.sites import find_sites
from reuse_compiler.slots import model_slots
from tests.backend.cpu.native_run import Arrays
from tests.recurrent.cells import Cell, build, feeds

NARROW, WIDE = 201, 4001
EXACT = {"LSTM": ("HardSigmoid", "Relu", "Relu"), "GRU": ("HardSigmoid", "Relu"), "RNN": ("Relu",)}


@dataclass(frozen=True)
class Case:
    """A layer with its quantizers: by operand x, h and r whether indices are uint16, one deadband or one an element."""

    cell: Cell
    wide: Sequence[bool] = (False, True, False)
    deadband: float = 0.0
    deadbands: bool = False
    input_forget: bool = False
    step: float = 2.0**-5
    frames: int = 3
    seed: int = 0

    @property
    def name(self) -> str:
        cell = self.cell
        flags = {
            "peephole": cell.peephole,
            "clip": cell.clip,
            "before": cell.linear_before_reset,
            "lengths": cell.lengths is not None,
            "forget": self.input_forget,
            "deadband": self.deadband,
            "each": self.deadbands,
        }
        sizes = f"{cell.steps}x{cell.batch}x{cell.inputs}x{cell.hidden}"
        names = cell.activations or ("default",)
        bits = "".join("w" if wide else "n" for wide in self.wide)
        return "-".join([cell.kind, cell.direction, sizes, bits, *names, *(flag for flag, on in flags.items() if on)])


@dataclass(frozen=True)
class Prepared:
    """A case with its models and frames; `state` is what the first frame begins with."""

    case: Case
    original: Model
    plan: Plan
    reuse: bytes
    frames: list[Arrays] = field(default_factory=list)
    state: Arrays = field(default_factory=dict)
    quantizers: dict[str, Quantizer] = field(default_factory=dict)


def exact(cell: Cell) -> Cell:
    """The same with activations that round alike everywhere."""
    return replace(cell, activations=EXACT[cell.kind])


def prepare(case: Case, folder: Path) -> Prepared:
    """Builds, plans and rewrites the layer of `case`, and draws its frames: every input is close to that of the frame before."""
    proto = build(case.cell, case.seed)
    node = proto.graph.node[0]
    if case.input_forget:
        node.attribute.append(helper.make_attribute("input_forget", 1))
    for tensor in proto.graph.initializer:
        if tensor.name != "lengths":
            values = np.clip(np.rint(numpy_helper.to_array(tensor) * 64), -128, 128) / 64
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))
    path = folder / "case.onnx"
    onnx.save(proto, path)
    model = load(path)
    generator = np.random.default_rng(case.seed)
    plan = _plan(case, model, generator)
    reuse = rewrite(model, plan)
    slots = model_slots(reuse)
    state: Arrays = {}
    for slot in slots:
        if not slot.reverse:
            state[str(slot.past_index.name)] = np.ascontiguousarray(slot.initial_index)
            state[str(slot.past_linear.name)] = np.ascontiguousarray(slot.initial_linear)
    frames = [feeds(proto, generator)]
    for _ in range(case.frames - 1):
        moves = feeds(proto, generator)
        frames.append(
            {
                name: np.where(np.abs(moves[name]) > 1, array + moves[name] / 4, array)
                for name, array in frames[-1].items()
            }
        )
    serialized = ir.to_proto(reuse).SerializeToString()
    return Prepared(case, model, plan, serialized, frames, state, {slot.site: slot.quantizer for slot in slots})


def _plan(case: Case, model: Model, generator: np.random.Generator) -> Plan:
    planned = []
    for site in find_sites(model):
        clusters = WIDE if case.wide["xhr".index(site.node[-1])] else NARROW
        deadband: float | list[float] = case.deadband
        if case.deadbands:
            drawn = generator.uniform(-0.02, 0.1, site.in_features).astype(np.float32)
            deadband = np.maximum(drawn, 0).tolist()
        spec = QuantizerSpec(step=case.step, zero=clusters // 2, clusters=clusters, deadband=deadband)
        planned.append(SitePlan(node=site.node, input=site.input, op=site.op, mode="reuse", quantizer=spec))
    return Plan(model=ModelRef(path=str(model.path), sha256=model.sha256), sites=planned)


def save(prepared: Prepared, path: Path) -> None:
    """For native_run: the reuse model as `path`, and its frames and state beside it."""
    path.write_bytes(prepared.reuse)
    frames = {
        f"{number}/{name}": array for number, frame in enumerate(prepared.frames) for name, array in frame.items()
    }
    np.savez(path.with_suffix(".npz"), **frames, **prepared.state)  # type: ignore[arg-type]


def read_outputs(path: Path) -> list[Arrays]:
    """What native_run wrote for the case of `path`, by frame."""
    frames: list[Arrays] = []
    with np.load(path.with_suffix(".out.npz")) as file:
        for key, array in file.items():
            number, name = key.split("/", 1)
            frames += [{} for _ in range(int(number) + 1 - len(frames))]
            frames[int(number)][name] = array
    return frames
