"""The layers of a network as its file defines them: shapes, parameters, multiply-accumulates."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from reuse_compiler.frontend import Model
from reuse_compiler.reproduce.documents import LayerShape
from reuse_compiler.sites import Site, find_sites

__all__ = ["layer_shapes"]

_WEIGHT, _RECURRENCE, _BIAS = 1, 2, 3  # inputs of LSTM, GRU and RNN


def layer_shapes(model: Model) -> list[LayerShape]:
    """The layers with weights, in topological order; a bidirectional layer is two.

    Parameters are weights and biases. ONNX gives a gate two biases that are added: where the second is zero throughout
    it is none.
    """
    nodes = {node.name: node for node in model.ir.graph}
    grouped: dict[str, list[Site]] = {}
    for site in find_sites(model):
        grouped.setdefault(site.of, []).append(site)
    return [_shape(model, nodes[name], sites) for name, sites in grouped.items()]


def _shape(model: Model, node: ir.Node, sites: list[Site]) -> LayerShape:
    first = sites[0]
    return LayerShape(
        name=first.of,
        op=node.op_type,
        input=first.shape,
        output=_dims(node.outputs[0]),
        parameters=_recurrent_parameters(node) if first.kind == "recurrent" else _parameters(model, first),
        macs=sum(site.macs for site in sites),
    )


def _dims(value: ir.Value) -> tuple[int, ...]:
    assert value.shape is not None
    return tuple(value.shape.numpy())


def _parameters(model: Model, site: Site) -> int:
    names = [site.weight, *([site.bias] if site.bias is not None else [])]
    return sum(math.prod(_dims(model.ir.graph.initializers[name])) for name in names)


def _recurrent_parameters(node: ir.Node) -> int:
    weights = sum(math.prod(_dims(value)) for value in (node.inputs[_WEIGHT], node.inputs[_RECURRENCE]) if value)
    bias = node.inputs[_BIAS] if len(node.inputs) > _BIAS else None
    if bias is None:
        return weights
    values = bias.const_value
    assert values is not None
    input_bias, recurrent_bias = np.split(values.numpy().reshape(-1), 2)
    return weights + input_bias.size + (recurrent_bias.size if recurrent_bias.any() else 0)
