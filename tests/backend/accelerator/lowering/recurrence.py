"""Recurrent layers for tests: models of one node, and what ONNX says that they compute, row by row and in float64."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from reuse_compiler import frontend
from reuse_compiler.frontend import Model
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan
from reuse_compiler.quantizers import LinearQuantizer
from reuse_compiler.sites import find_sites

__all__ = ["Direction", "Ran", "Recurrence", "directions", "outputs", "plan_of"]

Array = NDArray[Any]
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
DEFAULT = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
CELL = {"LSTM": ("h", "c"), "GRU": ("h",), "RNN": ("h",)}


@dataclass(frozen=True)
class Recurrence:
    """One node and its weights. `initial` says where its initial states come from: constants, inputs, or nowhere."""

    op: str
    direction: str = "forward"
    steps: int = 5
    rows: int = 2
    inputs: int = 7
    hidden: int = 6
    lengths: tuple[int, ...] = ()
    initial: str = ""
    peephole: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict)
    scale: float = 0.7

    @property
    def directions(self) -> int:
        return 2 if self.direction == "bidirectional" else 1

    def arrays(self) -> dict[str, Array]:
        """Constants by the position of the node's input, and initial states by name."""
        generator, gates = np.random.default_rng(7), GATES[self.op] * self.hidden

        def random(*shape: int) -> Array:
            return (self.scale * generator.standard_normal((self.directions, *shape))).astype(np.float32)

        found = {"W": random(gates, self.inputs), "R": random(gates, self.hidden), "B": random(2 * gates)}
        if self.lengths:
            found["L"] = np.array(self.lengths, np.int32)
        found |= {f"{state}0": random(self.rows, self.hidden) for state in CELL[self.op]}
        if self.peephole:
            found["P"] = random(3 * self.hidden)
        return found

    def proto(self) -> onnx.ModelProto:
        arrays, states = self.arrays(), [f"{state}0" for state in CELL[self.op]]
        operands = ["X", "W", "R", "B", "L" if self.lengths else ""]
        operands += [state if self.initial else "" for state in states]
        operands += ["P"] if self.peephole else []
        outputs = ["Y", *(f"Y{state}" for state in CELL[self.op])]
        attributes = {"hidden_size": self.hidden, "direction": self.direction, **self.attributes}
        node = helper.make_node(self.op, operands, outputs, name="n", **attributes)
        shapes = {"Y": [self.steps, self.directions, self.rows, self.hidden]}
        shape = [self.directions, self.rows, self.hidden]
        given = {"X": [self.steps, self.rows, self.inputs]}
        given |= dict.fromkeys(states, shape) if self.initial == "inputs" else {}
        constants = [name for name in operands if name and name not in given]
        graph = helper.make_graph(
            [node],
            "recurrence",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in given.items()],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes.get(name, shape)) for name in outputs],
            [numpy_helper.from_array(arrays[name], name) for name in constants],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)

    def model(self) -> Model:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            onnx.save(self.proto(), path)
            return frontend.load(path)

    def frames(self, count: int) -> list[dict[str, Array]]:
        """Inputs that share much with those of the frame before."""
        generator = np.random.default_rng(11)
        shapes = {"X": (self.steps, self.rows, self.inputs)}
        if self.initial == "inputs":
            shapes |= dict.fromkeys((f"{s}0" for s in CELL[self.op]), (self.directions, self.rows, self.hidden))
        arrays = {name: generator.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
        frames = []
        for _ in range(count):
            frames.append(arrays)
            arrays = {
                name: np.where(generator.random(array.shape) < 0.3, generator.standard_normal(array.shape), array)
                for name, array in arrays.items()
            }
            arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
        return frames


def plan_of(model: Model, quantizer: QuantizerSpec) -> Plan:
    """Reuse at every site, with one quantizer."""
    sites = [
        SitePlan(node=site.node, input=site.input, op=site.op, mode="reuse", quantizer=quantizer)
        for site in find_sites(model)
    ]
    return Plan(model=ModelRef(path="model.onnx", sha256=model.sha256), sites=sites)


def _activation(name: str, alpha: float, beta: float, x: Array) -> Array:
    values: dict[str, Callable[[], Array]] = {
        "Sigmoid": lambda: 1 / (1 + np.exp(-x)),
        "Tanh": lambda: np.tanh(x),
        "Relu": lambda: np.maximum(x, 0),
        "Affine": lambda: alpha * x + beta,
        "LeakyRelu": lambda: np.where(x >= 0, x, alpha * x),
        "ThresholdedRelu": lambda: np.where(x > alpha, x, 0),
        "ScaledTanh": lambda: alpha * np.tanh(beta * x),
        "HardSigmoid": lambda: np.clip(alpha * x + beta, 0, 1),
        "Elu": lambda: np.where(x >= 0, x, alpha * (np.exp(x) - 1)),
        "Softsign": lambda: x / (1 + np.abs(x)),
        "Softplus": lambda: np.log(1 + np.exp(x)),
    }
    return np.asarray(values[name]())


@dataclass
class Ran:
    """What one direction of a layer has done in a frame: indices after each step, the last linear outputs, changed inputs,
    and the outputs."""

    indices: dict[str, Array]
    linear: dict[str, Array]
    changed: dict[str, int]
    y: Array
    last: dict[str, Array]


class Direction:
    """One direction of a layer with reuse at its sites; linear outputs are computed from the indices alone."""

    def __init__(self, layer: Recurrence, number: int, quantizer: LinearQuantizer) -> None:
        self.layer, self.quantizer = layer, quantizer
        self.reverse = layer.direction == "reverse" or number == 1
        arrays = {k: v if k == "L" else v[number].astype(np.float64) for k, v in layer.arrays().items()}
        self.arrays, self.number = arrays, number
        size, attributes = layer.hidden, layer.attributes
        w, r = arrays["W"].T, arrays["R"].T
        wb, rb = np.split(arrays["B"], 2)
        self.reset_first = layer.op == "GRU" and not attributes.get("linear_before_reset", 0)
        self.matrices = {"x": (w, wb), "h": (r, rb)}
        if self.reset_first:
            self.matrices["h"] = r[:, : 2 * size], rb[: 2 * size]
            self.matrices["r"] = r[:, 2 * size :], rb[2 * size :]
        names = attributes.get("activations", DEFAULT[layer.op] * layer.directions)
        own = slice(number * len(DEFAULT[layer.op]), (number + 1) * len(DEFAULT[layer.op]))
        blank = [0.0] * len(names)
        parameters = [attributes.get(f"activation_{which}", blank) for which in ("alpha", "beta")]
        self.activations = list(zip(names[own], parameters[0][own], parameters[1][own], strict=True))
        self.clip = attributes.get("clip", 0.0) or np.inf
        self.start()

    def start(self) -> None:
        """A sequence begins."""
        rows, widths = self.layer.rows, {site: matrix.shape[0] for site, (matrix, _) in self.matrices.items()}
        dtype = self.quantizer.index_dtype
        self.held = {site: np.full((rows, width), self.quantizer.zero, dtype) for site, width in widths.items()}

    def linear(self, site: str) -> Array:
        weight, bias = self.matrices[site]
        return np.asarray(bias + self.quantizer.dequantize(self.held[site]).astype(np.float64) @ weight)

    def run(self, inputs: Mapping[str, Array]) -> Ran:
        """One frame."""
        layer = self.layer
        if self.reverse:
            self.start()
        shape = (layer.rows, layer.hidden)
        states = {name: np.zeros(shape) for name in CELL[layer.op]}
        for name in states:
            if layer.initial:
                states[name] = np.array(inputs.get(f"{name}0", self.arrays[f"{name}0"][None]), np.float64)
                states[name] = states[name].reshape(-1, *shape)[self.number if layer.initial == "inputs" else 0]
        steps = {site: np.empty((layer.steps, *held.shape), held.dtype) for site, held in self.held.items()}
        changed = dict.fromkeys(self.held, 0)
        y = np.zeros((layer.steps, *shape))
        lengths = layer.lengths or (layer.steps,) * layer.rows
        for step in range(layer.steps)[:: -1 if self.reverse else 1]:
            for row in (row for row in range(layer.rows) if step < lengths[row]):
                self._step(inputs["X"][step, row], {k: v[row] for k, v in states.items()}, row, changed)
                y[step, row] = states["h"][row]
            for site, held in self.held.items():
                steps[site][step] = held
        return Ran(steps, {site: self.linear(site) for site in self.held}, changed, y, states)

    def _see(self, site: str, row: int, values: Array, changed: dict[str, int]) -> Array:
        """Quantize what a site reads; its linear output."""
        past = self.held[site][row][None]
        present = self.quantizer.quantize(np.asarray(values, np.float32)[None], past, -1)
        changed[site] += int((present != past).sum())
        self.held[site][row] = present[0]
        return np.asarray(self.linear(site)[row])

    def _gate(self, number: int, sums: Array) -> Array:
        name, alpha, beta = self.activations[number]
        return _activation(name, alpha, beta, np.clip(sums, -self.clip, self.clip))

    def _step(self, x: Array, state: dict[str, Array], row: int, changed: dict[str, int]) -> None:
        of_x = self._see("x", row, x, changed)
        of_h = self._see("h", row, state["h"], changed)
        getattr(self, f"_{self.layer.op.lower()}")(of_x, of_h, state, row, changed)

    def _rnn(self, of_x: Array, of_h: Array, state: dict[str, Array], row: int, changed: dict[str, int]) -> None:
        state["h"][:] = self._gate(0, of_x + of_h)

    def _lstm(self, of_x: Array, of_h: Array, state: dict[str, Array], row: int, changed: dict[str, int]) -> None:
        i, o, f, n = np.split(of_x + of_h, 4)
        peep_i, peep_o, peep_f = np.split(self.arrays["P"], 3) if "P" in self.arrays else (0.0, 0.0, 0.0)
        gate_i = self._gate(0, i + peep_i * state["c"])
        coupled = self.layer.attributes.get("input_forget", 0)
        gate_f = 1 - gate_i if coupled else self._gate(0, f + peep_f * state["c"])
        state["c"][:] = gate_f * state["c"] + gate_i * self._gate(1, n)
        name, alpha, beta = self.activations[2]
        state["h"][:] = self._gate(0, o + peep_o * state["c"]) * _activation(name, alpha, beta, state["c"])

    def _gru(self, of_x: Array, of_h: Array, state: dict[str, Array], row: int, changed: dict[str, int]) -> None:
        x_z, x_r, x_h = np.split(of_x, 3)
        h_z, h_r, *rest = np.split(of_h, 2 if self.reset_first else 3)
        z, r = self._gate(0, x_z + h_z), self._gate(0, x_r + h_r)
        reset = self._see("r", row, r * state["h"], changed) if self.reset_first else r * rest[0]
        state["h"][:] = (1 - z) * self._gate(1, x_h + reset) + z * state["h"]


def directions(layer: Recurrence, quantizer: LinearQuantizer) -> dict[str, Direction]:
    """By the name of the node that the frontend makes of each."""
    names: Sequence[str] = ["n.forward", "n.reverse"] if layer.directions == 2 else ["n"]
    return {name: Direction(layer, number, quantizer) for number, name in enumerate(names)}


def outputs(layer: Recurrence, ran: Mapping[str, Ran]) -> Iterator[tuple[str, Array]]:
    """The node's outputs by name."""
    yield "Y", np.stack([one.y for one in ran.values()], 1)
    for name in CELL[layer.op]:
        yield f"Y{name}", np.stack([one.last[name] for one in ran.values()])
