"""Run a compiled case on one executor, frame after frame, and verify what it left of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.hardware import load_hardware
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.check import check
from reuse_compiler.operators import DOMAIN
from reuse_compiler.replay import Replay
from reuse_compiler.session import Session
from reuse_compiler.simulation import Simulator
from reuse_compiler.streams import Frame
from tests.conformance.cases import Case

__all__ = ["Execution", "on_accelerator", "portable"]

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Execution:
    """What an executor made of a case.

    Parameters
    ----------
    outputs : list of dict
        Of every frame, by name.
    layers : int
        Layers that the accelerator executed.
    hosted : tuple of str
        Operators of the nodes that it left to the host, one entry a node.
    """

    outputs: list[dict[str, Any]]
    layers: int = 0
    hosted: tuple[str, ...] = ()


class _Holder(Protocol):
    """What keeps the state of the sites: a session or an interpreter."""

    @property
    def indices(self) -> Arrays: ...

    @property
    def linear(self) -> Arrays: ...


def portable(case: Case) -> Execution:
    """The reuse model in stock onnxruntime."""
    rewritten = {node.name for node in case.reuse_model.graph if node.domain == DOMAIN}
    missing = [site.node for site in case.sites if site.of not in rewritten]
    assert not missing, f"sites {missing} are not rewritten"
    session = Session(case.reuse_model, threads=1)
    return Execution(_run(case, lambda frame: session.run(frame.inputs), session))


def on_accelerator(case: Case) -> Execution:
    """The reuse model on the accelerator's interpreter. Of what it leaves to the host `check` must have said so."""
    program = lower(case.reuse_model, load_hardware("isca18").tiling, case.model.sha256)
    backends = {layer.name: layer.backend for layer in program.layers}
    elsewhere = [site.node for site in case.sites if backends.get(site.node, backends.get(site.of)) != "reuse"]
    assert not elsewhere, f"sites {elsewhere} do not run on the accelerator"
    hosted = {layer.name: layer.op for layer in program.layers if layer.backend == "host"}
    said = {verdict.node: verdict.verdict for verdict in check(case.model)}
    differing = [node for node in said.keys() | hosted.keys() if (said.get(node) == "host") != (node in hosted)]
    assert not differing and "rejected" not in said.values(), f"check says otherwise of {differing}: {said}"
    simulator = Simulator(program, case.model, {}, threads=1)
    outputs = _run(case, lambda frame: simulator.run(frame).outputs, simulator.interpreter)
    return Execution(outputs, len(program.layers) - len(hosted), tuple(hosted.values()))


def _run(case: Case, run: Callable[[Frame], Mapping[str, Any]], holder: _Holder) -> list[dict[str, Any]]:
    replay = Replay(case.model, case.plan, threads=1) if case.sites else None
    outputs, indices = [], []
    for number, inputs in enumerate(case.frames):
        frame = Frame(inputs, start=not number)
        values = dict(run(frame))
        if replay is not None:
            indices.append(holder.indices)
            replay.check(inputs, indices[-1], values, start=frame.start, linear=holder.linear)
        outputs.append(values)
    if replay is not None:
        changed = [np.count_nonzero(indices[1][name] != index) for name, index in indices[0].items()]
        assert any(changed), "the perturbed copy changes no index: nothing was corrected"
    return outputs
