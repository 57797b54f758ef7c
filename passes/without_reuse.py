"""From a reuse model back to the network that it was made from, or to one where some layers compute everything again."""

from __future__ import annotations

from collections.abc import MutableSequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes import common

from reuse_compiler.operators import is_reuse, read_activation, read_conv
from reuse_compiler.recurrent import OPERATORS, TAKES_ALPHA, TAKES_BETA
from reuse_compiler.slots import is_recurrent_reuse, slots

__all__ = ["WithoutReuse"]


@dataclass(frozen=True)
class WithoutReuse(ir.passes.InPlacePass):
    """Replace reuse operators by the standard ones.

    1. A node computes what it would without a quantizer; its fused activation becomes a node of its own.
    2. Its state is no input and no output of the model any more.
    3. What nothing reads goes.

    Parameters
    ----------
    nodes : frozenset of str, optional
        Names of the nodes; by default every reuse operator of the top graph.
    """

    nodes: frozenset[str] | None = None

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replace in place."""
        graph = model.graph
        chosen = [
            node
            for node in graph
            if (is_reuse(node) or is_recurrent_reuse(node)) and (self.nodes is None or node.name in self.nodes)
        ]
        for node in chosen:
            state = {value for slot in slots(node) for value in (slot.past_index, slot.past_linear)}
            shown = {value for slot in slots(node) for value in (slot.present_index, slot.present_linear, slot.steps)}
            new = _recurrent(node, graph) if is_recurrent_reuse(node) else _layer(node)
            graph.insert_before(node, new)
            _keep(graph.outputs, shown)
            made = new[0].outputs if is_recurrent_reuse(node) else new[-1].outputs[:1]
            for old, value in zip(node.outputs, made, strict=False):
                value.name, value.type, value.shape = old.name, old.type, old.shape
                ir.convenience.replace_all_uses_with(old, value, replace_graph_outputs=True)
            graph.remove(node, safe=True)
            _keep(graph.inputs, state)
        if chosen:
            common.RemoveUnusedNodesPass()(model)
            common.RemoveUnusedFunctionsPass()(model)  # type: ignore[no-untyped-call]
        return ir.passes.PassResult(model, bool(chosen))


def _keep(values: MutableSequence[ir.Value], without: set[ir.Value] | set[ir.Value | None]) -> None:
    kept = [value for value in values if value not in without]
    values.clear()
    values.extend(kept)


def _layer(node: ir.Node) -> list[ir.Node]:
    """The nodes of an FC or CONV; the last gives y."""
    x, _, _, weight, bias = node.inputs[:5]
    if node.op_type.startswith("ReuseGemm"):
        assert x is not None and x.shape is not None
        if len(x.shape) == 2:
            made = [ir.node("Gemm", [x, weight, bias], name=node.name)]
        else:
            product = ir.node("MatMul", [x, weight], name=node.name)
            made = [product, ir.node("Add", [product.outputs[0], bias])]
    else:
        conv = read_conv(node)
        made = [ir.node(conv.op, [x, weight, bias], conv.attributes, name=node.name)]
    return [*made, *_activation(node, made[-1].outputs[0])]


def _activation(node: ir.Node, linear: ir.Value) -> list[ir.Node]:
    """In the operators that onnxruntime fuses: Relu, LeakyRelu, Clip."""
    activation = read_activation(node)
    made: list[ir.Node] = []
    bounded = np.isfinite(activation.maximum)
    if activation.slope == 0 and not bounded:
        made.append(ir.node("Relu", [linear]))
    elif activation.slope not in (0, 1):
        made.append(ir.node("LeakyRelu", [linear], {"alpha": activation.slope}))
    if bounded:
        low = _scalar(0.0) if activation.slope == 0 else None
        before = made[-1].outputs[0] if made else linear
        nodes = [] if low is None else [low]
        high = _scalar(activation.maximum)
        clip = ir.node("Clip", [before, None if low is None else low.outputs[0], high.outputs[0]])
        made += [*nodes, high, clip]
    return made


def _scalar(value: float) -> ir.Node:
    return ir.node("Constant", [], {"value": ir.tensor(np.array(value, np.float32))})


def _recurrent(node: ir.Node, graph: ir.Graph) -> list[ir.Node]:
    """The LSTM, GRU or RNN of a recurrent layer, its weights in ONNX layout again."""
    kind = next(kind for kind in OPERATORS if node.op_type.startswith(f"Reuse{kind}"))
    sites = slots(node)
    assert all(slot.weight.const_value is not None and slot.bias.const_value is not None for slot in sites)
    weights = [_array(slot.weight).T for slot in sites]
    biases = [_array(slot.bias) for slot in sites]
    given = node.inputs[1 + 4 * len(sites) :]
    peepholes = given[0] if kind == "LSTM" else None
    lengths, *initial = given[1:] if kind == "LSTM" else given
    inputs = [
        node.inputs[0],
        _constant(graph, f"W_{node.name}", weights[0]),
        _constant(graph, f"R_{node.name}", np.concatenate(weights[1:])),
        _constant(graph, f"B_{node.name}", np.concatenate(biases)),
        lengths,
        *initial,
    ]
    names = node.attributes["activations"].as_strings()
    alpha, beta = (node.attributes[f"activation_{what}"].as_floats() for what in ("alpha", "beta"))
    added = [
        node.attributes["hidden_size"],
        node.attributes["activations"],
        # ONNX lists those of the activations alone that take one.
        ir.AttrFloat32s("activation_alpha", [a for name, a in zip(names, alpha, strict=True) if name in TAKES_ALPHA]),
        ir.AttrFloat32s("activation_beta", [b for name, b in zip(names, beta, strict=True) if name in TAKES_BETA]),
        ir.AttrString("direction", "reverse" if node.attributes["reverse"].as_int() else "forward"),
    ]
    clip = node.attributes["clip"].as_float()
    if np.isfinite(clip):
        added.append(ir.AttrFloat32("clip", clip))
    if kind == "LSTM":
        assert peepholes is not None
        inputs.append(_constant(graph, f"P_{node.name}", _array(peepholes)))
        added.append(ir.AttrInt64("input_forget", int(node.op_type.endswith("_InputForget"))))
    if kind == "GRU":
        added.append(ir.AttrInt64("linear_before_reset", int("ResetFirst" not in node.op_type)))
    outputs = 3 if kind == "LSTM" else 2
    return [ir.Node("", kind, inputs, added, num_outputs=outputs, name=node.name)]


def _array(value: ir.Value) -> NDArray[np.float32]:
    assert value.const_value is not None
    return value.const_value.numpy()


def _constant(graph: ir.Graph, name: str, numbers: NDArray[np.float32]) -> ir.Value:
    """An initializer with one direction as its first axis."""
    array = np.ascontiguousarray(numbers)[None]
    unique = f"{name} dense"
    tensor = ir.tensor(array, name=unique)
    value = ir.Value(
        name=unique, const_value=tensor, shape=ir.Shape(array.shape), type=ir.TensorType(ir.DataType.FLOAT)
    )
    graph.register_initializer(value)
    return value
