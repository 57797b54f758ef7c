"""What the result depends on: one thing at a time, from the paper's scheme on the default hardware.

Clusters and a dense first CONV are runs of their own; weights that are resident or streamed are a lowering of their own,
run again; everything else is costed anew from one trace.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from reuse_compiler.backend.accelerator.cost import cost_trace, trace_columns
from reuse_compiler.backend.accelerator.hardware import Hardware, load_hardware
from reuse_compiler.backend.accelerator.program_file import digest
from reuse_compiler.backend.accelerator.trace import TraceReader
from reuse_compiler.plan import Plan
from reuse_compiler.reproduce.documents import Setting
from reuse_compiler.reproduce.network import Execution, Lowered, Prepared, execute, lowered
from reuse_compiler.sites import find_sites

__all__ = ["CLUSTERS", "COSTED", "Savings", "Variation", "merged", "sensitivity"]

CLUSTERS = (8, 16, 32, 64, 128, 256)
_MACRO = "isca18-macro"
_RESIDENT_BYTES = 1 << 30
_STREAMING_BYTES = 1 << 20

Source = Literal["trace", "lowering", "run"]


@dataclass(frozen=True)
class Variation:
    """A row of the table: what is varied and to what, and where its costs come from."""

    varied: str
    value: str
    source: Source


@dataclass(frozen=True)
class Savings:
    """What reuse brings there, the baseline having the same constants."""

    speedup: float
    energy_saving: float
    reuse: float
    reuse_nonzero: float


_CONSTANTS: tuple[tuple[str, str, Mapping[str, object]], ...] = (
    *(("quantizer width, inputs a cycle", f"{n}", {"quantizer.inputs_per_cycle": n}) for n in (1, 2, 4, 8, 16)),
    ("scan", "before the multiply-accumulates", {"quantizer.overlapped": False}),
    *(("DRAM bandwidth, GB/s", f"{n / 2:g}", {"dram.bytes_per_cycle": n}) for n in (12.8, 25.6, 51.2, 102.4)),
    *(("lanes", f"{n}", {"compute.lanes": n}) for n in (64, 128, 256, 512)),
)

COSTED: Mapping[Variation, Mapping[str, object]] = {
    Variation(varied, value, "trace"): constants for varied, value, constants in _CONSTANTS
}
"""What a trace is costed with anew: constants of the hardware. The tiling stays that of 128 lanes."""

Row = tuple[Variation, Savings]


def sensitivity(ready: Prepared, scheme: Lowered) -> Iterator[Row]:
    """The rows of one network, of which `scheme` is the paper's. The first is the default."""
    recording, frames = ready.evaluation, ready.sizes.sensitivity

    def run(what: str, plan: Plan, hardware: Hardware | None = None) -> Savings:
        ready.say(f"sensitivity: {what}")
        return _of_report(execute(ready, lowered(ready, plan, hardware), recording, frames=frames))

    ready.say("sensitivity: default")
    base = execute(ready, scheme, recording, frames=frames)
    default = _of_report(base)
    yield Variation("default", "", "run"), default
    for variation, constants in COSTED.items():
        yield variation, _costed(base, ready.hardware.varied(constants))
    yield Variation("eDRAM", f"profile {_MACRO}", "trace"), _costed(base, load_hardware(_MACRO))
    for clusters in CLUSTERS:
        same = clusters == ready.workload.clusters
        found = default if same else run(f"{clusters} clusters", ready.fitted(clusters))
        yield Variation("clusters", str(clusters), "run"), found
    first = find_sites(ready.model)[0]
    if first.kind == "conv":
        yield Variation("first CONV", "dense", "run"), run("first CONV dense", ready.fitted(exclude=[first.node]))
    fit = scheme.program.constants.nbytes <= ready.hardware.edram.bytes.value
    for value, size, same in (("resident", _RESIDENT_BYTES, fit), ("streamed", _STREAMING_BYTES, not fit)):
        other = ready.hardware.varied({"edram.bytes": size})
        yield Variation("weights", value, "lowering"), default if same else run(f"weights {value}", scheme.plan, other)


def _of_report(done: Execution) -> Savings:
    totals = done.report.totals
    return Savings(totals.speedup, totals.energy_saving, totals.reuse, totals.reuse_nonzero)


def _costed(base: Execution, hardware: Hardware) -> Savings:
    """Costs of the trace on other constants."""
    trace = TraceReader.open(base.trace, digest(base.program), trace_columns(base.program))
    costs = cost_trace(base.program, trace.blocks(), trace.sequences, hardware)
    totals = base.report.totals
    return Savings(costs.speedup, costs.energy_saving, totals.reuse, totals.reuse_nonzero)


def merged(rows: Mapping[str, list[Row]]) -> list[Setting]:
    """One table of the rows of several networks, by name; a network that a row does not fit is left out there."""
    found: dict[Variation, dict[str, Savings]] = {}
    for name, of_network in rows.items():
        for variation, what in of_network:
            found.setdefault(variation, {})[name] = what
    return [
        Setting(
            varied=variation.varied,
            value=variation.value,
            source=variation.source,
            speedup={name: what.speedup for name, what in by_network.items()},
            energy_saving={name: what.energy_saving for name, what in by_network.items()},
            reuse={name: what.reuse for name, what in by_network.items()},
            reuse_nonzero={name: what.reuse_nonzero for name, what in by_network.items()},
        )
        for variation, by_network in found.items()
    ]
