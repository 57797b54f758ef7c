"""How far a quantizer's step can move the outputs of a model with one site."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler.quantizers import LinearQuantizer
from reuse_compiler.sites import Site
from tests.conformance.cases import Case

__all__ = ["step_bound"]

_SLOPE_AT_MOST_ONE = frozenset(
    {
        *("Abs", "AveragePool", "BatchNormalization", "Clip", "Flatten", "GlobalAveragePool", "GlobalMaxPool"),
        *("Identity", "MaxPool", "Neg", "Relu", "Reshape", "Sigmoid", "Softmax", "Squeeze", "Tanh", "Transpose"),
        *("Unsqueeze",),
    }
)


def step_bound(case: Case) -> float | None:
    """The largest distance of an output from that of the network without quantizer; 0 where there is no site.

    An input element moves by half a step at most, since the quantizer covers all that it is given: so a linear output
    moves by ``step / 2 * sum |W|`` over the weights that it is made with. Behind the site only operators of slope 1 at
    most may follow. None where there are several sites, or another operator follows.
    """
    if not case.sites:
        return 0.0
    site = case.sites[0]
    if len(case.sites) > 1 or not _slopes_at_most_one(case.model.ir, site):
        return None
    weight = case.model.ir.graph.initializers[site.weight].const_value
    assert weight is not None
    quantizer = case.plan.quantizers()[site.node]
    assert isinstance(quantizer, LinearQuantizer)
    return quantizer.step / 2 * _largest_row(site, np.abs(weight.numpy()).astype(np.float64))


def _largest_row(site: Site, weight: NDArray[np.float64]) -> float:
    """The largest sum over the weights of one output."""
    geometry = site.geometry
    if geometry is None:
        return float(weight.sum(axis=0 if weight.shape[0] == site.in_features else 1).max())
    if geometry.transposed:
        by_group = weight.reshape(geometry.group, -1, weight.shape[1], weight[0, 0].size)
        return float(by_group.sum(axis=(1, 3)).max())
    return float(weight.reshape(weight.shape[0], -1).sum(axis=1).max())


def _slopes_at_most_one(model: ir.Model, site: Site) -> bool:
    reached = {site.output}
    for node in model.graph:
        if any(value is not None and value.name in reached for value in node.inputs) and node.name != site.node:
            if node.op_type not in _SLOPE_AT_MOST_ONE:
                return False
            reached |= {str(value.name) for value in node.outputs}
    return True
