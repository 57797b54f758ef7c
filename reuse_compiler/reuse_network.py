"""A reuse model opened in onnxruntime, with native kernels or without: what sessions of all streams share."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray

from reuse_compiler.backend.cpu import has_kernel
from reuse_compiler.bound_step import BoundStep
from reuse_compiler.cpu_costs import CpuCosts
from reuse_compiler.errors import ModelError
from reuse_compiler.files import sha256
from reuse_compiler.frontend import TensorSpec
from reuse_compiler.guard_plan import GuardPlan
from reuse_compiler.model_format import check_format
from reuse_compiler.native.link_convs import LinkConvs
from reuse_compiler.native.never_faster import never_faster
from reuse_compiler.native.watch import Watch
from reuse_compiler.onnx_file import read_model
from reuse_compiler.onnx_session import one_line, open_session
from reuse_compiler.onnx_writer import model_sha256
from reuse_compiler.operators import keeps_channels_last
from reuse_compiler.passes.rewrite_refresh import LinearFromIndex
from reuse_compiler.passes.without_reuse import WithoutReuse
from reuse_compiler.refresh import RefreshSchedule
from reuse_compiler.runtime_errors import RUNTIME_ERRORS
from reuse_compiler.slots import Slot, model_slots
from reuse_compiler.state_layout import channels_last_shape

__all__ = ["ReuseNetwork", "StateNames", "Step", "StepNames"]

Arrays = dict[str, NDArray[Any]]
Step = Callable[[Mapping[str, Any]], Arrays]


@dataclass(frozen=True)
class StateNames:
    """The names of a site's state among the inputs and outputs of the model, and whether it has the channels last."""

    past_index: str
    past_linear: str
    present_index: str
    present_linear: str
    channels_last: bool


@dataclass(frozen=True)
class StepNames:
    """What else a recurrent site shows: the output with the indices held after each step and, where its steps run
    backwards, so that it has no state, the one with its last linear output."""

    steps: str
    linear: str | None
    zero: NDArray[Any]  # the indices that a sequence starts with, in the shape of a step
    shape: tuple[int, ...]  # of the indices of all steps

    @property
    def reverse(self) -> bool:
        """Whether the steps run backwards."""
        return self.linear is not None


class ReuseNetwork:
    """An onnxruntime session of a reuse model, and what it says about its state. Holds nothing of a stream.

    Parameters
    ----------
    model : path, bytes or onnx_ir.Model
        A reuse model.
    threads : int or None
        Threads of onnxruntime inside an operator; None for all cores.
    kernels : Path, optional
        The kernel library; without it reuse operators run as function bodies.
    costs : CpuCosts, optional
        Of this machine: layers that reuse cannot make faster by them compute everything. Threads then wait awake.
    spin : bool
        Whether they do without `costs`.

    Attributes
    ----------
    kernels : Path or None
    dense : dict of str to str
        Names of the reuse nodes that compute everything, and why.
    idle : dict of str to array
        Past state, by input name, of the sites of `dense` where a sequence starts: read-only views.
    kept : int
        Sites of the file whose state outlives a frame, those of `dense` too.
    rows : list of int
        Which of them the sites of `nodes` are.
    sha256 : str
        Hexadecimal SHA-256 of the file, external data included.
    inputs, outputs : tuple of TensorSpec
        The model's own: without the state.
    sites : tuple of str
        The reuse sites, in the order of the graph.
    nodes : dict of str to StateNames
        By site, of those whose state outlives a frame.
    recurrent : dict of str to StepNames
        By site of a recurrent layer.
    initial : dict of str to array
        Past state where a sequence starts, by input name; read-only views.
    feedback : dict of str to str
        Input -> output that is fed back to it, as the plan said when the model was rewritten.
    read_by_sites : frozenset of str
        The model's own inputs that the input of a reuse node is computed from.
    quantizers : dict of str to Quantizer
        By site.
    layers : dict of str to str
        By site, the name of its node.
    schedule : RefreshSchedule or None
        The rolling refresh, where the plan asks for one.
    guard : GuardPlan or None
        What a session watches for, where the plan says.

    Raises
    ------
    ModelError
        If the model cannot be read, is of another format, its state is not described, or onnxruntime does not take it.
    """

    def __init__(
        self,
        model: str | Path | bytes | ir.Model,
        threads: int | None = None,
        kernels: Path | None = None,
        costs: CpuCosts | None = None,
        spin: bool = False,
    ) -> None:
        self._ir, self.sha256, self._name, source = _open(model)
        self._threads, self.kernels = threads, kernels
        self.idle: Arrays = {}
        slots = model_slots(self._ir)
        if slots:
            check_format(self._name, self._ir.metadata_props)
        for slot in slots:
            _check_state(slot, self._name)
        properties = self._ir.metadata_props
        self.feedback: dict[str, str] = json.loads(properties.get("reuse.state", "{}"))
        self.schedule, self.guard = _schedule(properties, slots), _guard(properties, slots)
        kept = [slot.site for slot in slots if not slot.reverse]
        self.kept = len(kept)
        self.dense = {} if costs is None else never_faster(self._ir, costs)
        if self.dense:
            for slot in slots:
                if slot.node.name in self.dense and not slot.reverse:
                    names = _state_names(slot)
                    self.idle |= {names.past_index: slot.initial_index, names.past_linear: slot.initial_linear}
            source = self._ir = self._ir.clone()
            WithoutReuse(frozenset(self.dense))(self._ir)
            slots = model_slots(self._ir)
            sites = {slot.site for slot in slots}
            self.schedule = None if self.schedule is None else self.schedule.of_sites(sites)
            self.guard = None if self.guard is None else self.guard.of(sites)
        self.sites = tuple(slot.site for slot in slots)
        self.nodes = {slot.site: _state_names(slot) for slot in slots if not slot.reverse}
        self.rows = [kept.index(site) for site in self.nodes]
        self.recurrent = {slot.site: _step_names(slot) for slot in slots if slot.steps is not None}
        self.initial: Arrays = {}
        for slot in slots:
            if slot.site in self.nodes:
                self.initial[self.nodes[slot.site].past_index] = slot.initial_index
                self.initial[self.nodes[slot.site].past_linear] = slot.initial_linear
        shown = {name for names in self.recurrent.values() for name in (names.steps, names.linear)}
        shown |= {name for names in self.nodes.values() for name in (names.present_index, names.present_linear)}
        graph = self._ir.graph
        self.inputs = tuple(_spec(value) for value in graph.inputs if value.name not in self.initial)
        self.outputs = tuple(_spec(value) for value in graph.outputs if value.name not in shown)
        self._steps = [name for names in self.recurrent.values() for name in (names.steps, names.linear) if name]
        self.read_by_sites = _sources([slot.node.inputs[0] for slot in slots])
        self.quantizers = {slot.site: slot.quantizer for slot in slots}
        self.layers = {slot.site: str(slot.node.name) for slot in slots}
        self._before = {slot.site: _node_before(slot) for slot in slots}
        self._native = frozenset(slot.site for slot in slots if kernels and has_kernel(kernels, slot.node.op_type))
        self._session = self._opened(source, spin=costs is not None or spin)
        self._turns = {} if self.schedule is None else self.schedule.turns
        self._refreshers: dict[tuple[str, ...], ort.InferenceSession] = {}
        for turn in self.refresh_turns if self.schedule is not None else ():
            self._refresher(turn)  # now, since no frame is to wait for it

    def _opened(self, source: str | bytes | ir.Model, *, spin: bool) -> ort.InferenceSession:
        if self.watched:
            linked = self._ir.clone()
            if LinkConvs()(linked).modified:
                source = linked
        return open_session(source, self._threads, self._name, self.kernels, spin=spin)

    @property
    def watched(self) -> bool:
        """Whether kernels say what each site did, so that past and present state may share memory."""
        return self.kernels is not None and self._native.issuperset(self.sites) and len(self.nodes) == len(self.sites)

    @property
    def to_keep(self) -> frozenset[str]:
        """Past state, by input name, that a second run of a frame needs: what the first step of a recurrent layer is
        compared with. An FC or CONV finds that nothing changed."""
        names = [self.nodes[site] for site in self.recurrent if site in self.nodes]
        return frozenset(name for one in names for name in (one.past_index, one.past_linear))

    def watch(self, past: Mapping[str, NDArray[Any]], present: Mapping[str, NDArray[Any]]) -> Watch:
        """Records of the sites of a stream whose state is in `past` and in `present`."""
        assert self.kernels is not None
        linear = {site: [held[names.past_linear] for held in (past, present)] for site, names in self.nodes.items()}
        limits = {}
        if self.guard is not None:
            limits = {site: self.guard.limit(site, self.sizes[site]) for site in self.guard.clipped}
        return Watch(self.kernels, self.nodes, linear, limits)

    @cached_property
    def original(self) -> ReuseNetwork:
        """The network without reuse."""
        model = self._ir.clone()
        WithoutReuse()(model)
        for name in ("reuse.refresh", "reuse.guard"):
            model.metadata_props.pop(name, None)
        return ReuseNetwork(model, self._threads, spin=True)

    def step(self, past: Mapping[str, NDArray[Any]], present: Mapping[str, NDArray[Any]]) -> Step:
        """What runs a frame: reads the state in `past` and writes the next into `present`, both by past name.

        The arrays must be C-contiguous and live as long as the step; those of one name may be one array where
        the network is `watched`. It takes the model's own inputs, C-contiguous, and gives its outputs and what `recurrent`
        names.
        """
        if any(spec.dtype.kind == "O" for spec in (*self.inputs, *self.outputs)):
            return lambda inputs: self._run_fed(inputs, past, present)
        bound = {}
        for names in self.nodes.values():
            bound[names.present_index] = present[names.past_index]
            bound[names.present_linear] = present[names.past_linear]
        shown = {output.name: output for output in self._session.get_outputs()}
        steps = [_described(shown[name]) for name in self._steps]
        return BoundStep(self._session, self._name, self.inputs, (*self.outputs, *steps), past, bound)

    def _run_fed(self, inputs: Mapping[str, Any], past: Mapping[str, Any], present: Mapping[str, Any]) -> Arrays:
        """A frame with inputs or outputs that cannot be bound: strings, sequences, optional values."""
        targets = {
            output: present[name]
            for names in self.nodes.values()
            for output, name in (
                (names.present_index, names.past_index),
                (names.present_linear, names.past_linear),
            )
        }
        own = [*(spec.name for spec in self.outputs), *self._steps]
        try:
            values = self._session.run([*own, *targets], {**inputs, **past})
        except RUNTIME_ERRORS as error:
            raise ModelError(f"{self._name}: onnxruntime cannot run it: {one_line(error)}") from error
        for target, value in zip(targets.values(), values[len(own) :], strict=True):
            np.copyto(target, value)
        return dict(zip(own, values, strict=False))

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Input elements of each reuse site in a frame."""
        shapes = {site: names.shape for site, names in self.recurrent.items()}
        own = {site: names.past_index for site, names in self.nodes.items() if site not in shapes}
        shapes |= {site: self.initial[name].shape for site, name in own.items()}
        return {site: math.prod(shapes[site]) for site in self.sites}

    @cached_property
    def elements(self) -> int:
        """Input elements of all reuse sites in a frame."""
        return sum(self.sizes.values())

    def followed(self, sites: Iterable[str]) -> set[str]:
        """`sites`, and those that read what they give."""
        chosen = set(sites)
        return chosen | {site for site, before in self._before.items() if before in chosen}

    def refresh_turn(self, frame: int) -> tuple[str, ...]:
        """The sites whose turn comes after `frame` of a round of the schedule."""
        return self._turns.get(frame, ())

    @property
    def refresh_turns(self) -> tuple[tuple[str, ...], ...]:
        """The sites with state, as :meth:`linear_from_index` takes them: by turn of the schedule, else all at once."""
        if self.schedule is not None:
            return tuple(self._turns.values())
        return (tuple(self.nodes),) if self.nodes else ()

    def linear_from_index(self, turn: tuple[str, ...], indices: Mapping[str, NDArray[Any]]) -> Arrays:
        """The linear outputs ``B + sum c(k) W`` by past name, of one of `refresh_turns`; `indices` by past name too."""
        names = [self.nodes[site] for site in turn]
        given = {name.past_index: indices[name.past_index] for name in names}
        linear = [name.past_linear for name in names]
        return dict(zip(linear, self._refresher(turn).run(linear, given), strict=True))

    def _refresher(self, turn: tuple[str, ...]) -> ort.InferenceSession:
        """A session for each turn: onnxruntime executes all of a network, whatever outputs are asked of it."""
        if turn not in self._refreshers:
            copy = self._ir.clone()
            LinearFromIndex(frozenset(turn))(copy)
            self._refreshers[turn] = open_session(copy, self._threads, self._name)
        return self._refreshers[turn]


def _open(model: str | Path | bytes | ir.Model) -> tuple[ir.Model, str, str, str | bytes | ir.Model]:
    """The model's IR, its hash, its name in messages, and what onnxruntime opens."""
    if isinstance(model, ir.Model):
        return model, model_sha256(model), "model", model
    if isinstance(model, bytes):
        try:
            return ir.from_proto(onnx.load_model_from_string(model)), sha256(model), "model", model
        except (DecodeError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"model: the bytes are not an ONNX model: {one_line(error)}") from error
    read, digest = read_model(Path(model))
    return read, digest, str(model), str(model)


def _schedule(properties: Mapping[str, str], slots: Sequence[Slot]) -> RefreshSchedule | None:
    kept = {slot.site: None for slot in slots if not slot.reverse}
    text = properties.get("reuse.refresh")
    return None if text is None else RefreshSchedule.from_metadata(text, kept)


def _guard(properties: Mapping[str, str], slots: Sequence[Slot]) -> GuardPlan | None:
    text = properties.get("reuse.guard")
    return None if text is None else GuardPlan.from_metadata(text, [slot.site for slot in slots])


def _node_before(slot: Slot) -> str | None:
    x = slot.node.inputs[0]
    producer = None if x is None else x.producer()
    return None if producer is None else str(producer.name)


def _state_names(slot: Slot) -> StateNames:
    past, present = (slot.past_index, slot.past_linear), (slot.present_index, slot.present_linear)
    if not all([*(value.is_graph_input() for value in past), *(value.is_graph_output() for value in present)]):
        raise ModelError(f"node {slot.site}: its state is not an input and output of the model: compile it again")
    index, linear, next_index, next_linear = (str(value.name) for value in (*past, *present))
    return StateNames(index, linear, next_index, next_linear, keeps_channels_last(slot.node))


def _check_state(slot: Slot, name: str) -> None:
    """Raises ModelError, which begins with `name`, where the state of a site does not fit what its node reads and gives."""
    x = slot.node.inputs[0]
    if x is None or x.shape is None or slot.weight.shape is None or not x.shape.is_static():
        return
    wanted: tuple[tuple[int, ...], ...]
    if slot.steps is not None:
        rows, (inputs, outputs) = x.shape.numpy()[1], slot.weight.shape.numpy()
        wanted = ((rows, inputs), (rows, outputs))
    else:
        y = slot.node.outputs[0]
        if y.shape is None or not y.shape.is_static():
            return
        shapes = (x.shape.numpy(), y.shape.numpy())
        last = keeps_channels_last(slot.node)
        wanted = tuple(channels_last_shape(shape) if last else shape for shape in shapes)
    for value, shape in zip((slot.past_index, slot.past_linear), wanted, strict=True):
        if value.shape is not None and tuple(value.shape) != tuple(shape):
            raise ModelError(
                f"{name}: state {value.name} is {list(value.shape)}, node {slot.node.name} needs {list(shape)}:"
                " compile the model again"
            )


def _step_names(slot: Slot) -> StepNames:
    assert slot.steps is not None
    shown = [slot.steps, slot.present_linear] if slot.reverse else [slot.steps]
    if not all(value.is_graph_output() for value in shown) or slot.steps.shape is None:
        raise ModelError(f"node {slot.site}: what its steps hold is not an output of the model: compile it again")
    linear = str(slot.present_linear.name) if slot.reverse else None
    return StepNames(str(slot.steps.name), linear, slot.initial_index, tuple(slot.steps.shape.numpy()))


def _spec(value: ir.Value) -> TensorSpec:
    shape = () if value.shape is None else tuple(dim if isinstance(dim, int) else -1 for dim in value.shape)
    dtype = value.type.dtype.numpy() if isinstance(value.type, ir.TensorType) else object
    return TensorSpec(str(value.name), shape, np.dtype(dtype))


def _sources(values: Iterable[ir.Value | None]) -> frozenset[str]:
    """The graph inputs that `values` are computed from."""
    found: set[ir.Value] = set()
    ends = [value for value in values if value is not None]
    while ends:
        value = ends.pop()
        if value not in found:
            found.add(value)
            producer = value.producer()
            ends += [] if producer is None else _reads(producer)
    return frozenset(str(value.name) for value in found if value.is_graph_input())


def _reads(node: ir.Node) -> list[ir.Value]:
    """What `node` reads, in its bodies too."""
    bodies = [attr.as_graph() for attr in node.attributes.values() if attr.type is ir.AttributeType.GRAPH]
    inner = [value for body in bodies for step in ir.traversal.RecursiveGraphIterator(body) for value in step.inputs]
    passed = [value for body in bodies for value in body.outputs]
    return [value for value in (*node.inputs, *inner, *passed) if value is not None]


def _described(output: ort.NodeArg) -> TensorSpec:
    """An output of onnxruntime's as the model's own are described; its state has static shapes and a numeric type."""
    dtype = {"tensor(uint8)": np.uint8, "tensor(uint16)": np.uint16, "tensor(float)": np.float32}[output.type]
    return TensorSpec(output.name, tuple(output.shape), np.dtype(dtype))
