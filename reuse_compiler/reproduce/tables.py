"""The tables of a reproduction, as text cells: the page and the command line show the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from reuse_compiler.report import Report
from reuse_compiler.reproduce import paper
from reuse_compiler.reproduce.documents import NetworkResult, Reproduction, Run, Setting

__all__ = [
    "Table",
    "accuracy",
    "counted",
    "energy",
    "layers",
    "levers",
    "memory",
    "overview",
    "processors",
    "same_input",
    "sensitivity",
]

_NOTHING = "–"


@dataclass(frozen=True)
class Table:
    """A table: its title, its columns, its rows, the lines that explain it, the columns that hold text and stand at the
    left, and those that a narrow terminal does without, the first of them first."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    text: frozenset[int] = frozenset({0})
    spare: tuple[str, ...] = ()


def counted(reproduction: Reproduction) -> list[NetworkResult]:
    """The networks that averages are of."""
    return [network for network in reproduction.networks if network.counted]


def overview(reproduction: Reproduction) -> Table:
    """Similarity, reuse, speedup and saving of every network and on average, the paper's below."""
    rows = [_overview_row(network, network.runs[0].report) for network in reproduction.networks]
    averaged = counted(reproduction)
    whole = {network.paper for network in averaged} == set(paper.NETWORKS)
    if whole:
        totals = [network.runs[0].report.totals for network in averaged]
        rows.append(
            (
                "mean of the four",
                "",
                "",
                "",
                "",
                _percent(fmean(total.similarity for total in totals)),
                _percent(fmean(total.reuse for total in totals)),
                _percent(fmean(total.reuse_nonzero for total in totals)),
                f"{fmean(total.speedup for total in totals):.2f}",
                _percent(fmean(total.energy_saving for total in totals)),
            )
        )
    rows.append(
        (
            "paper, mean",
            "",
            "",
            "",
            "",
            f"{_percent(paper.MEAN_SIMILARITY.values[0])} [{paper.MEAN_SIMILARITY.tag}]",
            f"{_percent(paper.MEAN_REUSE.values[0])} [{paper.MEAN_REUSE.tag}]",
            _NOTHING,
            f"about {paper.SPEEDUP.values[0]:g} [{paper.SPEEDUP.tag}]",
            f"{_percent(paper.ENERGY_SAVING.values[0])} [{paper.ENERGY_SAVING.tag}]",
        )
    )
    return Table(
        "What reuse brings",
        (
            "network",
            "clusters",
            "parameters",
            "MACs a frame",
            "frames",
            "similarity %",
            "reuse %",
            "without zeros %",
            "speedup",
            "energy saving %",
        ),
        tuple(rows),
        "The paper's scheme: linear quantizers of as many clusters as the paper's, over the range that calibration data"
        " showed, run on other data than that. *Without zeros* leaves out what was skipped where the input is exactly 0.0:"
        " a machine that skips zeros saves that without any reuse. The paper's sets, of which it is not known which value"
        f" belongs to which network: similarity {_set(paper.SIMILARITY)}, reuse {_set(paper.REUSE)}. Reuse that large bounds"
        f" a machine that is bound by its multipliers at {_bounds()}, {_mean_bound():.2f} on average: the remembered"
        f" {paper.SPEEDUP.values[0]:g} exceeds that.",
        spare=("frames", "MACs a frame", "parameters", "clusters", "without zeros %"),
    )


def _overview_row(network: NetworkResult, report: Report) -> tuple[str, ...]:
    total = report.totals
    return (
        network.name,
        network.runs[0].quantizers.partition(" ")[0],
        f"{network.parameters:,}",
        f"{network.macs:,}",
        f"{total.frames:,}",
        _percent(total.similarity),
        _percent(total.reuse),
        _percent(total.reuse_nonzero),
        f"{total.speedup:.2f}",
        _percent(total.energy_saving),
    )


def accuracy(reproduction: Reproduction) -> Table:
    """Every run with its accuracy, fp32 beside it."""
    rows = []
    for network in reproduction.networks:
        known = paper.NETWORKS[network.paper].accuracy
        published = f"{known.values[0]:.2f} [{known.tag}]" if network.metric or network.counted else _NOTHING
        for number, run in enumerate(network.runs):
            rows.append(
                (
                    network.name if number == 0 else "",
                    network.metric or "none: weights are seeded" if number == 0 else "",
                    run.quantizers.replace("reuse_compiler.models.", ""),
                    run.recording,
                    _score(network.score_fp32) if run.score is not None and _same_recording(network, run) else _NOTHING,
                    _score(run.score),
                    _lost(network, run),
                    f"{max(output.relrmse for output in run.report.accuracy.outputs.values()):.3f}",
                    _percent(run.report.totals.reuse),
                    _percent(run.report.totals.reuse_nonzero),
                    f"{run.report.totals.speedup:.2f}",
                    _percent(run.report.totals.energy_saving),
                    published if number == 0 else "",
                )
            )
    return Table(
        "Accuracy",
        (
            "network",
            "metric, %",
            "quantizers",
            "recording",
            "fp32",
            "with reuse",
            "lost, points",
            "relative RMSE",
            "reuse %",
            "without zeros %",
            "speedup",
            "energy saving %",
            "paper, fp32",
        ),
        tuple(rows),
        "The paper's accuracies are of other data and other weights. A budgeted plan keeps its bound on the data that"
        " it was fitted to, other held-out seeds: 1 % of frames, labels or clips, and of the steering angle the network's own"
        " error against geometry, 0.0042 rad. *Relative RMSE* is of the outputs against fp32.",
        frozenset({0, 1, 2, 3}),
        ("paper, fp32", "metric, %", "without zeros %", "energy saving %", "fp32", "recording", "relative RMSE"),
    )


def _same_recording(network: NetworkResult, run: Run) -> bool:
    """Whether `run` is on the recording that fp32 was scored on."""
    return run.recording == network.runs[0].recording


def _lost(network: NetworkResult, run: Run) -> str:
    if network.score_fp32 is None or run.score is None or not _same_recording(network, run):
        return _NOTHING
    return f"{network.score_fp32 - run.score:+.2f}"


def layers(network: NetworkResult) -> Table:
    """The layers of one network: dimensions, parameters and MACs of the file; similarity and reuse of the first run."""
    report = network.runs[0].report
    rows = [
        (
            layer.name,
            layer.op,
            _shape(layer.input),
            _shape(layer.output),
            f"{layer.parameters:,}",
            f"{layer.macs:,}",
            *_observed(report, layer.name),
        )
        for layer in network.layers
    ]
    total = report.totals
    rows.append(
        (
            "total",
            "",
            "",
            "",
            f"{network.parameters:,}",
            f"{network.macs:,}",
            _percent(total.similarity),
            _percent(total.reuse),
            _percent(total.reuse_nonzero),
            f"{total.speedup:.2f}",
            _percent(total.energy_saving),
        )
    )
    return Table(
        f"Layers of {network.name}",
        (
            "layer",
            "op",
            "input",
            "output",
            "parameters",
            "MACs a frame",
            "similarity %",
            "reuse %",
            "without zeros %",
            "speedup",
            "energy saving %",
        ),
        tuple(rows),
        f"A frame is {network.frame}. The total counts what has no weights, too.",
        frozenset({0, 1}),
    )


def _observed(report: Report, name: str) -> tuple[str, ...]:
    """Of a layer of the report; of a recurrent one over its sites."""
    found = [layer for layer in report.layers if layer.name == name or layer.name.startswith(f"{name}.")]
    inputs, macs = sum(layer.inputs for layer in found), sum(layer.macs for layer in found)
    if not found or not inputs:
        return (_NOTHING,) * 5
    similar = sum((layer.similarity or 0.0) * layer.inputs for layer in found) / inputs
    reused = 1 - sum(layer.macs_computed for layer in found) / macs
    nonzero = sum((layer.reuse_nonzero or 0.0) * layer.macs for layer in found) / macs
    cycles = [sum(getattr(layer.cycles, kind) for layer in found) for kind in ("baseline", "reuse")]
    spent = [sum(getattr(layer.energy_pj, kind) for layer in found) for kind in ("baseline", "reuse")]
    speedup = f"{cycles[0] / cycles[1]:.2f}" if cycles[1] else _NOTHING
    return _percent(similar), _percent(reused), _percent(nonzero), speedup, _percent(1 - spent[1] / spent[0])


def energy(reproduction: Reproduction) -> Table:
    """Energy by component, as a share of the baseline's total."""
    rows = []
    for network in reproduction.networks:
        parts = network.runs[0].report.totals.energy_pj
        whole = sum(parts.baseline.values())
        frames = network.runs[0].report.totals.frames
        for kind, spent in (("baseline", parts.baseline), ("reuse", parts.reuse)):
            total = sum(spent.values())
            rows.append(
                (
                    network.name if kind == "baseline" else "",
                    kind,
                    *(_percent(value / whole) for value in spent.values()),
                    _percent(total / whole),
                    _digits(total / frames / 1e6),
                )
            )
    components = list(reproduction.networks[0].runs[0].report.totals.energy_pj.baseline)
    return Table(
        "Normalized energy by component",
        ("network", "machine", *(f"{component} %" for component in components), "total %", "µJ a frame"),
        tuple(rows),
        "Shares of the baseline's total. The leakage of a unit is in its component. That savings appear in every component and"
        " are largest in the eDRAM is [known] of the paper.",
        frozenset({0, 1}),
        ("host %", "tables %", "quantizer %", "special %", "µJ a frame"),
    )


def memory(reproduction: Reproduction) -> Table:
    """Area, and what is kept from frame to frame."""
    rows = []
    for network in reproduction.networks:
        state = network.runs[0].report.state
        rows.append(
            (
                network.name,
                f"{state.indices:,}",
                f"{state.linear:,}",
                f"{state.buffer:,}",
                f"{state.dram:,}",
            )
        )
    area = reproduction.networks[0].runs[0].report.totals.area_mm2
    return Table(
        "Memory and area",
        ("network", "indices, bytes", "linear outputs, bytes", "in the I/O buffer", "in DRAM"),
        tuple(rows),
        f"Area {area.baseline:.2f} mm2 without and {area.reuse:.2f} mm2 with reuse, {area.reuse / area.baseline - 1:.2%} more;"
        f" the paper's {paper.AREA_MM2.values[0]:g} and {paper.AREA_MM2.values[1]:g} mm2, described as less than 1 %"
        f" [{paper.AREA_MM2.tag}]. The reuse machine's I/O buffer is larger by 131,072 bytes [memory].",
    )


def processors(reproduction: Reproduction) -> Table:
    """Time and energy of a frame on the accelerator, on this machine's CPU, and on the paper's CPU and GPU."""
    rows = []
    for network in reproduction.networks:
        report = network.runs[0].report
        seconds, joules = _frame_costs(report)
        rows.append((network.name, "accelerator with reuse", "simulated", *_costs(seconds, joules, seconds, joules)))
        base = _frame_costs(report, "baseline")
        rows.append(("", "accelerator, baseline", "simulated", *_costs(*base, seconds, joules)))
        cpu = network.cpu
        rows.append(
            (
                "",
                f"{cpu.machine}, {cpu.threads} threads",
                "measured",
                *_costs(cpu.frame_seconds, cpu.frame_joules, seconds, joules),
            )
        )
        rows.extend(
            ("", other.name, "roofline model", *_costs(other.frame_seconds, other.frame_joules, seconds, joules))
            for other in network.processors
        )
    return Table(
        "Against CPU and GPU",
        ("network", "machine", "how", "ms a frame", "mJ a frame", "times slower", "times the energy"),
        tuple(rows),
        "Beside the accelerator with reuse. This machine's CPU runs stock onnxruntime, batch 1; its energy is read from RAPL,"
        " and `–` says that the machine has none that may be read. The roofline is a model, not a measurement; its constants"
        " are in `reuse_compiler/reproduce/processors.py`, and layers that are bound by arithmetic are taken at the peak rate,"
        " which no library reaches. Below 1 the other machine is faster than this accelerator, whose 128 lanes do 64 GMAC/s"
        " at most. The paper's"
        " own ratios are [unknown].",
        frozenset({0, 1, 2}),
        ("how", "times the energy"),
    )


def _frame_costs(report: Report, kind: str = "reuse") -> tuple[float, float]:
    """Seconds and joules of a frame."""
    clock = next(
        float(constant.value) for constant in report.hardware.constants if constant.name == "clock.frequency_hz"
    )
    totals = report.totals
    spent: dict[str, float] = getattr(totals.energy_pj, kind)
    return getattr(totals.cycles, kind) / clock / totals.frames, sum(spent.values()) / 1e12 / totals.frames


def _costs(seconds: float, joules: float | None, of_seconds: float, of_joules: float) -> tuple[str, ...]:
    return (
        _digits(seconds * 1e3),
        _NOTHING if joules is None else _digits(joules * 1e3),
        _digits(seconds / of_seconds),
        _NOTHING if joules is None else _digits(joules / of_joules),
    )


def _digits(value: float) -> str:
    """Four digits, and never an exponent above a thousand."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def same_input(reproduction: Reproduction) -> Table:
    """The cost model at the paper's own rates."""
    found = reproduction.same_input
    rows = [
        (
            one.network,
            _percent(one.reuse),
            f"{one.speedup:.2f}",
            f"{one.speedup_bound:.2f}",
            _percent(one.speedup / one.speedup_bound),
            _percent(one.energy_saving),
        )
        for one in found
    ]
    if len(found) == len(paper.REUSE_ORDER):
        rows.append(
            (
                "mean of the four",
                _percent(fmean(one.reuse for one in found)),
                f"{fmean(one.speedup for one in found):.2f}",
                f"{_mean_bound():.2f}",
                "",
                _percent(fmean(one.energy_saving for one in found)),
            )
        )
    rows.append(
        (
            "paper, mean",
            f"{_percent(paper.MEAN_REUSE.values[0])} [{paper.MEAN_REUSE.tag}]",
            f"about {paper.SPEEDUP.values[0]:g} [{paper.SPEEDUP.tag}]",
            "",
            "",
            f"{_percent(paper.ENERGY_SAVING.values[0])} [{paper.ENERGY_SAVING.tag}]",
        )
    )
    return Table(
        "The same-input check",
        ("network", "reuse, drawn %", "speedup", "bound 1 / (1 - reuse)", "% of the bound", "energy saving %"),
        tuple(rows),
        "What the cost model says when changed inputs are drawn at random at the paper's own reuse rates, so that no difference"
        " in data, weights or quantizers comes in. Which rate belongs to which network is an assumption: speech below video.",
    )


def levers(reproduction: Reproduction) -> Table:
    """Which constant moves what, on average over the networks of the same-input check."""
    return _settings_table(
        "Which constant moves what",
        reproduction.levers,
        "The same-input check with one constant of the hardware changed at a time, for baseline and reuse alike.",
        with_reuse=False,
    )


def sensitivity(reproduction: Reproduction) -> Table:
    """What the result depends on."""
    return _settings_table(
        "Sensitivity",
        reproduction.sensitivity,
        "One thing at a time from the default, the paper's scheme on the first frames of the evaluation stream; the baseline"
        " has the same constants. *trace*: costs of the default run's trace made anew, its tiling that of 128 lanes;"
        " *lowering*: lowered anew and run; *run*: another plan, run. `–`: the network has no CONV.",
        with_reuse=True,
    )


def _settings_table(title: str, settings: Sequence[Setting], note: str, *, with_reuse: bool) -> Table:
    names = list(dict.fromkeys(name for setting in settings for name in setting.speedup))
    rows = []
    for setting in settings:
        cells = [setting.varied, setting.value, *([setting.source] if with_reuse else [])]
        cells += [_cell(setting.speedup.get(name), "{:.2f}") for name in names]
        cells += [_cell(setting.energy_saving.get(name)) for name in names]
        if with_reuse:
            cells += [_both(setting, name) for name in names]
        rows.append(tuple(cells))
    kinds = ["speedup", "saving %", *(["reuse, without zeros %"] if with_reuse else [])]
    heads = [f"{name} {kind}" for kind in kinds for name in names]
    lead = ("varied", "to", *(("from",) if with_reuse else ()))
    return Table(title, (*lead, *heads), tuple(rows), note, frozenset(range(len(lead))))


def _cell(value: float | None, show: str | None = None) -> str:
    if value is None:
        return _NOTHING
    return _percent(value) if show is None else show.format(value)


def _both(setting: Setting, name: str) -> str:
    if name not in setting.reuse:
        return _NOTHING
    return f"{_percent(setting.reuse[name])}, {_percent(setting.reuse_nonzero[name])}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _score(score: float | None) -> str:
    return _NOTHING if score is None else f"{score:.2f}"


def _shape(shape: Sequence[int]) -> str:
    return "x".join(str(size) for size in shape)


def _set(fact: paper.Fact) -> str:
    return f"{{{', '.join(f'{100 * value:.0f}' for value in fact.values)}}} % [{fact.tag}]"


def _bounds() -> str:
    return f"{{{', '.join(f'{paper.speedup_bound(value):.2f}' for value in paper.REUSE.values)}}}"


def _mean_bound() -> float:
    return fmean(paper.speedup_bound(value) for value in paper.REUSE.values)
