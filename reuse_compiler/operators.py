"""The `ai.reuse` operators: ONNX function bodies, the attributes of their nodes, and the names of their state.

``ReuseGemm``, ``ReuseConv`` and ``ReuseConvTranspose``, and the same with ``Table`` behind the name, take ``(x, past_index, past_linear, W, B)`` and give
``(y, present_index, present_linear)``. A body is plain ONNX and is the reference semantics; one body serves every node
of a model, because all that differs between nodes is an attribute. B is the linear output of an input of zeros: the
body only corrects what it is given, so B is where a sequence begins (:func:`initial_linear`) and what a refresh needs.

``past_index`` and ``present_index`` have the shape of x, ``past_linear`` and ``present_linear`` that of y; for CONV with the
channels moved behind the spatial axes (:mod:`reuse_compiler.state_layout`). x, y and W are as ONNX has them.

Attributes of all: ``zero`` and ``deadband``; ``step`` and ``clusters`` where the quantizer is linear (see
:class:`~reuse_compiler.quantizers.LinearQuantizer`), ``centroids`` and ``boundaries`` where it is a table
(:class:`~reuse_compiler.quantizers.TableQuantizer`); ``activation_slope`` and ``activation_max`` (:class:`Activation`); of
CONV also ``strides``, ``pads`` (ONNX order), ``dilations`` and ``group``, and of
ReuseConvTranspose ``output_padding``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler import function_text, table_text
from reuse_compiler.errors import ModelError, PlanError
from reuse_compiler.quantizers import Index, LinearQuantizer, Quantizer, TableQuantizer
from reuse_compiler.state_layout import TO_CHANNELS_FIRST, TO_CHANNELS_LAST, channels_last_shape

__all__ = [
    "DOMAIN",
    "MIN_OPSET",
    "VERSION",
    "Activation",
    "ConvAttributes",
    "function",
    "initial_index",
    "initial_linear",
    "is_reuse",
    "keeps_channels_last",
    "past_index_name",
    "past_linear_name",
    "present_index_name",
    "present_linear_name",
    "quantizer_attributes",
    "read_activation",
    "read_conv",
    "read_quantizer",
    "reuse_attributes",
    "reuse_node",
    "reuse_nodes",
]

DOMAIN = "ai.reuse"
VERSION = 1
MIN_OPSET = 18

_GEMM, _CONV, _CONV_TRANSPOSE = "ReuseGemm", "ReuseConv", "ReuseConvTranspose"
_DENSE_CONV, _DENSE_CONV_TRANSPOSE = "Conv", "ConvTranspose"
_TABLE = "Table"
"""What the name of an operator ends in whose quantizer is a table."""
_LINEAR_ATTRIBUTES = ("step", "zero", "clusters", "deadband")
_TABLE_ATTRIBUTES = ("centroids", "boundaries", "zero", "deadband")
_ACTIVATION_ATTRIBUTES = ("activation_slope", "activation_max")

_BODY = """
<domain: "{domain}", opset_import: ["": {opset}]>
{op} <{attributes}> (x, past_index, past_linear, W, B) => (y, present_index, present_linear)
{{
    {quantizer}
    {linear}

    slope = Constant <value_float: float = @activation_slope> ()
    sloped = Mul ({z}, slope)
    rectified = Max ({z}, sloped)
    maximum = Constant <value_float: float = @activation_max> ()
    y = Min (rectified, maximum)
}}
"""

# In the layout of the state, channels are the last axis: one deadband per channel broadcasts as it is.
_DEADBAND = """
    deadband = Constant <value_floats: floats = @deadband> ()
"""


@dataclass(frozen=True)
class _Form:
    """What tells the body of one operator, and of its Table kind, from those of the others.

    `x` and `z` name the input in the layout of the state, and the present linear output in that of y; `begin` has the lines
    that make x, `linear` those that make ``present_linear`` and z of ``change`` and ``past_linear``. `geometry` has the
    names of further attributes.
    """

    x: str
    begin: str
    linear: str
    z: str
    geometry: tuple[str, ...] = ()


_FC_FORM = _Form(
    x="x",
    begin="",
    linear="""
    correction = MatMul (change, W)
    present_linear = Add (past_linear, correction)
""",
    z="present_linear",
)


def _conv_form(op: str, geometry: Mapping[str, str]) -> _Form:
    """The form of a CONV whose linear output is that of `op`; `geometry` has the types of its attributes."""
    attributes = ", ".join(f"{name}: {kind} = @{name}" for name, kind in geometry.items())
    last, first = (f'Einsum <equation: string = "{to}">' for to in (TO_CHANNELS_LAST, TO_CHANNELS_FIRST))
    return _Form(
        x="x_last",
        begin=f"""
    x_last = {last} (x)
""",
        linear=f"""
    change_first = {first} (change)
    correction_first = {op} <{attributes}> (change_first, W)
    correction = {last} (correction_first)
    present_linear = Add (past_linear, correction)
    linear_first = {first} (present_linear)
""",
        z="linear_first",
        geometry=tuple(geometry),
    )


_CONV_GEOMETRY = {"strides": "ints", "pads": "ints", "dilations": "ints", "group": "int"}
_FORMS = {
    _GEMM: _FC_FORM,
    _CONV: _conv_form("Conv", _CONV_GEOMETRY),
    _CONV_TRANSPOSE: _conv_form("ConvTranspose", {**_CONV_GEOMETRY, "output_padding": "ints"}),
}
_OPERATORS = (*_FORMS, *(op + _TABLE for op in _FORMS))


@dataclass(frozen=True)
class Activation:
    """``y = min(max(z, z * slope), maximum)``: slope 1 is none, 0 is Relu, between them LeakyRelu; Clip(0, 6) is (0, 6).

    Both are exactly float32.
    """

    slope: float = 1.0
    maximum: float = inf


@dataclass(frozen=True)
class ConvAttributes:
    """Geometry of a ReuseConv or, with `output_padding`, of a ReuseConvTranspose.

    One stride, dilation and output padding per spatial axis, pads in ONNX order (all begins, all ends).
    """

    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    group: int
    output_padding: tuple[int, ...] | None = None

    @property
    def op(self) -> str:
        """The standard operator of this geometry."""
        return _DENSE_CONV if self.output_padding is None else _DENSE_CONV_TRANSPOSE

    @property
    def attributes(self) -> dict[str, int | Sequence[int]]:
        """As attributes of `op`."""
        own: dict[str, int | Sequence[int]] = {
            "strides": self.strides,
            "pads": self.pads,
            "dilations": self.dilations,
            "group": self.group,
        }
        return own if self.output_padding is None else {**own, "output_padding": self.output_padding}


def function(op: str, opset: int) -> ir.Function:
    """The body of `op` ("ReuseGemm", "ReuseConv" or "ReuseConvTranspose", "Table" behind it or not) in standard
    operators of `opset`, the model's own (18 or later).

    Raises ModelError where `op` is neither or `opset` is too old.
    """
    if opset < MIN_OPSET:
        raise ModelError(f"{DOMAIN}.{op}: opset {opset} is too old: convert the model to {MIN_OPSET} or later")
    if op not in _OPERATORS:
        raise ModelError(f"{DOMAIN}.{op}: no such operator: {', '.join(_OPERATORS)} are known")
    form = _FORMS[op.removesuffix(_TABLE)]
    if op.endswith(_TABLE):
        attributes = _TABLE_ATTRIBUTES
        quantize = f"{table_text.CONSTANTS}{_DEADBAND}{table_text.quantize(form.x)}"
    else:
        attributes = _LINEAR_ATTRIBUTES
        quantize = (
            f"{function_text.constants('')}{_DEADBAND}{function_text.keep('', form.x, 'past_index')}"
            f"{function_text.present('', 'keep', 'past_index', 'present_index')}{function_text.change('')}"
        )
    text = _BODY.format(
        domain=DOMAIN,
        opset=opset,
        op=op,
        attributes=", ".join((*attributes, *_ACTIVATION_ATTRIBUTES, *form.geometry)),
        quantizer=f"{function_text.COMMON}{form.begin}{quantize}",
        linear=form.linear,
        z=form.z,
    )
    return ir.serde.deserialize_function(onnx.parser.parse_function(text))


def reuse_attributes(
    quantizer: Quantizer, activation: Activation | None = None, conv: ConvAttributes | None = None
) -> list[ir.Attr]:
    """Every attribute of a node; without `activation` none is applied, with `conv` the node is a CONV."""
    activation = activation or Activation()
    attributes = [
        *quantizer_attributes(quantizer),
        ir.AttrFloat32("activation_slope", activation.slope),
        ir.AttrFloat32("activation_max", activation.maximum),
    ]
    if conv is None:
        return attributes
    attributes += [
        ir.AttrInt64s("strides", conv.strides),
        ir.AttrInt64s("pads", conv.pads),
        ir.AttrInt64s("dilations", conv.dilations),
        ir.AttrInt64("group", conv.group),
    ]
    if conv.output_padding is not None:
        attributes.append(ir.AttrInt64s("output_padding", conv.output_padding))
    return attributes


def quantizer_attributes(quantizer: Quantizer, prefix: str = "") -> list[ir.Attr]:
    """The attributes that describe `quantizer`; `prefix` tells the operands of a recurrent node apart."""
    deadband = quantizer.deadband if isinstance(quantizer.deadband, tuple) else (quantizer.deadband,)
    both = [ir.AttrInt64(f"{prefix}zero", quantizer.zero), ir.AttrFloat32s(f"{prefix}deadband", deadband)]
    if isinstance(quantizer, TableQuantizer):
        return [
            ir.AttrFloat32s(f"{prefix}centroids", quantizer.centroids),
            ir.AttrFloat32s(f"{prefix}boundaries", quantizer.boundaries),
            *both,
        ]
    return [
        ir.AttrFloat32(f"{prefix}step", quantizer.step),
        ir.AttrInt64(f"{prefix}clusters", quantizer.clusters),
        *both,
    ]


def reuse_node(
    name: str,
    x: ir.Value,
    weight: ir.Value,
    bias: ir.Value,
    linear: ir.Value,
    quantizer: Quantizer,
    conv: ConvAttributes | None = None,
) -> ir.Node:
    """A reuse node of that `name` with its state values, named and typed, but not yet inputs and outputs of a graph.

    A ReuseConv or ReuseConvTranspose with `conv`, a ReuseGemm without; of the Table kind where the quantizer is one. `linear` is the value that the node's y stands
    for: y has its name, shape and type, and no activation.
    """
    index_type = ir.TensorType(ir.DataType.from_numpy(quantizer.index_dtype))
    float_type = ir.TensorType(ir.DataType.FLOAT)
    kept_x, kept_linear = (_state_shape(value, conv) for value in (x, linear))
    past_index = ir.Value(name=past_index_name(name), type=index_type, shape=kept_x)
    past_linear = ir.Value(name=past_linear_name(name), type=float_type, shape=kept_linear)
    outputs = [
        ir.Value(name=linear.name, type=float_type, shape=linear.shape),
        ir.Value(name=present_index_name(name), type=index_type, shape=kept_x),
        ir.Value(name=present_linear_name(name), type=float_type, shape=kept_linear),
    ]
    return ir.Node(
        DOMAIN,
        _op_type(conv) + (_TABLE if isinstance(quantizer, TableQuantizer) else ""),
        [x, past_index, past_linear, weight, bias],
        reuse_attributes(quantizer, conv=conv),
        outputs=outputs,
        name=name,
    )


def _state_shape(value: ir.Value, conv: ConvAttributes | None) -> ir.Shape | None:
    if value.shape is None or conv is None:
        return value.shape
    return ir.Shape(channels_last_shape(value.shape.dims))


def _op_type(conv: ConvAttributes | None) -> str:
    if conv is None:
        return _GEMM
    return _CONV if conv.output_padding is None else _CONV_TRANSPOSE


def is_reuse(node: ir.Node) -> bool:
    """Whether `node` is one of the operators of this module."""
    return node.domain == DOMAIN and node.op_type in _OPERATORS


def keeps_channels_last(node: ir.Node) -> bool:
    """Whether the state of a reuse node is in the layout of :mod:`reuse_compiler.state_layout`: that of a CONV is."""
    return is_reuse(node) and node.op_type.startswith(_CONV)


def reuse_nodes(model: ir.Model) -> list[ir.Node]:
    """The reuse nodes of the top graph, in the order of the graph."""
    return [node for node in model.graph if is_reuse(node)]


def read_quantizer(node: ir.Node, prefix: str = "") -> Quantizer:
    """The quantizer of a reuse node, or with a `prefix` of its attributes the one of an operand of a recurrent node.

    Raises PlanError where a value is out of range, or those of a table contradict each other.
    """
    given = node.attributes
    deadbands = tuple(given[f"{prefix}deadband"].as_floats())
    deadband = deadbands if len(deadbands) > 1 else deadbands[0]
    if f"{prefix}centroids" not in given:
        step, clusters = given[f"{prefix}step"].as_float(), given[f"{prefix}clusters"].as_int()
        return LinearQuantizer(step, given[f"{prefix}zero"].as_int(), clusters, deadband)
    table = TableQuantizer(tuple(given[f"{prefix}centroids"].as_floats()), deadband)
    boundaries, zero = tuple(given[f"{prefix}boundaries"].as_floats()), given[f"{prefix}zero"].as_int()
    if (boundaries, zero) != (table.boundaries, table.zero):
        raise PlanError(
            f"node {node.name}: its boundaries or zero are not those of its centroids: compile the model again"
        )
    return table


def read_activation(node: ir.Node) -> Activation:
    """The fused activation of a reuse node."""
    return Activation(node.attributes["activation_slope"].as_float(), node.attributes["activation_max"].as_float())


def read_conv(node: ir.Node) -> ConvAttributes:
    """The geometry attributes of a ReuseConv or ReuseConvTranspose."""
    padding = node.attributes.get("output_padding")
    return ConvAttributes(
        tuple(node.attributes["strides"].as_ints()),
        tuple(node.attributes["pads"].as_ints()),
        tuple(node.attributes["dilations"].as_ints()),
        node.attributes["group"].as_int(),
        None if padding is None else tuple(padding.as_ints()),
    )


def past_index_name(node: str) -> str:
    """The graph input with the indices of the frame before, for the node of that name."""
    return f"past_index_{node}"


def past_linear_name(node: str) -> str:
    """The graph input with the linear output of the frame before."""
    return f"past_linear_{node}"


def present_index_name(node: str) -> str:
    """The graph output with the indices of this frame."""
    return f"present_index_{node}"


def present_linear_name(node: str) -> str:
    """The graph output with the linear output of this frame."""
    return f"present_linear_{node}"


def initial_index(node: ir.Node) -> Index:
    """The indices that a sequence starts with: the zero index everywhere, a read-only view in the shape of the state."""
    quantizer = read_quantizer(node)
    return np.broadcast_to(np.array(quantizer.zero, quantizer.index_dtype), _shape(node, 1))


def initial_linear(node: ir.Node) -> NDArray[np.float32]:
    """The linear output that a sequence starts with: the bias along the channels, a read-only view in the shape of the state."""
    value = node.inputs[4]
    if value is None or value.const_value is None:
        raise ModelError(f"node {node.name}: its bias is not an initializer: compile the model again")
    return np.broadcast_to(value.const_value.numpy().astype(np.float32), _shape(node, 2))


def _shape(node: ir.Node, position: int) -> tuple[int, ...]:
    value = node.inputs[position]
    shape: Any = None if value is None else value.shape
    if shape is None or not all(isinstance(size, int) for size in shape):
        raise ModelError(f"node {node.name}: its state input {position} has no static shape: compile the model again")
    return tuple(shape)
