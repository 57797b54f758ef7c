"""Put a function in the place of a recurrent node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from reuse_compiler.passes.rewrite_weights import Weights
from reuse_compiler.recurrent import Layer
from reuse_compiler.recurrent_functions import Form, recurrent_function, signature

__all__ = ["replace_by_function"]


def replace_by_function(
    model: ir.Model,
    node: ir.Node,
    layer: Layer,
    form: Form,
    given: Mapping[str, ir.Value],
    attributes: Sequence[ir.Attr],
    weights: Weights,
) -> dict[str, ir.Value]:
    """Replace `node`, an LSTM, GRU or RNN, by a call of the function of `form`, which joins the model's functions.

    `given` has the inputs by the names of :func:`~reuse_compiler.recurrent_functions.signature` that the node itself does not
    have: past state, or centroids; `attributes` those beside the layer's own. Returns the outputs of the call by the
    names of the signature; Y, Y_h and Y_c keep the names and readers that they have.
    """
    graph = model.graph
    sign = signature(layer, form)
    opset = graph.opset_imports[""]
    body = recurrent_function(layer, form, opset)
    model.functions[body.identifier()] = body
    graph.opset_imports[sign.domain] = 1
    inputs = {**_operands(node, layer, weights), **given}
    before = dict(zip(("Y", "Y_h", "Y_c"), node.outputs, strict=False))
    outputs = [_output(name, before, node) for name in sign.outputs]
    call = ir.Node(
        sign.domain,
        sign.name,
        [inputs[name] for name in sign.inputs],
        [*attributes, *_attributes(layer)],
        outputs=outputs,
        name=node.name,
    )
    graph.insert_before(node, call)
    for old, new in zip(node.outputs, outputs[: len(node.outputs)], strict=True):
        ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
    read = [value for value in node.inputs if value is not None]
    graph.remove(node, safe=True)
    for value in read:
        if value.is_initializer() and not value.uses() and not value.is_graph_output():
            del graph.initializers[str(value.name)]
    return dict(zip(sign.outputs, outputs, strict=True))


def _output(name: str, before: Mapping[str, ir.Value], node: ir.Node) -> ir.Value:
    old = before.get(name)
    if old is None or not old.name:
        return ir.Value(name=f"{name}_{node.name}")
    return ir.Value(name=old.name, type=old.type, shape=old.shape)


def _operands(node: ir.Node, layer: Layer, weights: Weights) -> dict[str, ir.Value]:
    """X, the weights of each site, P, the lengths and the initial states; what the node lacks is zeros, or every step."""
    inputs = [*node.inputs, *[None] * (8 - len(node.inputs))]
    x, w, r, b, lengths, h, c, p = inputs
    assert x is not None and w is not None and w.const_value is not None
    assert r is not None and r.const_value is not None
    bias = None if b is None or b.const_value is None else b.const_value.numpy()
    matrices = layer.matrices(w.const_value.numpy(), r.const_value.numpy(), bias)
    found = {"X": x}
    for operand, matrix in matrices.items():
        found[f"W_{operand}"] = weights.constant(f"W_{operand}_{node.name}", matrix.weight)
        found[f"B_{operand}"] = weights.constant(f"B_{operand}_{node.name}", matrix.bias)
    state = np.zeros((1, layer.batch, layer.hidden), np.float32)
    found["initial_h"] = h or weights.constant(f"initial_{node.name}", state)
    if layer.kind == "LSTM":
        found["initial_c"] = c or weights.constant(f"initial_{node.name}", state)
        peepholes = np.zeros(3 * layer.hidden, np.float32)
        if p is not None and p.const_value is not None:
            peepholes = p.const_value.numpy().reshape(-1)
        found["P"] = weights.constant(f"P_{node.name}", peepholes)
    every = np.full(layer.batch, layer.steps, np.int32)
    found["sequence_lens"] = lengths or weights.constant(f"steps_{node.name}", every)
    return found


def _attributes(layer: Layer) -> list[ir.Attr]:
    return [
        ir.AttrFloat32("clip", layer.clip),
        ir.AttrInt64("reverse", int(layer.reverse)),
        ir.AttrInt64("hidden_size", layer.hidden),
        ir.AttrStrings("activations", layer.activations.names),
        ir.AttrFloat32s("activation_alpha", layer.activations.alpha),
        ir.AttrFloat32s("activation_beta", layer.activations.beta),
    ]
