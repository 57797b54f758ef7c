"""Rewrite CONV nodes into ReuseConv and ReuseConvTranspose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx_ir as ir

from reuse_compiler.operators import ConvAttributes, reuse_node
from reuse_compiler.passes.rewrite_weights import Weights
from reuse_compiler.quantizers import Quantizer
from reuse_compiler.sites import Site

__all__ = ["RewriteConv"]


@dataclass(frozen=True)
class RewriteConv(ir.passes.InPlacePass):
    """Replace Conv and ConvTranspose nodes of the top graph, of any spatial rank, by ReuseConv and ReuseConvTranspose,
    each at its place and under its name.

    1. W and B stay as they are; B is zeros where there is no bias.
    2. Strides, pads, dilations and group are written out, and output_padding of a ConvTranspose.
    3. The state has its channels last (:mod:`reuse_compiler.state_layout`); x and y stay as they are.

    The state stays loose: :class:`~reuse_compiler.passes.rewrite_state.ExposeState` makes it inputs and outputs.

    Parameters
    ----------
    sites : tuple of Site
        CONV sites of the model.
    quantizers : mapping of str to Quantizer
        By node name; sites that are not in it stay as they are.
    """

    sites: tuple[Site, ...]
    quantizers: Mapping[str, Quantizer]

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite in place."""
        nodes = {node.name: node for node in model.graph}
        weights = Weights(model.graph)
        chosen = [site for site in self.sites if site.kind == "conv" and site.node in self.quantizers]
        for site in chosen:
            _replace(model.graph, nodes[site.node], site, self.quantizers[site.node], weights)
        return ir.passes.PassResult(model, bool(chosen))


def _replace(graph: ir.Graph, node: ir.Node, site: Site, quantizer: Quantizer, weights: Weights) -> None:
    x, weight = node.inputs[0], node.inputs[1]
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    geometry = site.geometry
    assert x is not None and weight is not None and geometry is not None
    conv = ConvAttributes(
        geometry.strides,
        geometry.pads_begin + geometry.pads_end,
        geometry.dilations,
        geometry.group,
        geometry.output_padding if geometry.transposed else None,
    )
    linear = node.outputs[0]
    new = reuse_node(site.node, x, weight, bias or weights.zeros(site.out_features), linear, quantizer, conv)
    graph.insert_before(node, new)
    ir.convenience.replace_all_uses_with(linear, new.outputs[0], replace_graph_outputs=True)
    graph.remove(node, safe=True)
