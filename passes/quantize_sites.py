"""Quantize what sites read by quantizers that are inputs of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx
import onnx_ir as ir

from reuse_compiler import function_text
from reuse_compiler.passes.recurrent_call import replace_by_function
from reuse_compiler.passes.rewrite_weights import Weights
from reuse_compiler.recurrent import Layer
from reuse_compiler.sites import Site

__all__ = [
    "QuantizeSites",
    "changed_name",
    "dense_name",
    "held_name",
    "past_name",
    "quantizer_function",
    "quantizer_names",
    "slot_of",
    "step_function",
]

_DOMAIN = "ai.reuse.trial"
_FLOAT, _BOOL = ir.TensorType(ir.DataType.FLOAT), ir.TensorType(ir.DataType.BOOL)

# The bodies of what backend/cpu/src/op_trial.cpp computes in one pass. A dense site costs a copy, so that one model serves
# trials of one site as well as of all. Changes are counted as float32, which onnxruntime adds up faster, but only along the
# last axis, where it is exact.
_QUANTIZER = """
<domain: "{domain}", opset_import: ["": {opset}]>
TrialQuantizer (x, past, dense, {quantizer}) => (value, held, changed)
{{
    value, held, changed = If (dense) <
        then_branch = as_it_is () => (dense_value, dense_held, dense_changed)
        {{
            dense_value = Identity (x)
            dense_held = Identity (past)
            dense_changed = Size (x)
        }},
        else_branch = quantized () => (q_value, q_held, q_changed)
        {{
            {trial}
            q_same = Equal (q_held, past)
            q_other = Not (q_same)
            q_ones = Cast <to: int = 1> (q_other)
            q_axis = Constant <value_ints: ints = [-1]> ()
            q_row_sums = ReduceSum <keepdims: int = 0> (q_ones, q_axis)
            q_row_counts = Cast <to: int = 7> (q_row_sums)
            q_changed = ReduceSum <keepdims: int = 0> (q_row_counts)
        }}
    >
}}
"""
_STEP = """
<domain: "{domain}", opset_import: ["": {opset}]>
TrialStep (x, past, dense, {quantizer}, active) => (value, held)
{{
    value, held = If (dense) <
        then_branch = as_it_is () => (dense_value, dense_held)
        {{
            dense_value = Identity (x)
            dense_held = Identity (past)
        }},
        else_branch = quantized () => (q_value, q_held)
        {{
            {trial}
        }}
    >
}}
"""


def quantizer_names(tensor: str) -> list[str]:
    """The graph inputs that describe the quantizer of a tensor, in the order of TRIAL_INPUTS: float32 scalars, but the
    deadband, which broadcasts to the tensor."""
    return [f"trial_{what}_{tensor}" for what in function_text.TRIAL_INPUTS]


def dense_name(slot: str) -> str:
    """The graph input that leaves what a slot holds as it is: a bool."""
    return f"trial_dense_{slot}"


def past_name(slot: str) -> str:
    """The graph input with what was held of a slot, in steps from zero: float32 in the shape of what is compared."""
    return f"trial_past_{slot}"


def held_name(slot: str) -> str:
    """The graph output with what is held now: float32, of a recurrent site after each step."""
    return f"trial_held_{slot}"


def changed_name(slot: str) -> str:
    """The graph output with how many elements changed, all of them where the slot is dense: an int64; of no recurrent site."""
    return f"trial_changed_{slot}"


def quantizer_function(opset: int) -> ir.Function:
    """The body of TrialQuantizer, in standard operators of `opset`."""
    return _function(_QUANTIZER, opset, "")


def step_function(opset: int) -> ir.Function:
    """The body of TrialStep, for operands [N, K] of a recurrent layer; `active`, bool [N, 1], is false where a row's
    sequence has ended: nothing moves there."""
    return _function(_STEP, opset, "active")


def _function(text: str, opset: int, active: str) -> ir.Function:
    made = text.format(
        domain=_DOMAIN,
        opset=opset,
        quantizer=", ".join(function_text.TRIAL_INPUTS),
        trial=function_text.trial("q_", "x", "past", function_text.TRIAL_INPUTS, active),
    )
    return ir.serde.deserialize_function(onnx.parser.parse_function(made))


def slot_of(site: Site) -> str:
    """What holds a site's indices: the tensor that it reads, or the site itself in a recurrent layer."""
    return site.node if site.recurrent else site.input


@dataclass(frozen=True)
class QuantizeSites(ir.passes.InPlacePass):
    """Let sites read centroids; nothing is kept of linear outputs, they are computed anew.

    1. A tensor that FC and CONV sites read is quantized once, by a quantizer that is graph inputs (:func:`quantizer_names`,
       :func:`dense_name`); what is held of it comes in by :func:`past_name` and leaves by :func:`held_name`;
       :func:`changed_name` counts.
    2. A recurrent layer quantizes its operands in the steps of a Scan, each with a state of its own; the quantizer of a
       tensor that several layers read is one set of inputs.

    Parameters
    ----------
    sites : tuple of Site
        All sites of the model.
    """

    sites: tuple[Site, ...]

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Change the model in place."""
        graph = model.graph
        values = {value.name: value for value in graph.inputs}
        values |= {value.name: value for node in graph for value in node.outputs}
        nodes = {node.name: node for node in graph}
        quantizers: dict[str, list[ir.Value]] = {}
        for site in self.sites:
            if site.input not in quantizers:
                rank = len(site.frame_shape)
                quantizers[site.input] = _quantizer(site.input, rank - site.channel_axis % rank)
                graph.inputs.extend(quantizers[site.input])
        plain: dict[str, list[Site]] = {}
        layers: dict[str, Layer] = {}
        for site in self.sites:
            if site.recurrent is None:
                plain.setdefault(site.input, []).append(site)
            else:
                layers[site.of] = site.recurrent
        for tensor, readers in plain.items():
            _quantize(
                graph, values[tensor], [nodes[site.node] for site in readers], quantizers[tensor], readers[0].shape
            )
        for name, layer in layers.items():
            read = {site.operand: quantizers[site.input] for site in self.sites if site.of == name}
            _quantize_layer(model, nodes[name], layer, read)
        if plain:
            _add(model, quantizer_function(graph.opset_imports[""]))
        if layers:
            _add(model, step_function(graph.opset_imports[""]))
        return ir.passes.PassResult(model, bool(self.sites))


def _add(model: ir.Model, function: ir.Function) -> None:
    model.functions[function.identifier()] = function
    model.graph.opset_imports[function.domain] = 1


def _quantizer(tensor: str, channel_rank: int) -> list[ir.Value]:
    """The inputs of a quantizer; `channel_rank` axes end with the one that deadbands lie along, from the last."""
    shapes = {what: ir.Shape([]) for what in function_text.TRIAL_INPUTS}
    shapes["deadband"] = ir.Shape([None, *[1] * (channel_rank - 1)])
    names = quantizer_names(tensor)
    return [ir.Value(name=name, type=_FLOAT, shape=shape) for name, shape in zip(names, shapes.values(), strict=True)]


def _quantize(
    graph: ir.Graph, tensor: ir.Value, readers: Sequence[ir.Node], quantizer: list[ir.Value], shape: tuple[int, ...]
) -> None:
    """Put a quantizer between `tensor` and its readers."""
    name = str(tensor.name)
    dense = ir.Value(name=dense_name(name), type=_BOOL, shape=ir.Shape([]))
    past = ir.Value(name=past_name(name), type=_FLOAT, shape=ir.Shape(shape))
    value = ir.Value(name=f"trial_value_{name}", type=_FLOAT, shape=ir.Shape(shape))
    held = ir.Value(name=held_name(name), type=_FLOAT, shape=ir.Shape(shape))
    changed = ir.Value(name=changed_name(name), type=ir.TensorType(ir.DataType.INT64), shape=ir.Shape([]))
    call = ir.Node(
        _DOMAIN,
        "TrialQuantizer",
        [tensor, past, dense, *quantizer],
        outputs=[value, held, changed],
        name=f"trial_{name}",
    )
    graph.insert_before(readers[0], call)
    for node in readers:
        node.replace_input_with(0, value)
    graph.inputs.extend([dense, past])
    graph.outputs.extend([held, changed])


def _quantize_layer(model: ir.Model, node: ir.Node, layer: Layer, quantizers: dict[str, list[ir.Value]]) -> None:
    """Put a Scan that quantizes in the place of a recurrent layer."""
    name, graph = str(node.name), model.graph
    given: dict[str, ir.Value] = {}
    for operand in layer.operands:
        shape = ir.Shape((layer.batch, layer.width(operand)))
        past = ir.Value(name=past_name(f"{name}.{operand}"), type=_FLOAT, shape=shape)
        dense = ir.Value(name=dense_name(f"{name}.{operand}"), type=_BOOL, shape=ir.Shape([]))
        graph.inputs.extend([past, dense])
        given |= {f"past_{operand}": past, f"dense_{operand}": dense}
        for what, value in zip(function_text.TRIAL_INPUTS, quantizers[operand], strict=True):
            given[f"{what}_{operand}"] = value
    made = replace_by_function(model, node, layer, "trial", given, [], Weights(graph))
    for operand in layer.operands:
        held = made[f"held_{operand}"]
        held.name, held.type = held_name(f"{name}.{operand}"), _FLOAT
        held.shape = ir.Shape((layer.steps, layer.batch, layer.width(operand)))
        graph.outputs.append(held)
