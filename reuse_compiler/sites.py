"""Sites: the places of a model where reuse can apply."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler.frontend import Model
from reuse_compiler.geometry import ConvGeometry
from reuse_compiler.recurrent import OPERATORS, Layer, read_layer
from reuse_compiler.rules import RULES, broken, conv_geometry

__all__ = ["Site", "bias_add", "find_sites", "is_site", "no_site"]


@dataclass(frozen=True)
class Site:
    """The input of an FC or CONV node, or an operand of a recurrent one, that keeps all of :mod:`reuse_compiler.rules`.

    Parameters
    ----------
    node, op : str
        Name and operator (Conv, ConvTranspose, Gemm or MatMul) of the node.
        A recurrent node has several sites, called ``<node>.x``, ``<node>.h`` and ``<node>.r``.
    kind : {"fc", "conv", "recurrent"}
    input : str
        Name of the tensor that is compared between frames; in a recurrent layer between steps, and it says so: ``X[t]`` of
        its input, ``Y[t-1]`` of its state; ``X[t] backwards`` and ``Y[t+1]`` where the steps run backwards.
    shape : tuple of int
        Its shape, batch included.
    output : str
        Name of the linear output. Where the one reader of a MatMul is the Add of a constant bias, that is the output of
        the Add, which belongs to the site.
    weight, bias : str
        Names of the initializers; bias is None where there is none. The bias of a CONV has one value per output
        channel; that of an FC is anything that broadcasts to one row of `out_features`.
    geometry : ConvGeometry or None
        Of a CONV.
    rows, in_features, out_features : int
        Of an FC; rows is the product of the leading axes. Of a CONV: the batch, and its channels. Of a recurrent layer:
        the steps of all rows together, and the linear outputs of a step.
    layer, operand : str
        Of a recurrent layer: the node, and x, h or r.
    recurrent : Layer or None
        What the node of a recurrent site computes.
    """

    node: str
    op: str
    kind: Literal["fc", "conv", "recurrent"]
    input: str
    shape: tuple[int, ...]
    output: str
    weight: str
    bias: str | None
    geometry: ConvGeometry | None
    rows: int
    in_features: int
    out_features: int
    layer: str = ""
    operand: str = ""
    recurrent: Layer | None = None

    @property
    def of(self) -> str:
        """Name of the node that the site belongs to."""
        return self.layer or self.node

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of what is compared at once: of the input, without the time axis in a recurrent layer."""
        return self.shape[1:] if self.kind == "recurrent" else self.shape

    @property
    def channel_axis(self) -> int:
        """The axis along which a quantizer's deadbands lie: 1 of a CONV, -1 of the others."""
        return 1 if self.kind == "conv" else -1

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one frame, those in the padding left out."""
        if self.geometry is not None:
            return self.rows * self.geometry.macs
        return self.rows * self.in_features * self.out_features

    def fan_out(self) -> NDArray[np.int64]:
        """Multiply-accumulates that each input element takes part in: int64, broadcastable against
        `frame_shape`.

        Its sum over the elements of a frame is `macs`.
        """
        if self.geometry is not None:
            return self.geometry.fan_out()
        return np.full((1,) * len(self.frame_shape), self.out_features, np.int64)


def find_sites(model: Model) -> list[Site]:
    """The sites of the top graph of `model`, in topological order."""
    return [site for node in model.ir.graph if is_site(node) for site in _sites(node)]


def is_site(node: ir.Node) -> bool:
    """Whether `node` is of an operator that has sites, and keeps every rule."""
    return node.domain == "" and node.op_type in RULES and broken(node) is None


def no_site(model: Model, name: str) -> str:
    """Why `name` is no site of `model`, for messages: the rule that its node breaks and the value measured there."""
    node = next((node for node in model.ir.graph if node.name == name), None)
    if node is None:
        return "the model has no such site"
    if node.domain or node.op_type not in RULES:
        return f"a node of {node.op_type} is no site"
    reason = broken(node)
    if reason is None:
        return f"node {name} ({node.op_type}) has several sites, called {name}.x and so on"
    return f'node {name} ({node.op_type}) is no site by the rule "{reason.rule}": {reason.measured}'


def bias_add(node: ir.Node) -> ir.Node | None:
    """The Add of a constant bias that belongs to the MatMul site `node`, if there is one.

    It is the one reader of the MatMul, whose output is no graph output; its other operand is a float32 initializer that
    broadcasts to one row of the output and adds no dimension.
    """
    if node.op_type != "MatMul":
        return None
    output = node.outputs[0]
    uses = list(output.uses())
    if len(uses) != 1 or output.is_graph_output():
        return None
    add, position = uses[0]
    if add.op_type != "Add" or add.domain != "" or add.graph is not node.graph:
        return None
    bias = add.inputs[1 - position]
    if bias is None or bias.const_value is None or bias.const_value.dtype != ir.DataType.FLOAT:
        return None
    shape = bias.const_value.shape.numpy()
    features, rank = _shape(node.inputs[1])[1], len(_shape(node.inputs[0]))
    is_row = shape[-1:] in ((), (1,), (features,)) and all(size == 1 for size in shape[:-1])
    return add if is_row and len(shape) <= rank else None


def _sites(node: ir.Node) -> list[Site]:
    if node.op_type in OPERATORS:
        return _recurrent(node)
    return [_conv(node) if node.op_type in ("Conv", "ConvTranspose") else _fc(node)]


def _recurrent(node: ir.Node) -> list[Site]:
    """The sites of a recurrent layer: its input by time step, its hidden state one step before, and a reset state."""
    layer = read_layer(node)
    # Steps that run backwards change otherwise than those that run forwards, so what they read has a profile of its own.
    read, before = ("[t] backwards", "[t+1]") if layer.reverse else ("[t]", "[t-1]")
    inputs = {
        "x": f"{_name(node.inputs[0])}{read}",
        "h": f"{_name(node.outputs[0])}{before}",
        "r": f"{_name(node.outputs[0])}{before} reset",
    }
    bias = node.inputs[3] if len(node.inputs) > 3 else None
    return [
        Site(
            node=f"{node.name}.{operand}",
            op=node.op_type,
            kind="recurrent",
            input=inputs[operand],
            shape=(layer.steps, layer.batch, layer.width(operand)),
            output=f"{node.name}.{operand} linear",
            weight=_name(node.inputs[1 if operand == "x" else 2]),
            bias=None if bias is None else _name(bias),
            geometry=None,
            rows=layer.executed,
            in_features=layer.width(operand),
            out_features=layer.outputs(operand),
            layer=str(node.name),
            operand=operand,
            recurrent=layer,
        )
        for operand in layer.operands
    ]


def _conv(node: ir.Node) -> Site:
    geometry = conv_geometry(node)
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    return Site(
        node=_name(node),
        op=node.op_type,
        kind="conv",
        input=_name(node.inputs[0]),
        shape=_shape(node.inputs[0]),
        output=_name(node.outputs[0]),
        weight=_name(node.inputs[1]),
        bias=None if bias is None else _name(bias),
        geometry=geometry,
        rows=_shape(node.inputs[0])[0],
        in_features=geometry.in_channels,
        out_features=geometry.out_channels,
    )


def _fc(node: ir.Node) -> Site:
    shape, weight = _shape(node.inputs[0]), _shape(node.inputs[1])
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    add = bias_add(node)
    if add is not None:
        bias = next(value for value in add.inputs if value is not node.outputs[0])
    return Site(
        node=_name(node),
        op=node.op_type,
        kind="fc",
        input=_name(node.inputs[0]),
        shape=shape,
        output=_name((add or node).outputs[0]),
        weight=_name(node.inputs[1]),
        bias=None if bias is None else _name(bias),
        geometry=None,
        rows=math.prod(shape[:-1]),
        in_features=shape[-1],
        out_features=weight[0] if node.attributes.get_int("transB", 0) else weight[1],
    )


def _name(thing: ir.Node | ir.Value | None) -> str:
    assert thing is not None and thing.name is not None
    return thing.name


def _shape(value: ir.Value | None) -> tuple[int, ...]:
    assert value is not None and value.shape is not None
    return tuple(value.shape.numpy())
