"""Rewrite FC nodes into ReuseGemm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler.operators import reuse_node
from reuse_compiler.passes.rewrite_weights import Weights
from reuse_compiler.quantizers import Quantizer
from reuse_compiler.sites import Site

__all__ = ["RewriteFc"]


@dataclass(frozen=True)
class RewriteFc(ir.passes.InPlacePass):
    """Replace FC nodes of the top graph by ReuseGemm, each at its place and under its name.

    1. Of a Gemm, alpha and transB go into W, which becomes input-major, and beta into B.
    2. A MatMul with constant W keeps it; the Add of its bias goes into B.
    3. B is one value per output, zeros where there is no bias.
    4. Nodes that share weights, and fold them alike, share the folded ones.

    The state stays loose: :class:`~reuse_compiler.passes.rewrite_state.ExposeState` makes it inputs and outputs.

    Parameters
    ----------
    sites : tuple of Site
        FC sites of the model.
    quantizers : mapping of str to Quantizer
        By node name; sites that are not in it stay as they are.
    """

    sites: tuple[Site, ...]
    quantizers: Mapping[str, Quantizer]

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite in place."""
        nodes = {node.name: node for node in model.graph}
        weights = Weights(model.graph)
        chosen = [site for site in self.sites if site.kind == "fc" and site.node in self.quantizers]
        for site in chosen:
            _replace(model.graph, nodes[site.node], site, self.quantizers[site.node], weights)
        return ir.passes.PassResult(model, bool(chosen))


def _replace(graph: ir.Graph, node: ir.Node, site: Site, quantizer: Quantizer, weights: Weights) -> None:
    x, weight = node.inputs[0], node.inputs[1]
    assert x is not None and weight is not None
    if site.op == "Gemm":
        replaced = [node]
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        scale, beta = node.attributes.get_float("alpha", 1.0), node.attributes.get_float("beta", 1.0)
        transposed = bool(node.attributes.get_int("transB", 0))
    else:
        replaced = [node] if node.outputs[0].name == site.output else [node, *node.outputs[0].consumers()]
        bias = None if site.bias is None else graph.initializers[site.bias]
        scale, beta, transposed = 1.0, 1.0, False
    linear = replaced[-1].outputs[0]
    new = reuse_node(
        site.node,
        x,
        weights.derived(weight, f"scaled {scale} transposed {transposed}", lambda w: _fold(w, scale, transposed)),
        _bias(site, bias, beta, weights),
        linear,
        quantizer,
    )
    graph.insert_before(node, new)
    ir.convenience.replace_all_uses_with(linear, new.outputs[0], replace_graph_outputs=True)
    graph.remove(replaced[::-1], safe=True)


def _fold(weight: NDArray[np.float32], scale: float, transposed: bool) -> NDArray[np.float32]:
    weight = weight.T if transposed else weight
    return weight if scale == 1.0 else weight * np.float32(scale)


def _bias(site: Site, bias: ir.Value | None, beta: float, weights: Weights) -> ir.Value:
    features = site.out_features
    if bias is None:
        return weights.zeros(features)

    def one_per_output(values: NDArray[np.float32]) -> NDArray[np.float32]:
        flat = np.broadcast_to(values.reshape(-1), (features,))
        return flat if beta == 1.0 else flat * np.float32(beta)

    return weights.derived(bias, f"scaled {beta} for {features}", one_per_output)
