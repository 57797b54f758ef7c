"""`reproduce`: the paper's networks, its tables and its figures, by one call."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Sequence
from pathlib import Path

from reuse_compiler.backend.accelerator.hardware import Hardware, load_hardware
from reuse_compiler.reproduce.documents import NetworkResult, Reproduction, SameInput
from reuse_compiler.reproduce.levers import levers
from reuse_compiler.reproduce.network import Progress, evaluate, lowered, prepared
from reuse_compiler.reproduce.paper import REUSE_ORDER
from reuse_compiler.reproduce.same_input import same_input
from reuse_compiler.reproduce.sensitivity import Row, merged, sensitivity
from reuse_compiler.reproduce.workloads import WORKLOADS, workload

__all__ = ["reproduce"]


def reproduce(
    names: Sequence[str] = (),
    *,
    quick: bool = False,
    hardware: Hardware | None = None,
    recording: Path | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Reproduction:
    """Run networks of the paper and collect what its tables and figures show.

    Parameters
    ----------
    names : sequence of str
        Of :data:`~reuse_compiler.reproduce.workloads.WORKLOADS`; all by default.
    quick : bool
        Few frames, no budgeted plans, no sensitivity table: two minutes instead of twenty.
    hardware : Hardware, optional
        isca18 by default.
    recording : Path, optional
        Run this sound or video in place of the rendered evaluation streams; nothing says what is right on it.
    threads : int, optional
        Of the interpreter and of onnxruntime; all cores by default.
    progress : callable, optional
        Called with what begins.

    Raises
    ------
    ReuseError
        Where a network is unknown, its weights or an extra are missing, or the recording cannot be read.
    """
    began = time.perf_counter()
    chosen = [workload(name) for name in names] or list(WORKLOADS.values())
    for one in chosen:
        if recording is not None:
            one.require(recording)
    machine = hardware or load_hardware("isca18")
    threads = threads or os.cpu_count() or 1
    networks: list[NetworkResult] = []
    drawn: list[SameInput] = []
    rows: dict[str, list[Row]] = {}
    moved: dict[str, list[Row]] = {}
    for one in chosen:
        with prepared(
            one, quick=quick, hardware=machine, threads=threads, recording=recording, progress=progress
        ) as ready:
            ready.say("lower")
            scheme = lowered(ready, ready.fitted())
            networks.append(evaluate(ready, scheme, quick=quick))
            if one.name in REUSE_ORDER:
                ready.say("same-input check")
                drawn.append(same_input(one.name, scheme.program, machine, REUSE_ORDER[one.name]))
                moved[one.name] = list(levers(scheme.program, machine, REUSE_ORDER[one.name]))
            if one.counted and not quick:
                rows[one.name] = list(sensitivity(ready, scheme))
    return Reproduction(
        quick=quick,
        recording=None if recording is None else recording.name,
        hardware=machine.name,
        networks=networks,
        same_input=drawn,
        levers=merged(moved),
        sensitivity=merged(rows),
        seconds=time.perf_counter() - began,
        peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )
