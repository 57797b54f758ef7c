"""The plan: per site dense or reuse, with which quantizer, and why. JSON that a person can read and edit."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from reuse_compiler.document import Document, ModelRef, Strict, ToolRef
from reuse_compiler.errors import PlanError
from reuse_compiler.guard_plan import GuardPlan
from reuse_compiler.quantizers import LinearQuantizer, Quantizer, TableQuantizer
from reuse_compiler.refresh import RefreshPlan

__all__ = ["AnySpec", "ModelRef", "Plan", "QuantizerSpec", "SitePlan", "TableSpec", "ToolRef", "quantizer_spec"]


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


class SitePlan(Strict):
    """What to do at one site, called by the name of its node."""

    node: str
    input: str
    op: str
    mode: Literal["reuse", "dense"]
    quantizer: AnySpec | None = None
    reason: str = ""


class Plan(Document):
    """What to do with every site of one model; `refresh` and `guard` are what a session does beside."""

    KIND, REMEDY, ERROR = "plan", "fit it again", PlanError

    format_version: Literal[1] = 1
    tool: ToolRef = Field(default_factory=ToolRef)
    model: ModelRef
    state: dict[str, str] = Field(default_factory=dict)
    refresh: RefreshPlan | None = None
    guard: GuardPlan | None = None
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
