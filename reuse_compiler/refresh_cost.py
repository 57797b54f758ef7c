"""What a rolling refresh would cost on the accelerator.

A program has no instructions for it: the interpreter never refreshes, and its linear outputs drift like those of any
executor that corrects in float32. So the totals of a report do not include it. What it would add is estimated
here as what the baseline spends on the same layers, once in ``every`` frames. That is dense work from inputs of 4 bytes; from
indices and centroids it would read less and look centroids up.
"""

from __future__ import annotations

from reuse_compiler.backend.accelerator.cost import Costs
from reuse_compiler.backend.accelerator.program import Program
from reuse_compiler.refresh import RefreshPlan
from reuse_compiler.report import RefreshEstimate

__all__ = ["estimate_refresh"]


def estimate_refresh(program: Program, costs: Costs, plan: RefreshPlan) -> RefreshEstimate:
    """The estimate over all frames of `costs`; a recurrent layer keeps one of its time steps and refreshes only that."""
    plan.check()
    steps = {site.layer: max(site.time_steps, 1) for site in program.reuse.sites}
    parts = {layer: 1 / (plan.every * number) for layer, number in steps.items()}
    baseline, reuse = costs.baseline, costs.reuse
    cycles = sum(float(baseline.cycles[layer]) * part for layer, part in parts.items())
    energy = sum(sum(baseline.energy_pj[layer].values()) * part for layer, part in parts.items())
    with_cycles, with_energy = reuse.total_cycles + cycles, reuse.total_energy_pj + energy
    return RefreshEstimate(
        every=plan.every,
        macs=sum(program.layers[layer].macs * costs.frames * part for layer, part in parts.items()),
        cycles=cycles,
        energy_pj=energy,
        speedup_with_refresh=baseline.total_cycles / with_cycles if with_cycles else 0.0,
        energy_saving_with_refresh=1 - with_energy / baseline.total_energy_pj if baseline.total_energy_pj else 0.0,
    )
