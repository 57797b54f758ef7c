"""From costs to a report: sums, ratios, and a row a layer."""

from __future__ import annotations

from reuse_compiler.backend.accelerator.area import area_mm2
from reuse_compiler.backend.accelerator.cost import Costs
from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.program import LayerInfo, Program
from reuse_compiler.frontend import Model
from reuse_compiler.plan import ModelRef
from reuse_compiler.report import (
    Accuracy,
    Components,
    ConstantRef,
    HardwareRef,
    LayerReport,
    Pair,
    Report,
    RunStatistics,
    Setup,
    StateBytes,
    StreamStatistics,
    Totals,
)

__all__ = ["summarize"]


def summarize(
    model: Model,
    program: Program,
    stream: str,
    costs: Costs,
    hardware: Hardware,
    accuracy: Accuracy,
    statistics: RunStatistics,
) -> Report:
    """The report of a run."""
    return Report(
        model=ModelRef(path=str(model.path), sha256=model.sha256),
        stream=StreamStatistics(name=stream, frames=costs.frames, sequences=costs.sequences),
        hardware=_hardware(hardware),
        totals=_totals(program, costs, hardware),
        setup=Setup(
            cycles=Pair(baseline=costs.baseline.setup_cycles, reuse=costs.reuse.setup_cycles),
            energy_pj=Pair(baseline=costs.baseline.setup_energy_pj, reuse=costs.reuse.setup_energy_pj),
        ),
        state=_state(program),
        accuracy=accuracy,
        layers=[_layer(program, costs, number) for number in range(len(program.layers))],
        run=statistics,
    )


def _hardware(hardware: Hardware) -> HardwareRef:
    constants = [
        ConstantRef(name=name, value=value, unit=unit, source=source)  # type: ignore[arg-type]
        for name, value, unit, source in hardware.constants()
    ]
    return HardwareRef(name=hardware.name, description=hardware.description, constants=constants)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _totals(program: Program, costs: Costs, hardware: Hardware) -> Totals:
    macs = sum(info.macs for info in program.layers) * costs.frames
    done = sum(layer.macs_done for layer in costs.layers)
    zero = sum(layer.macs_skipped_zero for layer in costs.layers)
    inputs = sum(layer.inputs for layer in costs.layers)
    changed = sum(layer.changed for layer in costs.layers)
    cycles = Pair(baseline=costs.baseline.total_cycles, reuse=costs.reuse.total_cycles)
    energy = Components(baseline=costs.baseline.components_pj, reuse=costs.reuse.components_pj)
    host = sum(
        int(spent) for spent, info in zip(costs.baseline.cycles, program.layers, strict=True) if info.backend == "host"
    )
    return Totals(
        frames=costs.frames,
        macs=macs,
        macs_computed=done,
        similarity=_share(inputs - changed, inputs),
        reuse=_share(macs - done, macs),
        reuse_nonzero=_share(macs - done - zero, macs),
        speedup=costs.speedup,
        energy_saving=costs.energy_saving,
        cycles=cycles,
        energy_pj=energy,
        area_mm2=Pair(
            baseline=sum(area_mm2(hardware, reuse=False).values()), reuse=sum(area_mm2(hardware, reuse=True).values())
        ),
        host_share=_share(host, cycles.baseline),
    )


def _state(program: Program) -> StateBytes:
    """Layers that share indices share their bytes."""
    sites = program.reuse.sites
    indices = {(site.index_memory, site.index_address): site.index_bytes for site in sites}
    linear = {(site.linear_memory, site.linear_address): site.linear_bytes for site in sites}
    places = {**indices, **linear}
    return StateBytes(
        buffer=sum(size for (memory, _), size in places.items() if memory == "buffer"),
        dram=sum(size for (memory, _), size in places.items() if memory == "dram"),
        indices=sum(indices.values()),
        linear=sum(linear.values()),
    )


def _layer(program: Program, costs: Costs, number: int) -> LayerReport:
    info: LayerInfo = program.layers[number]
    layer = costs.layers[number]
    macs = info.macs * costs.frames
    reuses = info.backend == "reuse"
    deadband = list(info.deadband) if isinstance(info.deadband, tuple) else info.deadband
    return LayerReport(
        name=info.name,
        op=info.op,
        backend=info.backend,
        macs=macs,
        macs_computed=layer.macs_done,
        inputs=layer.inputs,
        similarity=_share(layer.inputs - layer.changed, layer.inputs) if reuses else None,
        reuse=_share(macs - layer.macs_done, macs),
        reuse_nonzero=_share(macs - layer.macs_done - layer.macs_skipped_zero, macs),
        clusters=info.clusters if reuses else None,
        step=info.step if reuses else None,
        deadband=deadband if reuses else None,
        cycles=Pair(baseline=int(costs.baseline.cycles[number]), reuse=int(costs.reuse.cycles[number])),
        energy_pj=Pair(
            baseline=sum(costs.baseline.energy_pj[number].values()), reuse=sum(costs.reuse.energy_pj[number].values())
        ),
    )
