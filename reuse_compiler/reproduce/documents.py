"""What `reproduce` finds, as JSON that others read."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from reuse_compiler.document import Document, Strict, ToolRef
from reuse_compiler.report import Report

__all__ = [
    "CpuTime",
    "LayerShape",
    "NetworkResult",
    "ProcessorEstimate",
    "Reproduction",
    "Run",
    "SameInput",
    "Setting",
]


class LayerShape(Strict):
    """A layer as its network defines it: shapes of a frame, parameters with biases, multiply-accumulates of a frame."""

    name: str
    op: str
    input: tuple[int, ...]
    output: tuple[int, ...]
    parameters: int
    macs: int


class Run(Strict):
    """One execution on the interpreter.

    `quantizers` says how the plan was made; `score` is in percent, by the network's metric, None where the recording has
    no labels or the weights are not trained.
    """

    quantizers: str
    recording: str
    score: float | None
    report: Report


class CpuTime(Strict):
    """This machine's CPU in stock onnxruntime, all threads: median time of a frame, and its energy where the machine
    measures it (RAPL, the whole package)."""

    machine: str
    threads: int
    frame_seconds: float
    frame_joules: float | None


class ProcessorEstimate(Strict):
    """A processor of the paper's comparison by a roofline: a model, not a measurement."""

    name: str
    frame_seconds: float
    frame_joules: float


class SameInput(Strict):
    """The cost model on changed inputs that are drawn at random at a rate of the paper."""

    network: str
    reuse: float
    drawn_reuse: float
    speedup: float
    speedup_bound: float
    energy_saving: float


class Setting(Strict):
    """One row of the sensitivity table: what was varied and to what; by network the speedup, the energy saving (shares of
    the baseline with the same constants) and the reuse, with and without inputs of 0.0. `source` says whether costs alone were made anew, or a lowering,
    or a run."""

    varied: str
    value: str
    source: Literal["trace", "lowering", "run"]
    speedup: dict[str, float]
    energy_saving: dict[str, float]
    reuse: dict[str, float]
    reuse_nonzero: dict[str, float]


class NetworkResult(Strict):
    """Everything about one network. The first of `runs` is the paper's scheme on held-out data."""

    name: str
    paper: str
    frame: str
    counted: bool
    parameters: int
    macs: int
    layers: list[LayerShape]
    metric: str
    score_fp32: float | None
    budget: str | None = None
    budget_note: str | None = None
    runs: list[Run]
    cpu: CpuTime
    processors: list[ProcessorEstimate]
    seconds: float


class Reproduction(Document):
    """reproduction.json."""

    KIND, REMEDY = "reproduction", "run reusec reproduce again"

    format_version: Literal[1] = 1
    tool: ToolRef = Field(default_factory=ToolRef)
    quick: bool
    recording: str | None
    hardware: str
    networks: list[NetworkResult]
    same_input: list[SameInput]
    levers: list[Setting]
    sensitivity: list[Setting]
    seconds: float
    peak_memory_bytes: int
