"""Sites where a plan's quantizers save work and yet cost more than they save: they had better stay dense."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reuse_compiler.backend.accelerator.cost import CostModel, MachineCost
from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.break_even import break_even
from reuse_compiler.frontend import Model
from reuse_compiler.objectives import Objective
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan
from reuse_compiler.quantizers import LinearQuantizer
from reuse_compiler.simulation import Simulator
from reuse_compiler.sites import Site
from reuse_compiler.streams import Frame
from reuse_compiler.trial import Trial

__all__ = ["dearer_on_the_accelerator", "slower_on_a_cpu"]

Quantizers = Mapping[str, LinearQuantizer]
"""By tensor; those that are not in it are dense."""

_UNITS: dict[Objective, str] = {"cycles": "cycles", "energy": "pJ"}


@dataclass(frozen=True)
class _Group:
    """Sites that reuse together or not at all: those that read one tensor, and those of one recurrent layer."""

    tensors: frozenset[str]
    sites: tuple[Site, ...]

    @property
    def rows(self) -> set[str]:
        """Layers of a program that costs are booked on."""
        return {name for site in self.sites for name in (site.node, site.of)}


def dearer_on_the_accelerator(
    model: Model,
    sites: Sequence[Site],
    quantizers: Quantizers,
    frames: Sequence[Frame],
    state: Mapping[str, str],
    objective: Objective,
    hardware: Hardware,
    threads: int,
) -> dict[str, str]:
    """By tensor, why it is better not quantized: its layers cost more with reuse than the baseline's do.

    The plan is lowered and simulated on `frames`. The first of them, which everything changes in, is not counted where
    there are others: `objective` "cycles" or "energy" of the rest.

    Raises HardwareError where a layer does not fit `hardware`.
    """
    plan = Plan(
        model=ModelRef(path=str(model.path), sha256=model.sha256),
        state=dict(state),
        sites=[_site_plan(site, quantizers.get(site.input)) for site in sites],
    )
    program = lower(rewrite(model, plan), hardware.tiling, model.sha256)
    simulator, costs = Simulator(program, model, state, threads), CostModel(program, hardware)
    rows = np.array([simulator.run(frame).row.copy() for frame in frames])
    costs.add(rows[min(1, len(rows) - 1) :])
    total = costs.costs()
    names = [info.name for info in program.layers]
    reuse, baseline = (
        dict(zip(names, _spent(machine, objective), strict=True)) for machine in (total.reuse, total.baseline)
    )
    why: dict[str, str] = {}
    for group in _groups(sites, quantizers):
        layers = [name for name in names if name in group.rows]
        with_it, without = (sum(spent[name] for name in layers) / total.frames for spent in (reuse, baseline))
        if with_it > without:
            text = f"dense: {with_it:,.1f} {_UNITS[objective]} a frame with reuse, {without:,.1f} without"
            why |= dict.fromkeys(group.tensors, text)
    return why


def slower_on_a_cpu(
    trial: Trial, sites: Sequence[Site], quantizers: Quantizers, frames: Sequence[Frame], state: Mapping[str, str]
) -> dict[str, str]:
    """By tensor, why it is better not quantized: fewer of its elements stay on `frames`, the first not counted where there
    are others, than its sites' :func:`~reuse_compiler.break_even.break_even`. Of sites that go together, the mean counts,
    weighed by multiply-accumulates."""
    changed = np.array([frame.changed for frame in trial.run(quantizers, frames, state)], np.float64)
    shares = changed[min(1, len(changed) - 1) :].mean(axis=0)
    unchanged = {
        site.node: 1 - share / slot.elements
        for slot, share in zip(trial.slots, shares, strict=True)
        for site in slot.sites
    }
    why: dict[str, str] = {}
    for group in _groups(sites, quantizers):
        macs = sum(site.macs for site in group.sites) or 1
        needed = sum(_needed(site) * site.macs for site in group.sites) / macs
        stays = sum(unchanged[site.node] * site.macs for site in group.sites) / macs
        if needed >= 1:
            why |= dict.fromkeys(group.tensors, "dense: on a CPU it takes longer with reuse, however little changes")
        elif stays <= needed:
            text = f"dense: {stays:.1%} of its inputs stay, on a CPU reuse pays above {needed:.1%}"
            why |= dict.fromkeys(group.tensors, text)
    return why


def _needed(site: Site) -> float:
    """Its break-even; all inputs where there is none."""
    share = break_even(site)
    return 1.0 if share is None else share


def _groups(sites: Sequence[Site], quantizers: Quantizers) -> Iterator[_Group]:
    """The quantized sites, those that go together at once."""
    left = [site for site in sites if site.input in quantizers]
    while left:
        members = [left[0]]
        while True:
            tensors, layers = {site.input for site in members}, {site.of for site in members}
            grown = [site for site in left if site.input in tensors or site.of in layers]
            if len(grown) == len(members):
                break
            members = grown
        yield _Group(frozenset(tensors), tuple(members))
        left = [site for site in left if site not in members]


def _site_plan(site: Site, quantizer: LinearQuantizer | None) -> SitePlan:
    if quantizer is None:
        return SitePlan(node=site.node, input=site.input, op=site.op, mode="dense")
    spec = QuantizerSpec.of(quantizer)
    return SitePlan(node=site.node, input=site.input, op=site.op, mode="reuse", quantizer=spec)


def _spent(machine: MachineCost, objective: Objective) -> list[float]:
    if objective == "cycles":
        return [float(cycles) for cycles in machine.cycles]
    return [sum(energy.values()) for energy in machine.energy_pj]
