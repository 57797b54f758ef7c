"""Profile a model on a stream: one pass through onnxruntime, with the inputs of the sites as further outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.errors import ModelError, StreamError
from reuse_compiler.feedback import Feedback
from reuse_compiler.frontend import Model
from reuse_compiler.macs import model_macs
from reuse_compiler.model_profile import Profile, SiteProfile, StreamRef
from reuse_compiler.onnx_session import one_line, open_session
from reuse_compiler.passes.show_steps import ShowSteps
from reuse_compiler.plan import ModelRef
from reuse_compiler.runtime_errors import RUNTIME_ERRORS
from reuse_compiler.sites import Site, find_sites
from reuse_compiler.streams import Frame
from reuse_compiler.tensor_fold import Scratch, TensorFold
from reuse_compiler.tensor_profile import Counts

__all__ = ["Recording", "profile"]


class Recording(Protocol):
    """Frames in order, and what messages call them."""

    @property
    def name(self) -> str:
        """The source."""

    def __iter__(self) -> Iterator[Frame]:
        """The frames, from the first."""


def profile(
    model: Model,
    stream: Recording,
    *,
    state: Mapping[str, str] | None = None,
    progress: Callable[[int], None] | None = None,
    threads: int | None = None,
) -> Profile:
    """What `model` shows on `stream`, at each site: range, histogram, and how often inputs change at any step.

    One pass; the memory does not grow with the stream. It takes at most five times as long as running the stream in
    onnxruntime, plus a millisecond a frame.

    Parameters
    ----------
    model : Model
    stream : Recording
        A stream, or frames that are held in memory.
    state : mapping of str to str, optional
        Input name -> name of the output that it takes its next value from; zero where a sequence starts.
    progress : callable, optional
        Called with the number of frames run, after each.
    threads : int, optional
        Threads of onnxruntime inside an operator; all cores by default. One more folds what it gives.

    Raises
    ------
    StreamError
        If the stream is empty or does not fit the model, or a site reads a value that is not finite.
    ModelError
        If onnxruntime does not take the model.
    """
    sites = find_sites(model)
    tensors = _tensors(sites)
    feedback = Feedback(state or {}, model.inputs, model.outputs)
    network = _Network(model, sites, [*tensors, *(state or {}).values()], threads)
    folding = _Folding(tensors, stream.name)
    sequences = 0
    with ThreadPoolExecutor(max_workers=1) as worker:
        for frame in stream:
            arrays = network.run(feedback.feed(frame), f"{stream.name}: frame {folding.frames}")
            feedback.take(arrays)
            folding.wait()
            folding.begin(worker, arrays, frame.start)
            sequences += frame.start
            if progress is not None:
                progress(folding.frames)
        folding.wait()
    return Profile(
        model=ModelRef(path=str(model.path), sha256=model.sha256),
        stream=StreamRef(names=[stream.name], frames=folding.frames, sequences=sequences),
        state=dict(state or {}),
        macs=model_macs(model, sites),
        tensors={name: fold.profile() for name, fold in folding.folds.items()},
        sites=[_site_profile(site, tensors[site.input]) for site in sites],
    )


@dataclass(frozen=True)
class _Tensor:
    """A tensor that sites read; its elements fall into classes of equal fan-out.

    `classes` has the class of each element, flattened, or is None where there is one; `fan_out` has a row a site and a
    column a class.
    """

    shape: tuple[int, ...]  # of what is compared at once
    sites: tuple[Site, ...]
    classes: NDArray[np.unsignedinteger] | None
    fan_out: Counts


def _tensors(sites: Sequence[Site]) -> dict[str, _Tensor]:
    """What the sites read, by name, in the order of its first reader."""
    readers: dict[str, list[Site]] = {}
    for site in sites:
        readers.setdefault(site.input, []).append(site)
    return {name: _classified(tuple(sites)) for name, sites in readers.items()}


def _classified(sites: tuple[Site, ...]) -> _Tensor:
    shape = sites[0].frame_shape
    per_element = np.stack(np.broadcast_arrays(*(site.fan_out() for site in sites)))
    fan_out, inverse = np.unique(per_element.reshape(len(sites), -1), axis=1, return_inverse=True)
    if fan_out.shape[1] == 1:
        return _Tensor(shape, sites, None, fan_out)
    numbers = inverse.reshape(per_element.shape[1:]).astype(np.min_scalar_type(fan_out.shape[1]))
    return _Tensor(shape, sites, np.broadcast_to(numbers, shape).reshape(-1), fan_out)


def _site_profile(site: Site, tensor: _Tensor) -> SiteProfile:
    fan_out = tensor.fan_out[tensor.sites.index(site)]
    return SiteProfile(node=site.node, op=site.op, input=site.input, macs=site.macs, fan_out=fan_out)


class _Folding:
    """The folds of all tensors, one frame behind the run, in a thread of its own: numpy leaves the interpreter free."""

    def __init__(self, tensors: Mapping[str, _Tensor], stream: str) -> None:
        scratch = Scratch()
        self.folds = {name: TensorFold(tensor.shape, tensor.classes, scratch) for name, tensor in tensors.items()}
        self.frames = 0
        self._tensors = tensors
        self._stream = stream
        self._pending: Future[None] | None = None

    def begin(self, worker: ThreadPoolExecutor, arrays: Mapping[str, NDArray[Any]], start: bool) -> None:
        """Fold a frame; the one before must be done."""
        self._pending = worker.submit(self._fold, arrays, start, self.frames)
        self.frames += 1

    def wait(self) -> None:
        """Until the frame begun is folded. Raises StreamError where a value in it is not finite."""
        if self._pending is not None:
            self._pending.result()

    def _fold(self, arrays: Mapping[str, NDArray[Any]], start: bool, number: int) -> None:
        for name, fold in self.folds.items():
            try:
                layer = self._tensors[name].sites[0].recurrent
                if layer is None:
                    fold.add(arrays[name], start=start)
                elif layer.reverse:
                    fold.add_steps(arrays[name][::-1], start=True)
                else:
                    fold.add_steps(arrays[name], start=start)
            except ValueError as error:
                raise StreamError(
                    f"{self._stream}: frame {number}: {name}, the input of {self._tensors[name].sites[0].node}, has"
                    f" {error}: sites need finite inputs"
                ) from error


class _Network:
    """The model in onnxruntime, giving the named tensors: outputs, inputs or anything between."""

    def __init__(self, model: Model, sites: Sequence[Site], names: Sequence[str], threads: int | None) -> None:
        self._where = model.path
        self._inputs = {spec.name for spec in model.inputs}
        self._passed = [name for name in dict.fromkeys(names) if name in self._inputs]
        self._fetched = [name for name in dict.fromkeys(names) if name not in self._inputs]
        network = model.ir.clone()
        if any(site.recurrent for site in sites):
            ShowSteps(tuple(sites))(network)
        tensors = {value.name: value for node in network.graph for value in node.outputs}
        network.graph.outputs.extend(tensors[name] for name in self._fetched if not tensors[name].is_graph_output())
        self._session = open_session(network, threads, str(model.path))

    def run(self, feed: Mapping[str, NDArray[Any]], where: str) -> dict[str, NDArray[Any]]:
        """The named tensors of a frame; an input among them is a copy, since whoever gave it may use its memory again."""
        try:
            values = self._session.run(self._fetched or None, dict(feed))
        except RUNTIME_ERRORS as error:
            raise ModelError(f"{self._where}: {where}: onnxruntime failed: {one_line(error)}") from error
        arrays = dict(zip(self._fetched, values, strict=False))
        return arrays | {name: np.array(feed[name]) for name in self._passed}
