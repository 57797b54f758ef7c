"""The roofline (Williams, Waterman, Patterson, CACM 2009) of the accelerator, with both machines of every layer on it.

A point is drawn at all multiply-accumulates of the layer, those that reuse skips included, per byte that the machine
moves from and to a memory, and at these per second. So a layer with reuse does not seem worse for the work that it
avoids: it moves right as far as it saves bytes, up as far as it saves time, and above the roof where it skips what the
lanes could not have done in that time.

Roofs are ``lanes * frequency``, and of a memory its bytes per second. The cost model gives the eDRAM no bandwidth: the
lanes take a weight each, every cycle, so that what it must give is ``lanes * 4 bytes * frequency``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from reuse_compiler.backend.accelerator.cost import CostModel, Costs
from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.isa import Event
from reuse_compiler.backend.accelerator.program import Program
from reuse_compiler.errors import HardwareError
from reuse_compiler.report import HardwareRef, Report

__all__ = ["LayerTraffic", "Roofline", "report_hardware", "roofline"]

_WORD = 4


@dataclass(frozen=True)
class LayerTraffic:
    """Bytes that a layer moves from and to a memory in a frame on average; (baseline, reuse)."""

    dram: tuple[float, float]
    edram: tuple[float, float]


@dataclass(frozen=True)
class Roofline:
    """The roofs, in multiply-accumulates per second and bytes per second, and the traffic of every layer of the report."""

    frequency_hz: float
    macs_per_second: float
    dram_bytes_per_second: float
    edram_bytes_per_second: float
    layers: list[LayerTraffic]


def report_hardware(reference: HardwareRef) -> Hardware:
    """The hardware that a report names, from the constants in it.

    Raises HardwareError where a constant is missing, as in the report of another version.
    """
    parts: dict[str, Any] = {"name": reference.name, "description": reference.description}
    for constant in reference.constants:
        *path, last = constant.name.split(".")
        inner = parts
        for name in path:
            inner = inner.setdefault(name, {})
        inner[last] = {"value": constant.value, "unit": constant.unit, "source": constant.source}
    try:
        return Hardware.model_validate(parts)
    except ValueError as error:
        raise HardwareError(
            f"hardware {reference.name}: the report lacks a constant of this version: run it again"
        ) from error


def roofline(report: Report, program: Program, hardware: Hardware) -> Roofline:
    """The roofline of a report and the program that it is of, by the events of the cost model.

    Bytes of the baseline and of DRAM are the same in every frame, the program alone decides them. Delta instructions
    read a weight for each multiply-accumulate that they do, which the report counts.

    Raises HardwareError where the report is of another program, or of hardware that the program does not fit.
    """
    names = [layer.name for layer in program.layers]
    if [layer.name for layer in report.layers] != names:
        raise HardwareError("the report is of another program: give one of the folder, or run it again")
    costs = _without_changes(program, hardware)
    frames = max(report.totals.frames, 1)
    traffic = []
    for number, layer in enumerate(report.layers):
        base, reuse = (machine.events[number] for machine in (costs.baseline, costs.reuse))
        weights = layer.macs_computed / frames * _WORD if layer.backend == "reuse" else 0.0
        traffic.append(
            LayerTraffic(
                dram=(
                    _moved(base, Event.DRAM_READ, Event.DRAM_WRITE),
                    _moved(reuse, Event.DRAM_READ, Event.DRAM_WRITE),
                ),
                edram=(
                    _moved(base, Event.EDRAM_READ, Event.EDRAM_WRITE),
                    _moved(reuse, Event.EDRAM_READ, Event.EDRAM_WRITE) + weights,
                ),
            )
        )
    frequency, lanes = hardware.clock.frequency_hz.value, hardware.compute.lanes.value
    return Roofline(
        frequency_hz=frequency,
        macs_per_second=lanes * frequency,
        dram_bytes_per_second=hardware.dram.bytes_per_cycle.value * frequency,
        edram_bytes_per_second=lanes * _WORD * frequency,
        layers=traffic,
    )


def _without_changes(program: Program, hardware: Hardware) -> Costs:
    """One frame in which no input changes, and no sequence starts."""
    model = CostModel(program, hardware)
    model.add(np.zeros((1, model.columns), np.int64))
    return model.costs()


def _moved(events: Mapping[Event, int], *kinds: Event) -> float:
    return float(sum(events.get(kind, 0) for kind in kinds))
