"""What a fit to a budget saves: multiply-accumulates, cycles or energy of the accelerator, or time on a CPU.

=========  ===========================================================================================================
macs       multiply-accumulates
cycles     of the accelerator: what the baseline spends on each layer
energy     of the accelerator: the same
cpu_time   what each layer takes in onnxruntime on one thread, measured on this machine
=========  ===========================================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

import numpy as np

from reuse_compiler.backend.accelerator.cost import CostModel
from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.break_even import break_even
from reuse_compiler.frontend import Model
from reuse_compiler.layer_times import layer_times
from reuse_compiler.macs import model_macs
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import ModelRef, Objective, Plan, SitePlan
from reuse_compiler.sites import Site
from reuse_compiler.streams import Frame
from reuse_compiler.trial import Slot

__all__ = ["OBJECTIVES", "Objective", "Worth", "accelerator_worth", "cpu_worth", "macs_worth"]

OBJECTIVES: tuple[Objective, ...] = get_args(Objective)

Worth = dict[str, float]
"""By slot, the share of the model's cost that is avoided where none of its elements changes."""


def macs_worth(model: Model, sites: Sequence[Site], slots: Sequence[Slot]) -> Worth:
    """By multiply-accumulates."""
    macs = model_macs(model, sites)
    return {slot.name: slot.macs / max(macs, 1) for slot in slots}


def accelerator_worth(
    model: Model, sites: Sequence[Site], slots: Sequence[Slot], objective: Objective, hardware: Hardware
) -> Worth:
    """By what the baseline spends on the layers of a slot, in cycles or energy; it is costed, not executed.

    Raises HardwareError, or what lowering raises, where the model does not fit `hardware`.
    """
    dense = Plan(
        model=ModelRef(path=str(model.path), sha256=model.sha256),
        sites=[SitePlan(node=site.node, input=site.input, op=site.op, mode="dense") for site in sites],
    )
    program = lower(rewrite(model, dense), hardware.tiling, model.sha256)
    costs = CostModel(program, hardware)
    costs.add(np.zeros((1, costs.columns), np.int64))
    baseline = costs.costs().baseline
    layers = [info.name for info in program.layers]
    if objective == "cycles":
        spent = dict(zip(layers, map(float, baseline.cycles), strict=True))
    else:
        spent = dict(zip(layers, (sum(energy.values()) for energy in baseline.energy_pj), strict=True))
    total = sum(spent.values()) or 1.0
    return {slot.name: sum(spent.get(site.node, 0.0) for site in slot.sites) / total for slot in slots}


def cpu_worth(
    model: Model, sites: Sequence[Site], slots: Sequence[Slot], frames: Sequence[Frame], state: Mapping[str, str]
) -> Worth:
    """By what the nodes of a slot take in onnxruntime on `frames`; 0 where reuse never pays on a CPU. Sites of a recurrent
    layer share its time by multiply-accumulates.

    Raises ModelError where onnxruntime cannot time the model.
    """
    times = layer_times(model, frames, state)
    total = sum(times.values()) or 1.0
    macs: dict[str, int] = {}
    for site in sites:
        macs[site.of] = macs.get(site.of, 0) + site.macs

    def share(site: Site) -> float:
        if break_even(site) is None:
            return 0.0
        return times.get(site.of, 0.0) * site.macs / max(macs[site.of], 1) / total

    return {slot.name: sum(share(site) for site in slot.sites) for slot in slots}
