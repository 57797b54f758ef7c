"""Rewrite LSTM, GRU and RNN nodes into their reuse operators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler.operators import (
    past_index_name,
    past_linear_name,
    present_index_name,
    present_linear_name,
    quantizer_attributes,
)
from reuse_compiler.passes.recurrent_call import replace_by_function
from reuse_compiler.passes.rewrite_weights import Weights
from reuse_compiler.quantizers import Quantizer
from reuse_compiler.recurrent import Layer
from reuse_compiler.sites import Site

__all__ = ["RewriteRecurrent", "steps_index_name"]


def steps_index_name(site: str) -> str:
    """The graph output with the indices that a recurrent site holds after each step."""
    return f"steps_index_{site}"


@dataclass(frozen=True)
class RewriteRecurrent(ir.passes.InPlacePass):
    """Replace recurrent nodes of the top graph by ReuseLSTM, ReuseGRU, ReuseGRUResetFirst or ReuseRNN, under their names.

    1. W and R become input-major, a matrix for each site; B is split; what is absent is written out as zeros.
    2. The past state of a layer that runs backwards is a constant, the state that a sequence starts with.
    3. Otherwise the state stays loose: :class:`~reuse_compiler.passes.rewrite_state.ExposeState` makes it inputs and
       outputs.

    Parameters
    ----------
    sites : tuple of Site
        Sites of the model.
    quantizers : mapping of str to Quantizer
        By site; layers whose sites are not in it stay as they are.
    """

    sites: tuple[Site, ...]
    quantizers: Mapping[str, Quantizer]

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite in place."""
        nodes = {node.name: node for node in model.graph}
        weights = Weights(model.graph)
        layers = {site.of: site.recurrent for site in self.sites if site.recurrent and site.node in self.quantizers}
        for name, layer in layers.items():
            self._replace(model, nodes[name], layer, weights)
        return ir.passes.PassResult(model, bool(layers))

    def _replace(self, model: ir.Model, node: ir.Node, layer: Layer, weights: Weights) -> None:
        past: dict[str, ir.Value] = {}
        attributes = []
        for operand in layer.operands:
            site = f"{node.name}.{operand}"
            quantizer = self.quantizers[site]
            attributes += quantizer_attributes(quantizer, f"{operand}_")
            for what, value in _past(layer, operand, site, quantizer).items():
                past[f"past_{what}_{operand}"] = value
        name = str(node.name)
        if layer.reverse:
            bias = None if len(node.inputs) < 4 or node.inputs[3] is None else node.inputs[3].const_value
            _fix(layer, node, past, None if bias is None else bias.numpy(), self.quantizers, weights)
        made = replace_by_function(model, node, layer, "reuse", past, attributes, weights)
        for operand in layer.operands:
            site = f"{name}.{operand}"
            index, linear = _shapes(layer, operand)
            dtype = ir.DataType.from_numpy(self.quantizers[site].index_dtype)
            _describe(made[f"present_index_{operand}"], present_index_name(site), dtype, index)
            _describe(made[f"present_linear_{operand}"], present_linear_name(site), ir.DataType.FLOAT, linear)
            _describe(made[f"steps_index_{operand}"], steps_index_name(site), dtype, (layer.steps, *index))


def _shapes(layer: Layer, operand: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of the index and of the linear output that a site keeps."""
    return (layer.batch, layer.width(operand)), (layer.batch, layer.outputs(operand))


def _past(layer: Layer, operand: str, site: str, quantizer: Quantizer) -> dict[str, ir.Value]:
    index, linear = _shapes(layer, operand)
    dtype = ir.DataType.from_numpy(quantizer.index_dtype)
    values = {"index": ir.Value(name=past_index_name(site)), "linear": ir.Value(name=past_linear_name(site))}
    _describe(values["index"], past_index_name(site), dtype, index)
    _describe(values["linear"], past_linear_name(site), ir.DataType.FLOAT, linear)
    return values


def _fix(
    layer: Layer,
    node: ir.Node,
    past: dict[str, ir.Value],
    bias: NDArray[np.float32] | None,
    quantizers: Mapping[str, Quantizer],
    weights: Weights,
) -> None:
    """Make the past state constants: the zero index, and the bias as linear output."""
    weight, recurrence = node.inputs[1], node.inputs[2]
    assert weight is not None and weight.const_value is not None
    assert recurrence is not None and recurrence.const_value is not None
    matrices = layer.matrices(weight.const_value.numpy(), recurrence.const_value.numpy(), bias)
    for operand in layer.operands:
        site = f"{node.name}.{operand}"
        index, linear = _shapes(layer, operand)
        quantizer = quantizers[site]
        zeros = np.full(index, quantizer.zero, quantizer.index_dtype)
        biases = np.ascontiguousarray(np.broadcast_to(matrices[operand].bias, linear))
        past[f"past_index_{operand}"] = weights.constant(past_index_name(site), zeros)
        past[f"past_linear_{operand}"] = weights.constant(past_linear_name(site), biases)


def _describe(value: ir.Value, name: str, dtype: ir.DataType, shape: tuple[int, ...]) -> None:
    value.name, value.type, value.shape = name, ir.TensorType(dtype), ir.Shape(shape)
