"""From a model and a plan to the reuse model: plain ONNX with ai.reuse functions and explicit state."""

from __future__ import annotations

import json
from collections.abc import Mapping

import onnx_ir as ir
from onnx_ir.passes import common

from reuse_compiler import __version__
from reuse_compiler.errors import PlanError
from reuse_compiler.frontend import Model
from reuse_compiler.model_format import format_properties
from reuse_compiler.operators import DOMAIN, VERSION, function, reuse_nodes
from reuse_compiler.passes.rewrite_activation import FuseActivation
from reuse_compiler.passes.rewrite_conv import RewriteConv
from reuse_compiler.passes.rewrite_fc import RewriteFc
from reuse_compiler.passes.rewrite_metadata import DescribeSites
from reuse_compiler.passes.rewrite_recurrent import RewriteRecurrent
from reuse_compiler.passes.rewrite_state import ExposeState
from reuse_compiler.plan import Plan
from reuse_compiler.quantizers import Quantizer, TableQuantizer
from reuse_compiler.refresh import RefreshSchedule
from reuse_compiler.sites import Site, find_sites, no_site
from reuse_compiler.slots import model_slots

__all__ = ["planned_quantizers", "rewrite"]


def rewrite(model: Model, plan: Plan) -> ir.Model:
    """The reuse model of `model`: every site that `plan` reuses becomes a reuse operator; the rest stays.

    The inputs and outputs of `model` come first, as they were; behind them, per reuse node in topological order, its
    past and present state (see :mod:`reuse_compiler.operators`). Files hold in `metadata_props` under ``reuse.``:
    ``format_version``, ``tool_version``, ``source_sha256`` and, where the plan has them, ``state`` (the outputs that are fed
    back), ``refresh`` (a :class:`~reuse_compiler.refresh.RefreshSchedule`) and ``guard``, all as JSON.
    Nodes say what the plan has for them and why (:class:`~reuse_compiler.passes.rewrite_metadata.DescribeSites`).
    `model` is not changed; weights are shared with it.

    Raises PlanError where the plan is for another model or names a site that the model lacks, ModelError where a state
    tensor's name is taken.
    """
    sites = find_sites(model)
    quantizers = planned_quantizers(model, plan, sites)
    result = model.ir.clone()
    for step in (
        RewriteFc(tuple(sites), quantizers),
        RewriteConv(tuple(sites), quantizers),
        RewriteRecurrent(tuple(sites), quantizers),
        FuseActivation(),
        ExposeState(),
        common.RemoveUnusedNodesPass(),
        DescribeSites(tuple(plan.sites)),
    ):
        step(result)
    opset = result.graph.opset_imports[""]
    for op in sorted({node.op_type for node in reuse_nodes(result)}):
        body = function(op, opset)
        result.functions[body.identifier()] = body
        result.graph.opset_imports[DOMAIN] = VERSION
    result.producer_name, result.producer_version = "reuse-compiler", __version__
    result.metadata_props.update({**format_properties(), "reuse.source_sha256": model.sha256})
    if plan.state:
        result.metadata_props["reuse.state"] = json.dumps(plan.state)
    if plan.refresh is not None:
        schedule = RefreshSchedule.of(plan.refresh, _refresh_macs(result, sites))
        result.metadata_props["reuse.refresh"] = schedule.to_metadata()
    if plan.guard is not None:
        plan.guard.check(quantizers)
        result.metadata_props["reuse.guard"] = plan.guard.model_dump_json()
    return result


def _refresh_macs(model: ir.Model, sites: list[Site]) -> dict[str, int]:
    """By site that a refresh computes anew: its multiply-accumulates, of a recurrent layer those of one step."""
    work = {
        site.node: site.shape[1] * site.in_features * site.out_features if site.recurrent else site.macs
        for site in sites
    }
    return {slot.site: work[slot.site] for slot in model_slots(model) if not slot.reverse}


def planned_quantizers(model: Model, plan: Plan, sites: list[Site]) -> Mapping[str, Quantizer]:
    """The quantizers of the sites that `plan` reuses, by node name, once it fits `model`. Raises PlanError."""
    if plan.model.sha256 != model.sha256:
        raise PlanError(
            f"the plan is for {plan.model.path} (sha256 {plan.model.sha256}), the model is {model.path}"
            f" (sha256 {model.sha256}): fit a plan for this model"
        )
    by_node = {site.node: site for site in sites}
    for planned in plan.sites:
        site = by_node.get(planned.node)
        if site is None:
            why = no_site(model, planned.node)
            raise PlanError(f"plan: site {planned.node} of {model.path}: {why}: remove it from the plan")
        if site.input != planned.input:
            raise PlanError(f"plan: site {planned.node}: its input is {site.input}, not {planned.input}: correct it")
    listed = {planned.node for planned in plan.sites}
    missing = [site.node for site in sites if site.node not in listed]
    if missing:
        raise PlanError(f"plan: site {missing[0]} of {model.path} is missing: list it, as dense or as reuse")
    quantizers = plan.quantizers()
    for node, quantizer in quantizers.items():
        channels = by_node[node].shape[by_node[node].channel_axis]
        given = len(quantizer.deadband) if isinstance(quantizer.deadband, tuple) else 1
        if given not in (1, channels):
            raise PlanError(f"plan: site {node}: {given} deadbands for {channels} channels: give 1 or {channels}")
        if by_node[node].recurrent and isinstance(quantizer, TableQuantizer):
            raise PlanError(
                f"plan: site {node}: tables are for FC and CONV sites, this is one of a recurrent layer: give it a"
                " linear quantizer"
            )
    for site in sites:
        if site.recurrent and (site.node in quantizers) != (f"{site.of}.x" in quantizers):
            raise PlanError(
                f"plan: sites {site.of}.x and {site.node} are of one layer, one to reuse and one dense: give both one mode"
            )
    return quantizers
