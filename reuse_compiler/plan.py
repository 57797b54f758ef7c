"""The plan: per site dense or reuse, with which quantizer, and why. JSON that a person can read and edit."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from reuse_compiler.document import Document, ModelRef, Strict, ToolRef
from reuse_compiler.errors import PlanError
from reuse_compiler.guard_plan import GuardPlan
from reuse_compiler.quantizers import LinearQuantizer, Quantizer, TableQuantizer
from reuse_compiler.refresh import RefreshPlan

__all__ = [
    "AnySpec",
    "BudgetRecord",
    "ModelRef",
    "NextStep",
    "Objective",
    "PartRecord",
    "Plan",
    "QuantizerSpec",
    "SitePlan",
    "TableSpec",
    "ToolRef",
    "quantizer_spec",
]

Objective = Literal["macs", "cycles", "energy", "cpu_time"]
"""What a fit to a budget saves; see :mod:`~reuse_compiler.objectives`."""


class QuantizerSpec(Strict):
    """A linear quantizer as JSON; the floats are the exact float32 values."""

    kind: Literal["linear"] = "linear"
    step: float
    zero: int
    clusters: int
    deadband: float | list[float] = 0.0

    def build(self) -> LinearQuantizer:
        """The quantizer itself. Raises PlanError where a value is out of range."""
        return LinearQuantizer(self.step, self.zero, self.clusters, _tuple(self.deadband))

    @classmethod
    def of(cls, quantizer: LinearQuantizer) -> QuantizerSpec:
        """The JSON form of `quantizer`."""
        deadband = _list(quantizer.deadband)
        return cls(step=quantizer.step, zero=quantizer.zero, clusters=quantizer.clusters, deadband=deadband)


class TableSpec(Strict):
    """A table quantizer as JSON; the floats are the exact float32 values."""

    kind: Literal["table"]
    centroids: list[float]
    deadband: float | list[float] = 0.0

    @property
    def clusters(self) -> int:
        """Number of centroids."""
        return len(self.centroids)

    def build(self) -> TableQuantizer:
        """The quantizer itself. Raises PlanError where a value is out of range."""
        return TableQuantizer(tuple(self.centroids), _tuple(self.deadband))

    @classmethod
    def of(cls, quantizer: TableQuantizer) -> TableSpec:
        """The JSON form of `quantizer`."""
        return cls(kind="table", centroids=list(quantizer.centroids), deadband=_list(quantizer.deadband))


def _kind(spec: object) -> str:
    """The kind that a spec names, or linear."""
    kind = spec.get("kind", "linear") if isinstance(spec, dict) else getattr(spec, "kind", "linear")
    return str(kind)


AnySpec = Annotated[
    Annotated[QuantizerSpec, Tag("linear")] | Annotated[TableSpec, Tag("table")],
    Discriminator(
        _kind,
        custom_error_type="kind",
        custom_error_message="no such kind of quantizer: give linear or table",
    ),
]
"""A quantizer of any kind as JSON."""


def quantizer_spec(quantizer: Quantizer) -> QuantizerSpec | TableSpec:
    """The JSON form of a quantizer of any kind."""
    return TableSpec.of(quantizer) if isinstance(quantizer, TableQuantizer) else QuantizerSpec.of(quantizer)


def _tuple(deadband: float | list[float]) -> float | tuple[float, ...]:
    return tuple(deadband) if isinstance(deadband, list) else deadband


def _list(deadband: float | tuple[float, ...]) -> float | list[float]:
    return list(deadband) if isinstance(deadband, tuple) else deadband


class NextStep(Strict):
    """What the next wider quantizer of a site would have come to, all others as they are, on the first frames of the
    calibration.

    Parameters
    ----------
    factor : float
        Its width over the chosen one, above 1.
    reuse : float
        What it adds to the reuse of the model, a share of its multiply-accumulates, or of what the budget's objective
        counts. Not always positive.
    loss : float
        What it adds to the share of the budget that is used. Not always positive.
    """

    factor: float
    reuse: float
    loss: float


class SitePlan(Strict):
    """What to do at one site, called by the name of its node; `next` is known where a budget chose the quantizer."""

    node: str
    input: str
    op: str
    mode: Literal["reuse", "dense"]
    quantizer: AnySpec | None = None
    reason: str = ""
    next: NextStep | None = None


class PartRecord(Strict):
    """A plan on one part of the recording that it was fitted on.

    Parameters
    ----------
    frames : int
        Of the part.
    reuse : float
        Share of the model's multiply-accumulates avoided.
    loss : float
        Share of the budget used: 1 is the bound.
    weighed : float or None
        Reuse weighed by what layers cost by the objective, where that is another than multiply-accumulates. What reuse
        itself costs is not taken off.
    """

    frames: int
    reuse: float
    loss: float
    weighed: float | None = None


class BudgetRecord(Strict):
    """The budget that a plan was fitted to, and what came of it.

    Parameters
    ----------
    text : str
        As :mod:`~reuse_compiler.budget` describes it.
    calibration, verification : PartRecord
        Of the frames that the plan was chosen on, and of others that it was judged on from a cold start.
    dense_because : str or None
        Why no site reuses; None where any does.
    objective : str
        What the plan saves the most of.
    cut_short_seconds : float or None
        The effort that cut the search short; None where it went to its end.
    """

    text: str
    calibration: PartRecord
    verification: PartRecord
    dense_because: str | None = None
    objective: Objective = "macs"
    cut_short_seconds: float | None = None


class Plan(Document):
    """What to do with every site of one model; `budget` is what it was fitted to, if any; `refresh` and `guard` are what
    a session does beside."""

    KIND, REMEDY, ERROR = "plan", "fit it again", PlanError

    format_version: Literal[1] = 1
    tool: ToolRef = Field(default_factory=ToolRef)
    model: ModelRef
    state: dict[str, str] = Field(default_factory=dict)
    refresh: RefreshPlan | None = None
    guard: GuardPlan | None = None
    budget: BudgetRecord | None = None
    sites: list[SitePlan]

    def quantizers(self) -> dict[str, Quantizer]:
        """Quantizers of the reuse sites by node name.

        Raises PlanError where a site lacks one, a node occurs twice, or sites that read one tensor differ.
        """
        built: dict[str, Quantizer] = {}
        by_tensor: dict[str, tuple[str, Quantizer]] = {}
        names = [site.node for site in self.sites]
        for name in names:
            if names.count(name) > 1:
                raise PlanError(f"plan: site {name} is listed more than once: keep one entry")
        for site in self.sites:
            if site.mode == "dense":
                continue
            if site.quantizer is None:
                raise PlanError(f"plan: site {site.node} is to reuse but has no quantizer: add one or make it dense")
            try:
                quantizer = site.quantizer.build()
            except PlanError as error:
                raise PlanError(f"plan: site {site.node}: {error}") from error
            first = by_tensor.setdefault(site.input, (site.node, quantizer))
            if first[1] != quantizer:
                raise PlanError(
                    f"plan: sites {first[0]} and {site.node} read the same tensor {site.input} but have different"
                    " quantizers: give them one"
                )
            built[site.node] = quantizer
        return built
