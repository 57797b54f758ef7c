"""How far a quantizer's step can move the outputs of a model with one site."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from reuse_compiler.frontend import Model
from reuse_compiler.plan import Plan
from reuse_compiler.sites import Site

__all__ = ["step_bound"]

_SLOPE_AT_MOST_ONE = frozenset(
    {
        *("Abs", "AveragePool", "BatchNormalization", "Clip", "Flatten", "GlobalAveragePool", "GlobalMaxPool"),
        *("Identity", "MaxPool", "Neg", "Relu", "Reshape", "Sigmoid", "Softmax", "Squeeze", "Tanh", "Transpose"),
        *("Unsqueeze",),
    }
)


def step_bound(model: Model, sites: list[Site], plan: Plan) -> float | None:
    """The largest distance of an output from that of the network without quantizer; 0 where there is no site.

    An input element moves by half a step at most, since the quantizer covers all that it is given: so a linear output
    moves by ``step / 2 * sum |W|`` over the weights that it is made with. Behind the site only operators of slope 1 at
    most may follow. None where there are several sites, or another operator follows.
    """
    if not sites:
        return 0.0
    if len(sites) > 1:
        return None
    site = sites[0]
    weight = model.ir.graph.initializers[site.weight].const_value
    assert weight is not None
    if not _slopes_at_most_one(model.ir, site):
        return None
    quantizer = plan.quantizers()[site.node]
    return quantizer.step / 2 * _largest_row(site, np.abs(weight.numpy()).astype(np.float64))


def _largest_row(site: Site, weight: np.ndarray) -> float:
    if site.kind == "conv":
        return float(weight.reshape(weight.shape[0], -1).sum(axis=1).max())
    return float(weight.sum(axis=0 if weight.shape[0] == site.in_features else 1).max())


def _slopes_at_most_one(model: ir.Model, site: Site) -> bool:
    reached = {site.output}
    for node in model.graph:
        if any(value is not None and value.name in reached for value in node.inputs) and node.name != site.node:
            if node.op_type not in _SLOPE_AT_MOST_ONE:
                return False
            reached |= {str(value.name) for value in node.outputs}
    return True
