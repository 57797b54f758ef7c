"""Run a reuse model over a stream in onnxruntime, with its state kept out of sight."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from time import perf_counter_ns
from typing import Any, Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler.backend.cpu import library
from reuse_compiler.drift import Drift
from reuse_compiler.errors import ModelError, ReuseError
from reuse_compiler.feedback import Feedback
from reuse_compiler.frontend import TensorSpec
from reuse_compiler.guard import Guard, count_clipped
from reuse_compiler.layer_run import LayerRun
from reuse_compiler.machine_costs import machine_costs
from reuse_compiler.native.switch import Switch
from reuse_compiler.native.watch import Taken
from reuse_compiler.reuse_network import ReuseNetwork, Step
from reuse_compiler.session_state import SessionState
from reuse_compiler.session_statistics import SessionStatistics, Tally
from reuse_compiler.state_layout import channels_first
from reuse_compiler.steps import before_steps
from reuse_compiler.streams import Frame
from reuse_compiler.streams.checks import conform, expected_inputs, require_finite

__all__ = ["Executor", "Session"]

Arrays = dict[str, NDArray[Any]]
Executor = Literal["native", "portable"]

_TRIAL_RUNS = 5
_DRIFT = "reuse.drift"


class Session:
    """One stream through a reuse model: :meth:`run` a frame, and the next one continues from there.

    Where rounding could have moved a linear output by half of the 1e-4 that executors may differ by, the session
    refreshes them all and runs the frame again (see :mod:`reuse_compiler.drift`). After each frame it refreshes the sites
    whose turn it is, where the plan asks for that (:mod:`reuse_compiler.refresh`); and where the plan has a guard, a frame
    that is unlike the calibration has the next one quantized anew (:mod:`reuse_compiler.guard`).

    Where the kernel library was built, reuse operators run natively, else on their function bodies.

    Parameters
    ----------
    model : path, bytes or onnx_ir.Model
        A reuse model. One without reuse nodes runs as well.
    threads : int, optional
        Threads of onnxruntime inside an operator; all cores by default.
    state : mapping of str to str, optional
        Input name -> name of the output that it takes its next value from; zero where a sequence starts. By default
        what the plan said when the model was rewritten.
    executor : {"native", "portable"}, optional
        With native kernels or without; native by default, where they were built.
    adaptive : bool, optional
        Seldom slower than the original model, and by a few percent then: layers that reuse cannot make faster on a CPU compute
        everything, and while little repeats so does the whole model (:mod:`reuse_compiler.native.switch`). Outputs then depend on
        timing, by no more than the plan's loss.

    Attributes
    ----------
    executor : str
        The one that runs.
    dense_layers : dict of str to str
        Layers that an adaptive session computes without reuse, and why.
    inputs, outputs : tuple of TensorSpec
        The model's own: without the state of the reuse nodes.
    model_sha256 : str
        Hexadecimal SHA-256 of the reuse model.

    Raises
    ------
    ModelError
        If the model cannot be read, is of the format of another version, or onnxruntime does not take it.
    ReuseError
        If `executor` is "native" and there is no kernel library, or an argument is out of range.
    StreamError
        If `state` names an input or output that the model lacks.
    """

    def __init__(
        self,
        model: str | Path | bytes | ir.Model,
        *,
        threads: int | None = None,
        state: Mapping[str, str] | None = None,
        executor: Executor | None = None,
        adaptive: bool = False,
    ) -> None:
        if threads is not None and (not isinstance(threads, int) or threads < 1):
            raise ReuseError(f"threads is {threads}: give 1 or more, or None for all cores")
        kernels = _kernels(executor)
        self.executor: Executor = "portable" if kernels is None else "native"
        self._network = ReuseNetwork(model, threads, kernels, machine_costs() if adaptive else None)
        self.dense_layers = dict(self._network.dense)
        self.inputs, self.outputs = self._network.inputs, self._network.outputs
        self.model_sha256 = self._network.sha256
        self._fed_back = dict(self._network.feedback if state is None else state)
        self._streamed = expected_inputs(self.inputs, self._fed_back)
        self._adaptive, self._dense_ns = adaptive, 0.0
        # A quantizer would hide what is not finite; a frame without reuse gives what the original gives.
        self._finite = frozenset[str]() if adaptive else self._network.read_by_sites
        self._allocate()

    def _allocate(self) -> None:
        """Own buffers and feedback, at the start of a sequence."""
        network = self._network
        self._feedback = Feedback(self._fed_back, self.inputs, self.outputs)
        self._guard = None if network.guard is None else Guard(network.guard)
        self._position = np.zeros(1, np.int64)  # frames since the sequence started, of one round of the refresh
        self._tally = Tally()
        self._anew, self._reused = False, True
        self._past = {name: np.array(value, order="C") for name, value in network.initial.items()}
        # State that is looked at after a frame is not overwritten by it: past and present change places then.
        kept = network.to_keep if network.watched else network.initial.keys()
        self._present = {name: value.copy() if name in kept else value for name, value in self._past.items()}
        self._swaps = bool(network.recurrent) or not network.watched
        self._watch = network.watch(self._past, self._present) if network.watched else None
        self._drift = Drift(len(network.nodes), None if self._watch is None else self._watch.records["squares"])
        self._step = network.step(self._past, self._present)
        self._next_step = network.step(self._present, self._past) if self._swaps else self._step
        self._switch: Switch | None = None
        if self._adaptive:
            self._dense_step = network.original.step({}, {})
            self._dense_ns = self._dense_ns or _time(self._dense_step, self.inputs)
            self._switch = Switch(self._dense_ns)
        self._shown: Arrays | None = None
        self._counted: dict[str, int] | None = None

    @property
    def indices(self) -> Arrays:
        """Copies of the indices of the last frame by site: uint8 or uint16, in the shape of the site's input."""
        return {site: self._as_the_model_has_it(site, self._index(site)).copy() for site in self._network.sites}

    def _as_the_model_has_it(self, site: str, state: NDArray[Any]) -> NDArray[Any]:
        """State of `site` in the layout of its input and linear output."""
        names = self._network.nodes.get(site)
        return channels_first(state) if names is not None and names.channels_last else state

    def _index(self, site: str) -> NDArray[Any]:
        recurrent = self._network.recurrent.get(site)
        if recurrent is None:
            return self._past[self._network.nodes[site].past_index]
        if self._shown is None:
            return np.broadcast_to(recurrent.zero, recurrent.shape)
        return self._shown[recurrent.steps]

    @property
    def changes(self) -> dict[str, int]:
        """How many elements of each site's input had another index, in the last frame, than in the frame or step before; all
        of them where it ran without reuse."""
        return self._counted if self._counted is not None else self._count_changes()

    def _count_changes(self) -> dict[str, int]:
        if not self._reused:
            return dict(self._network.sizes)
        if self._watch is not None:
            return {site: int(self._watch.of(site)["changed"]) for site in self._network.sites}
        return {
            site: int(np.count_nonzero(self._index(site) != self._index_before(site))) for site in self._network.sites
        }

    def _index_before(self, site: str) -> NDArray[Any]:
        """What the last frame compared with: the state that it read is where the next one is written."""
        recurrent = self._network.recurrent.get(site)
        names = self._network.nodes.get(site)
        if recurrent is None:
            assert names is not None
            return self._present[names.past_index]
        first = recurrent.zero if names is None else self._present[names.past_index]
        return before_steps(self._index(site), first, reverse=recurrent.reverse)

    @property
    def reused(self) -> bool:
        """Whether the last frame ran with reuse; always, but in an adaptive session."""
        return self._reused

    @property
    def anew(self) -> bool:
        """Whether the guard had the last frame quantized anew: compared with zero indices, as where a sequence starts."""
        return self._anew

    @property
    def statistics(self) -> SessionStatistics:
        """What the session has done so far."""
        return self._tally.statistics()

    def layer_runs(self) -> Sequence[LayerRun]:
        """The layers whose kernels write down what they do, of all frames with reuse, and those of an adaptive session that
        compute everything. A time is the mean of the kernel alone."""
        runs = [LayerRun(name, None, "onnxruntime", reason) for name, reason in self.dense_layers.items()]
        if self._watch is None:
            return runs
        times: dict[str, list[tuple[float, float]]] = {}
        for site in self._network.sites:
            record = self._watch.of(site)
            frames = max(int(record["frames"]), 1)
            layer = self._network.layers[site]
            times.setdefault(layer, []).append(
                (float(record["nanoseconds"]) / frames / 1e6, int(record["sparse"]) / frames)
            )
        for layer, sites in times.items():
            sparse = max(share for _, share in sites)
            path = "sparse" if sparse >= 0.5 else "dense"
            runs.append(LayerRun(layer, sum(time for time, _ in sites), path, _path_reason(sparse)))
        return runs

    @property
    def linear(self) -> Arrays:
        """Copies of the linear outputs of the last frame by site, of a recurrent one of its last step: float32, in the shape
        of the linear output."""
        return {site: self._as_the_model_has_it(site, self._last_linear(site)).copy() for site in self._network.sites}

    def _last_linear(self, site: str) -> NDArray[Any]:
        names = self._network.nodes.get(site)
        if names is not None:
            return self._past[names.past_linear]
        if self._shown is None:
            raise ReuseError(f"site {site}: no frame has run: it keeps no linear output between frames")
        return self._shown[str(self._network.recurrent[site].linear)]

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Arrays:
        """Run one frame of the stream; the model's own outputs by name.

        `inputs` has an array for each of the model's own inputs but those that outputs are fed back to; the batch axis
        may be left out. Raises StreamError where they do not fit, or one that a site's input is computed from is not
        finite, and then the state is as it was.
        """
        given = conform(inputs, self._streamed, self._fed_back, "frame", finite=self._finite)
        arrays = {**given, **self._feedback.held} if self._fed_back else given
        switch = self._switch
        if switch is None:
            return self._run(arrays)
        began = perf_counter_ns()
        if switch.reuses:
            require_finite(given, self._network.read_by_sites, "frame")
            outputs = self._run(arrays)
        else:
            outputs = self._run_dense(arrays)
        switch.took(perf_counter_ns() - began)
        return outputs

    def _run(self, arrays: Arrays) -> Arrays:
        self._begin()
        outputs = self._advance(arrays)
        taken = self._taken()
        if taken.overdue:
            self._counted = self._count_changes()
            if self._network.recurrent:
                self._swap()  # back: the first step of a second pass would be compared with the last of this one
            self.refresh()
            self._tally.drift_refreshes += 1
            outputs = self._advance(arrays)
        if self._fed_back:
            self._feedback.take(outputs)
        self._finish(taken)
        return outputs

    def _taken(self) -> Taken:
        """What the sites did in the frame that just ran."""
        if self._watch is not None:
            return self._watch.taken()
        self._counted = self._count_changes()
        beyond = self._guard is not None and self._guard.exceeds(self._clipped_shares())
        return Taken(sum(self._counted.values()), self._drift.too_large(self._linear()), beyond)

    def _run_dense(self, arrays: Arrays) -> Arrays:
        """A frame of the network without reuse: the state stays as it is, and the next frame with reuse corrects it."""
        outputs: Arrays = self._dense_step(arrays)
        if self._fed_back:
            self._feedback.take(outputs)
        self._anew = self._reused = False
        self._counted = None
        self._tally.frames += 1
        self._tally.dense += 1
        return outputs

    def _begin(self) -> None:
        """Forget the last frame, its indices too where the guard says so."""
        self._counted = None
        self._reused = True
        if self._watch is not None:
            self._watch.begin()
        reason = None if self._guard is None else self._guard.due()
        self._anew = reason is not None
        if reason is not None:
            self._forget()
            self._tally.guard_reset(reason)

    def _finish(self, taken: Taken) -> None:
        """Count the frame, show it to the guard, and refresh what is due."""
        self._tally.inputs += self._network.elements
        self._tally.changed += taken.changed
        if self._guard is not None:
            self._tally.beyond += taken.beyond
            self._guard.take(taken.changed / max(self._network.elements, 1), taken.beyond)
        self._tally.frames += 1
        schedule = self._network.schedule
        if schedule is not None:
            due = self._network.refresh_turn(int(self._position[0]))
            self._refresh(due)
            self._tally.refreshed += len(due)
            self._position[0] = (self._position[0] + 1) % schedule.every

    def _clipped_shares(self) -> dict[str, float]:
        assert self._guard is not None
        return {site: self._clipped_share(site) for site in self._guard.watched}

    def _clipped_share(self, site: str) -> float:
        index = self._index(site)
        return count_clipped(index, self._network.quantizers[site]) / index.size

    def _advance(self, arrays: Arrays) -> Arrays:
        try:
            values: Arrays = self._step(arrays)
        except ModelError:
            self._changed_outside()  # some layers have seen the frame, and others have not
            raise
        if not self._swaps:
            return values
        self._swap()
        own = {spec.name for spec in self.outputs}
        self._shown = {name: value for name, value in values.items() if name not in own}
        return {name: value for name, value in values.items() if name in own}

    def _swap(self) -> None:
        self._past, self._present = self._present, self._past
        self._step, self._next_step = self._next_step, self._step

    def _linear(self) -> list[NDArray[Any]]:
        return [self._past[names.past_linear] for names in self._network.nodes.values()]

    def run_stream(self, stream: Iterable[Frame]) -> Iterator[Arrays]:
        """The outputs of each frame of `stream`, lazily; the state is reset where a sequence starts."""
        for frame in stream:
            if frame.start:
                self.reset()
            yield self.run(frame.inputs)

    def reset(self) -> None:
        """Begin a sequence: zero indices, the bias as linear output, zeros in the inputs that outputs are fed back to."""
        self._forget()
        self._feedback.reset()
        self._shown = None
        self._position[:] = 0
        if self._guard is not None:
            self._guard.reset()

    def _forget(self) -> None:
        """Zero indices and the bias as linear output."""
        for name, value in self._network.initial.items():
            np.copyto(self._past[name], value)
        self._changed_outside()
        self._drift.reset()

    def _changed_outside(self, sites: Iterable[str] | None = None) -> None:
        """Tell the kernels of `sites`, of all by default, that what they know of the frame before does not hold."""
        if self._watch is not None:
            self._watch.forget(sites)

    def refresh(self) -> None:
        """Compute the linear outputs anew from the held indices: removes rounding drift, changes no index."""
        for turn in self._network.refresh_turns:
            self._refresh(turn)

    def _refresh(self, turn: tuple[str, ...]) -> None:
        """Refresh the sites of a turn."""
        if not turn:
            return
        for name, value in self._network.linear_from_index(turn, self._past).items():
            np.copyto(self._past[name], value)
        self._changed_outside(self._network.followed(turn))
        order = list(self._network.nodes)
        linear = [self._past[self._network.nodes[site].past_linear] for site in turn]
        self._drift.refreshed(linear, [order.index(site) for site in turn])

    def _held(self) -> Arrays:
        """What is saved as it is; a model without refresh or guard has no array for it."""
        held = {**self._past, **self._feedback.held}
        if self._network.schedule is not None:
            held["reuse.refresh"] = self._position
        if self._guard is not None:
            held["reuse.guard"] = self._guard.state
        return held

    def save(self) -> SessionState:
        """A copy of what the session holds between frames. Of layers that an adaptive session computes whole, it is where a
        sequence starts: any session of the model continues from there."""
        arrays = {name: np.array(value) for name, value in {**self._network.idle, **self._held()}.items()}
        arrays[_DRIFT] = np.zeros(self._network.kept)
        arrays[_DRIFT][self._network.rows] = self._drift.squares
        return SessionState(self.model_sha256, arrays)

    def restore(self, state: SessionState) -> None:
        """Continue from `state`, a copy of which is taken. Raises ReuseError where another model saved it."""
        if state.model_sha256 != self.model_sha256:
            raise ReuseError(
                f"session state of model {state.model_sha256}, this session runs model {self.model_sha256}:"
                " restore it in a session of the model that saved it"
            )
        held = self._held()
        own = {**self._network.idle, **held, _DRIFT: np.zeros(self._network.kept)}
        given = {name: (value.shape, value.dtype) for name, value in state.arrays.items()}
        if given != {name: (value.shape, value.dtype) for name, value in own.items()}:
            raise ReuseError(
                f"session state holds {len(given)} arrays, the session {len(own)}, or their shapes differ:"
                " restore it in a session that feeds back the same outputs"
            )
        for name, array in held.items():
            np.copyto(array, state.arrays[name])
        self._changed_outside()
        self._drift.squares[:] = state.arrays[_DRIFT][self._network.rows]

    def fork(self) -> Session:
        """A session that continues from here on its own; both share the opened model."""
        twin = copy.copy(self)
        twin._allocate()
        twin.restore(self.save())
        return twin


def _path_reason(sparse: float) -> str:
    """Of a layer that took lists of changes in a share of the frames, the cheaper way each time."""
    if sparse == 1:
        return "lists of changes are cheaper"
    if sparse == 0:
        return "so many change that all products are cheaper"
    return f"lists of changes are cheaper in {sparse:.0%} of the frames"


def _kernels(executor: Executor | None) -> Path | None:
    """The library that `executor` wants."""
    if executor not in (None, "native", "portable"):
        raise ReuseError(f"executor is {executor}: give native or portable")
    path = None if executor == "portable" else library()
    if executor == "native" and path is None:
        raise ReuseError(
            "executor native: this build has no kernel library: install it where a C++ compiler is found,"
            " or use the portable executor"
        )
    return path


def _time(step: Step, inputs: Sequence[TensorSpec]) -> float:
    """Nanoseconds of a frame of zeros: the median of a few."""
    zeros = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in inputs}
    taken = []
    for _ in range(_TRIAL_RUNS):
        began = perf_counter_ns()
        step(zeros)
        taken.append(perf_counter_ns() - began)
    return float(np.median(taken))
