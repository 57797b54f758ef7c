"""A report as a table: what reuse saves, per layer and in all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reuse_compiler.cli.console import Column, print_line, print_table
from reuse_compiler.cli.text import Scale, byte_size, counted, percent, scale, times

if TYPE_CHECKING:
    from reuse_compiler.guard_report import GuardReport
    from reuse_compiler.report import Accuracy, BoundLoss, LayerReport, Pair, Report

__all__ = ["guard_text", "print_accuracy", "print_layers", "print_summary"]

_CYCLES = (("cycles", 1), ("kcycles", 1e3), ("Mcycles", 1e6))
_ENERGY = (("pJ", 1), ("nJ", 1e3), ("µJ", 1e6), ("mJ", 1e9))


def print_layers(report: Report) -> None:
    """A row a layer and the total, a frame on average."""
    frames = report.totals.frames
    total_energy = sum(report.totals.energy_pj.baseline.values()), sum(report.totals.energy_pj.reuse.values())
    cycles = scale(report.totals.cycles.baseline / frames, _CYCLES, 1e6)
    energy = scale(total_energy[0] / frames, _ENERGY, 1e4)
    columns = (
        Column("layer", "name"),
        Column("op", "text", spare=2),
        Column("on", "text", spare=1),
        Column("similar\n%"),
        Column("reuse\n%"),
        Column(f"{cycles.unit}\nbaseline"),
        Column("a frame\nreuse"),
        Column("speedup\ntimes"),
        Column(f"{energy.unit}\nbaseline"),
        Column("a frame\nreuse"),
        Column("saving\n%"),
    )
    total = report.totals
    print_table(
        columns,
        [_row(layer, frames, cycles, energy) for layer in report.layers],
        (
            "total",
            "",
            "",
            percent(total.similarity),
            percent(total.reuse),
            cycles.show(total.cycles.baseline / frames),
            cycles.show(total.cycles.reuse / frames),
            times(total.speedup),
            energy.show(total_energy[0] / frames),
            energy.show(total_energy[1] / frames),
            percent(total.energy_saving),
        ),
    )


def _row(layer: LayerReport, frames: int, cycles: Scale, energy: Scale) -> tuple[str, ...]:
    return (
        layer.name,
        layer.op,
        layer.backend,
        percent(layer.similarity),
        percent(layer.reuse) if layer.macs else "",
        cycles.show(layer.cycles.baseline / frames),
        cycles.show(layer.cycles.reuse / frames),
        times(layer.cycles.baseline / layer.cycles.reuse) if layer.cycles.reuse else "",
        energy.show(layer.energy_pj.baseline / frames),
        energy.show(layer.energy_pj.reuse / frames),
        percent(_saving(layer.energy_pj, energy.smallest * frames)),
    )


def _saving(energy: Pair, smallest: float) -> float | None:
    """The share saved; None of what is too little to be shown."""
    return 1 - energy.reuse / energy.baseline if energy.baseline >= smallest else None


def print_summary(report: Report) -> None:
    """What the table does not say: frames, loss, state, area, host, setup, and how fast it was interpreted."""
    total, state, area = report.totals, report.state, report.totals.area_mm2
    stream = report.stream
    print_line(f"stream    {stream.name}: {counted(stream.frames, 'frame')} in {counted(stream.sequences, 'sequence')}")
    print_line(f"hardware  {report.hardware.name}; area {area.baseline:.2f} mm2 baseline, {area.reuse:.2f} mm2 reuse")
    print_accuracy(report.accuracy)
    print_line(
        f"MACs      {total.macs_computed / total.frames:,.0f} of {total.macs / total.frames:,.0f} a frame are computed;"
        f" {percent(total.reuse_nonzero)} % are saved without counting inputs of exactly 0.0"
    )
    print_line(
        f"state     {byte_size(state.indices + state.linear)}: {byte_size(state.buffer)} in the I/O buffer,"
        f" {byte_size(state.dram)} in DRAM"
    )
    print_line(f"setup     {report.setup.cycles.reuse:,.0f} cycles to load the weights, once; not in the table")
    if report.refresh_estimate is not None:
        refresh = report.refresh_estimate
        print_line(
            f"refresh   every {counted(refresh.every, 'frame')} would add about {refresh.cycles / total.frames:,.0f} cycles a"
            f" frame: speedup {times(refresh.speedup_with_refresh)}, saving"
            f" {percent(refresh.energy_saving_with_refresh)} %; not executed, not in the table"
        )
    if report.guard is not None:
        print_line(f"guard     {guard_text(report.guard)}")
    print_line(f"host      {percent(total.host_share)} % of the baseline's cycles")
    print_line(f"speed     interpreted in {report.run.seconds:.1f} s, {report.run.macs_per_second / 1e9:.2f} GMAC/s")


def guard_text(guard: GuardReport) -> str:
    """How often frames were quantized anew and why, and how many lay beyond the range of their quantizers."""
    resets = ", ".join(f"{number} for {reason}" for reason, number in guard.resets.items())
    text = f"{counted(sum(guard.resets.values()), 'frame')} quantized anew{f' ({resets})' if resets else ''}"
    if not guard.frames_beyond_range:
        return text
    return (
        f"{text}; {counted(guard.frames_beyond_range, 'frame')} beyond what was calibrated: fit a plan to such inputs"
    )


def print_accuracy(accuracy: Accuracy) -> None:
    """The loss against fp32, and the output that it is largest for; where the plan has a budget, whether it holds, and
    which of its bounds the stream has no labels for."""
    print_line(f"loss      {_loss(accuracy)}")
    worst: dict[str, BoundLoss] = {}
    for bound in accuracy.bounds:
        if bound.text not in worst or bound.share > worst[bound.text].share:
            worst[bound.text] = bound
    unlabelled: dict[str, list[str]] = {}
    for unjudged in accuracy.unjudged:
        unlabelled.setdefault(unjudged.text, []).append(unjudged.output)
    verdicts = [
        f"{bound.text} is {'kept' if bound.kept else 'NOT kept'} on this stream: output {bound.output} has {bound.loss:.4g}"
        for bound in worst.values()
    ]
    verdicts += [
        f"{text} is not judged: this stream has no labels of output {', '.join(outputs)}: give __labels_OUTPUT__ or"
        " __labels__ beside its inputs"
        for text, outputs in unlabelled.items()
    ]
    for number, verdict in enumerate(verdicts):
        print_line(f"{'' if number else 'budget':<10}{verdict}")


def _loss(accuracy: Accuracy) -> str:
    if not accuracy.outputs:
        return "the model has no float output"
    worst = max(accuracy.outputs, key=lambda name: accuracy.outputs[name].relrmse)
    error = accuracy.outputs[worst]
    return f"relrmse {error.relrmse:.4g} against fp32; output {worst} is off by at most {error.max_abs:.4g}"
