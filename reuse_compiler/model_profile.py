"""The profile: what was observed of a model on a stream, per tensor that a site reads. Mergeable; JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from reuse_compiler.document import Document, ModelRef, ToolRef
from reuse_compiler.errors import PlanError
from reuse_compiler.tensor_profile import CountArray, Reading, Strict, TensorProfile, effective_step

__all__ = ["Profile", "SiteProfile", "StreamRef", "Totals"]


class SiteProfile(Strict):
    """One site: which tensor it reads and what an element of it costs.

    Parameters
    ----------
    node, op, input : str
        Name and operator of the node, name of the tensor.
    macs : int
        Multiply-accumulates of a frame.
    fan_out : int64 array [classes]
        Multiply-accumulates that an element takes part in, for each class of the tensor's elements.
    """

    node: str
    op: str
    input: str
    macs: int = Field(ge=0)
    fan_out: CountArray


class StreamRef(Strict):
    """The stream that a profile was made from."""

    names: list[str]
    frames: int = Field(ge=1)
    sequences: int = Field(ge=1)


@dataclass(frozen=True)
class Totals:
    """Over the model. `similarity` by elements, over the sites asked for; `reuse` over all MACs of the model."""

    similarity: Reading
    reuse: Reading


class Profile(Document):
    """What was observed of a model on a stream.

    Parameters
    ----------
    model : ModelRef
        The file it was made from, by path and hash.
    stream : StreamRef
    state : dict
        Inputs that were fed back from outputs.
    macs : int
        Multiply-accumulates of a frame, over the whole model: sites and everything else.
    tensors : dict
        The tensors that sites read, by name.
    sites : list of SiteProfile
        In topological order.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True)
    KIND, REMEDY, ERROR, INDENT = "profile", "profile again", PlanError, None

    format_version: Literal[1] = 1
    tool: ToolRef = Field(default_factory=ToolRef)
    model: ModelRef
    stream: StreamRef
    state: dict[str, str] = Field(default_factory=dict)
    macs: int = Field(ge=0)
    tensors: dict[str, TensorProfile]
    sites: list[SiteProfile]

    @model_validator(mode="after")
    def _consistent(self) -> Profile:
        for site in self.sites:
            tensor = self.tensors.get(site.input)
            if tensor is None:
                raise ValueError(f"site {site.node} reads {site.input}, which is not among the tensors")
            if site.fan_out.shape != tensor.classes.shape:
                raise ValueError(f"site {site.node} and tensor {site.input} differ in classes")
        return self

    def site(self, node: str) -> SiteProfile:
        """The site of that name. Raises PlanError where there is none."""
        for site in self.sites:
            if site.node == node:
                return site
        raise PlanError(f"profile: no site is called {node}: reusec check lists the sites")

    def tensor_of(self, node: str) -> TensorProfile:
        """What the site called `node` reads."""
        return self.tensors[self.site(node).input]

    def similarity(self, node: str, step: float, deadband: float = 0.0) -> Reading:
        """Share of the input elements of site `node` that keep their index at `step`."""
        return self.tensor_of(node).similarity(step, deadband)

    def reuse(self, node: str, step: float, deadband: float = 0.0) -> Reading:
        """Share of the multiply-accumulates of site `node` that are avoided at `step`."""
        site = self.site(node)
        changed, interpolated = self.tensors[site.input].changed(effective_step(step, deadband))
        done = float(changed @ site.fan_out)
        return Reading(1 - done / max(site.macs * self.stream.frames, 1), interpolated, deadband > 0)

    def totals(self, steps: Mapping[str, float], deadbands: Mapping[str, float] | None = None) -> Totals:
        """Similarity and reuse of the model with the sites in `steps` reusing; the others, and all else, are dense.

        `steps` and `deadbands` go by node; a site without a deadband has none.
        """
        similar = elements = avoided = 0.0
        interpolated = estimated = False
        for node, step in steps.items():
            site, deadband = self.site(node), (deadbands or {}).get(node, 0.0)
            similarity, reuse = self.similarity(node, step, deadband), self.reuse(node, step, deadband)
            tensor = self.tensors[site.input]
            count = tensor.elements * tensor.frames / self.stream.frames  # a recurrent site has many steps a frame
            similar += similarity.value * count
            elements += count
            avoided += reuse.value * site.macs
            interpolated |= similarity.interpolated
            estimated |= similarity.estimated
        return Totals(
            Reading(similar / max(elements, 1), interpolated, estimated),
            Reading(avoided / max(self.macs, 1), interpolated, estimated),
        )

    def require(self, model: ModelRef) -> None:
        """Raise PlanError, naming both hashes, unless the profile is of `model`."""
        if self.model.sha256 != model.sha256:
            raise PlanError(
                f"the profile is of {self.model.path} (sha256 {self.model.sha256}), not of {model.path}"
                f" (sha256 {model.sha256}): profile this model"
            )

    def merge(self, other: Profile) -> Profile:
        """The profile of both streams.

        Raises PlanError where they are of different models, or of sites or state that differ.
        """
        self.require(other.model)
        if self.state != other.state:
            raise PlanError(f"profiles with state {self.state} and {other.state} do not merge: profile with the same")
        if [_identity(site) for site in self.sites] != [_identity(site) for site in other.sites]:
            raise PlanError("the profiles have different sites: profile both streams with this version")
        return Profile(
            model=self.model,
            stream=StreamRef(
                names=self.stream.names + other.stream.names,
                frames=self.stream.frames + other.stream.frames,
                sequences=self.stream.sequences + other.stream.sequences,
            ),
            state=self.state,
            macs=self.macs,
            tensors={name: tensor.merge(other.tensors[name]) for name, tensor in self.tensors.items()},
            sites=self.sites,
        )


def _identity(site: SiteProfile) -> tuple[str, str, str, int, list[int]]:
    return site.node, site.op, site.input, site.macs, site.fan_out.tolist()
