"""The report: what reuse saves on a model and a stream, as JSON that others read.

Counts, cycles and energies are sums over all frames of the stream, so that layers add up to the totals.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from reuse_compiler.document import Document, ModelRef, Strict, ToolRef
from reuse_compiler.guard_report import GuardReport

__all__ = [
    "Accuracy",
    "BoundLoss",
    "ExecutorCheck",
    "HardwareRef",
    "LayerReport",
    "OutputAccuracy",
    "Pair",
    "RefreshEstimate",
    "Report",
    "RunStatistics",
    "Setup",
    "StateBytes",
    "StreamStatistics",
    "Totals",
    "UnjudgedBound",
    "Verification",
]


class Pair(Strict):
    """A figure of the baseline and of the reuse machine."""

    baseline: float
    reuse: float


class Components(Strict):
    """Energy by component, of the baseline and of the reuse machine."""

    baseline: dict[str, float]
    reuse: dict[str, float]


class StreamStatistics(Strict):
    """What was run."""

    name: str
    frames: int
    sequences: int


class ConstantRef(Strict):
    """A constant of the cost model: name, value, unit, source."""

    name: str
    value: float | int | str | bool
    unit: str
    source: str


class HardwareRef(Strict):
    """The hardware, with every constant that the costs rest on."""

    name: str
    description: str
    constants: list[ConstantRef]


class Totals(Strict):
    """Sums over the stream. `similarity` is by elements over the reuse sites; `reuse` is 1 - MACs done / all MACs of the
    model; `reuse_nonzero` leaves out the skipped MACs whose input is exactly 0.0; `host_share` is of the baseline's
    cycles."""

    frames: int
    macs: int
    macs_computed: int
    similarity: float
    reuse: float
    reuse_nonzero: float
    speedup: float
    energy_saving: float
    cycles: Pair
    energy_pj: Components
    area_mm2: Pair
    host_share: float


class Setup(Strict):
    """The one-time load of resident weights; not part of the totals."""

    cycles: Pair
    energy_pj: Pair


class StateBytes(Strict):
    """Where the kept state lives: bytes of indices and of linear outputs in each memory."""

    buffer: int
    dram: int
    indices: int
    linear: int


class RefreshEstimate(Strict):
    """What the plan's rolling refresh would add over the stream, once in `every` frames, by what the baseline spends on
    the same layers; and the ratios of the totals with it. The program does not execute it, and the totals leave it out."""

    every: int
    macs: float
    cycles: float
    energy_pj: float
    speedup_with_refresh: float
    energy_saving_with_refresh: float


class OutputAccuracy(Strict):
    """Errors of one output against the fp32 model; `rmse` and `max_abs` are in the unit of the output."""

    relrmse: float
    rmse: float
    max_abs: float


class BoundLoss(Strict):
    """One bound of the plan's budget: its text, the output that it is about, the loss on the stream that was run, and the
    largest that the budget allows."""

    text: str
    output: str
    loss: float
    limit: float

    @property
    def kept(self) -> bool:
        """Whether the loss is within the limit."""
        return self.loss <= self.limit

    @property
    def share(self) -> float:
        """The loss as a share of the limit; of a limit of 0 infinite, unless there is no loss."""
        if self.loss == 0:
            return 0.0
        return self.loss / self.limit if self.limit > 0 else math.inf


class UnjudgedBound(Strict):
    """One bound of the plan's budget against labels that the stream does not have: its text, and the output that it is
    about."""

    text: str
    output: str


class Accuracy(Strict):
    """Loss against the fp32 model on the stream that was run.

    With a budget in the plan, `metric`, `value` and `budget` are those of the bound that uses the largest share of its
    limit: name with threshold and output, loss, limit; `kept` is whether every one of `bounds` holds, and not known where
    all do but some are `unjudged`. Without one, they are the largest relative RMSE of the outputs, and no budget. `outputs`
    has the errors of each float output.
    """

    metric: str
    value: float
    budget: float | None = None
    kept: bool | None = None
    bounds: list[BoundLoss] = Field(default_factory=list)
    unjudged: list[UnjudgedBound] = Field(default_factory=list)
    outputs: dict[str, OutputAccuracy] = Field(default_factory=dict)


class LayerReport(Strict):
    """One layer. Similarity, quantizer and inputs are of reuse layers; others have none. `reuse_nonzero` leaves out the
    skipped MACs whose input is exactly 0.0; reports of earlier versions do not have it."""

    name: str
    op: str
    backend: Literal["reuse", "dense", "host"]
    macs: int
    macs_computed: int
    inputs: int
    similarity: float | None
    reuse: float
    reuse_nonzero: float | None = None
    clusters: int | None
    step: float | None
    deadband: float | list[float] | None
    cycles: Pair
    energy_pj: Pair


class RunStatistics(Strict):
    """The run itself: MACs are the accelerator's; the trace and costing are included, the stream and fp32 are not."""

    seconds: float
    macs_per_second: float
    peak_memory_bytes: int


class ExecutorCheck(Strict):
    """What the replay check of a compilation found on one executor: frames, indices that rounding moved over an edge, and
    the largest deviations of linear outputs and outputs, as shares of their scale."""

    frames: int
    flips: int
    linear: float
    outputs: float


class Verification(Strict):
    """The replay check of a compilation by executor, and how far their outputs are apart: the largest absolute
    difference of each, which is reported and not bounded, since one index on the other side of an edge cascades."""

    executors: dict[str, ExecutorCheck]
    distance: dict[str, float]


class Report(Document):
    """report.json."""

    KIND, REMEDY = "report", "run it again"

    format_version: Literal[1] = 1
    tool: ToolRef = Field(default_factory=ToolRef)
    model: ModelRef
    stream: StreamStatistics
    hardware: HardwareRef
    totals: Totals
    setup: Setup
    state: StateBytes
    accuracy: Accuracy
    layers: list[LayerReport]
    run: RunStatistics
    verification: Verification | None = None
    refresh_estimate: RefreshEstimate | None = None
    guard: GuardReport | None = None
