"""The plan: per site dense or reuse, with which quantizer, and why. JSON that a person can read and edit."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from reuse_compiler.document import Document, ModelRef, Strict, ToolRef
from reuse_compiler.errors import PlanError
from reuse_compiler.quantizers import LinearQuantizer

__all__ = ["ModelRef", "Plan", "QuantizerSpec", "SitePlan", "ToolRef"]


class QuantizerSpec(Strict):
    """A quantizer as JSON; the floats are the exact float32 values."""

    kind: Literal["linear"] = "linear"
    step: float
    zero: int
    clusters: int
    deadband: float | list[float] = 0.0

    def build(self) -> LinearQuantizer:
        """The quantizer itself. Raises PlanError where a value is out of range."""
        deadband = tuple(self.deadband) if isinstance(self.deadband, list) else self.deadband
        return LinearQuantizer(self.step, self.zero, self.clusters, deadband)

    @classmethod
    def of(cls, quantizer: LinearQuantizer) -> QuantizerSpec:
        """The JSON form of `quantizer`."""
        deadband = list(quantizer.deadband) if isinstance(quantizer.deadband, tuple) else quantizer.deadband
        return cls(step=quantizer.step, zero=quantizer.zero, clusters=quantizer.clusters, deadband=deadband)


class SitePlan(Strict):
    """What to do at one site, called by the name of its node."""

    node: str
    input: str
    op: str
    mode: Literal["reuse", "dense"]
    quantizer: QuantizerSpec | None = None
    reason: str = ""


class Plan(Document):
    """What to do with every site of one model."""

    KIND, REMEDY, ERROR = "plan", "fit it again", PlanError

    format_version: Literal[1] = 1
    tool: ToolRef = Field(default_factory=ToolRef)
    model: ModelRef
    state: dict[str, str] = Field(default_factory=dict)
    sites: list[SitePlan]

    def quantizers(self) -> dict[str, LinearQuantizer]:
        """Quantizers of the reuse sites by node name.

        Raises PlanError where a site lacks one, a node occurs twice, or sites that read one tensor differ.
        """
        built: dict[str, LinearQuantizer] = {}
        by_tensor: dict[str, tuple[str, LinearQuantizer]] = {}
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
