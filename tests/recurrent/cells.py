"""Recurrent models of one layer, and plans for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from reuse_compiler.frontend import Model
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan
from reuse_compiler.recurrent import Kind, gates
from reuse_compiler.sites import find_sites

Float = NDArray[np.float32]


@dataclass(frozen=True)
class Cell:
    """One layer: sizes, attributes, and which optional inputs it has."""

    kind: Kind
    steps: int = 6
    batch: int = 2
    inputs: int = 5
    hidden: int = 4
    direction: str = "forward"
    clip: float = 0.0
    layout: int = 0
    linear_before_reset: int = 0
    peephole: bool = False
    initial: bool = False
    lengths: Sequence[int] | None = None
    activations: Sequence[str] | None = None
    alpha: Sequence[float] | None = None
    beta: Sequence[float] | None = None
    scale: float = 0.5

    @property
    def directions(self) -> int:
        return 2 if self.direction == "bidirectional" else 1


def build(cell: Cell, seed: int = 0) -> onnx.ModelProto:
    """A model of `cell` with weights from `seed`: inputs X and, with initial states, H0 and C0."""
    generator = np.random.default_rng(seed)
    count, total = cell.directions, gates(cell.kind) * cell.hidden

    def weights(name: str, *shape: int) -> onnx.TensorProto:
        values = generator.standard_normal((count, *shape)) * cell.scale
        return numpy_helper.from_array(values.astype(np.float32), name)

    fixed = [
        weights("W", total, cell.inputs),
        weights("R", total, cell.hidden),
        weights("B", 2 * total),
    ]
    names = ["X", "W", "R", "B", "", "", "", ""]
    rows = (cell.batch, cell.steps) if cell.layout else (cell.steps, cell.batch)
    state = (cell.batch, count, cell.hidden) if cell.layout else (count, cell.batch, cell.hidden)
    inputs = [helper.make_tensor_value_info("X", TensorProto.FLOAT, (*rows, cell.inputs))]
    if cell.lengths is not None:
        fixed.append(numpy_helper.from_array(np.array(cell.lengths, np.int32), "lengths"))
        names[4] = "lengths"
    if cell.initial:
        for position, name in enumerate(("H0", "C0") if cell.kind == "LSTM" else ("H0",)):
            inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, state))
            names[5 + position] = name
    if cell.peephole:
        fixed.append(weights("P", 3 * cell.hidden))
        names[7] = "P"
    while not names[-1]:
        names.pop()
    attributes: dict[str, Any] = {"hidden_size": cell.hidden, "direction": cell.direction}
    if cell.layout:
        attributes["layout"] = 1
    if cell.clip:
        attributes["clip"] = cell.clip
    if cell.kind == "GRU":
        attributes["linear_before_reset"] = cell.linear_before_reset
    for name, values in (
        ("activations", cell.activations),
        ("activation_alpha", cell.alpha),
        ("activation_beta", cell.beta),
    ):
        if values is not None:
            attributes[name] = list(values) * count
    outputs = ["Y", "Y_h", "Y_c"] if cell.kind == "LSTM" else ["Y", "Y_h"]
    graph = helper.make_graph(
        [helper.make_node(cell.kind, names, outputs, name="cell", **attributes)],
        "net",
        inputs,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        fixed,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def planned(model: Model, *, step: float, clusters: int = 65_535, deadband: float = 0.0) -> Plan:
    """Every site of `model` with one quantizer around zero."""
    spec = QuantizerSpec(
        step=float(np.float32(step)), zero=clusters // 2, clusters=clusters, deadband=float(np.float32(deadband))
    )
    sites = [
        SitePlan(node=site.node, input=site.input, op=site.op, mode="reuse", quantizer=spec)
        for site in find_sites(model)
    ]
    return Plan(model=ModelRef(path=str(model.path), sha256=model.sha256), sites=sites)


def feeds(proto: onnx.ModelProto, generator: np.random.Generator) -> dict[str, Float]:
    """Normal values for every input."""
    shapes = {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in proto.graph.input}
    return {name: generator.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
