"""The `ai.reuse` operators: ONNX function bodies, the attributes of their nodes, and the names of their state.

``ReuseGemm``, ``ReuseConv`` and ``ReuseConvTranspose``, and the same with ``Table`` behind the name, take ``(x, past_index, past_linear, W, B)`` and give
``(y, present_index, present_linear)``. A body is plain ONNX and is the reference semantics; one body serves every node
of a model, because all that differs between nodes is an attribute. B is the linear output of an input of zeros: the
body only corrects what it is given, so B is where a sequence begins (:func:`initial_linear`) and what a refresh needs.

Attributes of all: ``zero`` and ``deadband``; ``step`` and ``clusters`` where the quantizer is linear (see
:class:`~reuse_compiler.quantizers.LinearQuantizer`), ``centroids`` and ``boundaries`` where it is a table
(:class:`~reuse_compiler.quantizers.TableQuantizer`); ``activation_slope`` and ``activation_max`` (:class:`Activation`); of
CONV also ``strides``, ``pads`` (ONNX order), ``dilations`` and ``group``, and of
ReuseConvTranspose ``output_padding``.
"""

from __future__ import annotations

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
_TABLE = "Table"
"""What the name of an operator ends in whose quantizer is a table."""
_LINEAR_ATTRIBUTES = ("step", "zero", "clusters", "deadband")
_TABLE_ATTRIBUTES = ("centroids", "boundaries", "zero", "deadband")
_ACTIVATION_ATTRIBUTES = ("activation_slope", "activation_max")
_CONV_ATTRIBUTES = ("strides", "pads", "dilations", "group")

_BODY = """
<domain: "{domain}", opset_import: ["": {opset}]>
{op} <{attributes}> (x, past_index, past_linear, W, B) => (y, present_index, present_linear)
{{
    {quantizer}
    {linear}
    present_linear = Add (past_linear, correction)

    slope = Constant <value_float: float = @activation_slope> ()
    sloped = Mul (present_linear, slope)
    rectified = Max (present_linear, sloped)
    maximum = Constant <value_float: float = @activation_max> ()
    y = Min (rectified, maximum)
}}
"""

# Channels are the last axis: one deadband per channel broadcasts as it is.
_GEMM_DEADBAND = """
    deadband = Constant <value_floats: floats = @deadband> ()
"""
_GEMM_LINEAR = """
    correction = MatMul (change, W)
"""

# Channels are axis 1, before as many spatial axes as the kernel has.
_CONV_DEADBAND = """
    deadband_list = Constant <value_floats: floats = @deadband> ()
    kernel_shape = Shape <start: int = 2> (W)
    spatial_rank = Shape (kernel_shape)
    channels = Constant <value_ints: ints = [-1]> ()
    spatial_ones = ConstantOfShape <value: tensor = int64[1] {1}> (spatial_rank)
    deadband_shape = Concat <axis: int = 0> (channels, spatial_ones)
    deadband = Reshape (deadband_list, deadband_shape)
"""
_CONV_LINEAR = """
    correction = Conv <strides: ints = @strides, pads: ints = @pads, dilations: ints = @dilations, group: int = @group>
                      (change, W)
"""
_CONV_TRANSPOSE_LINEAR = """
    correction = ConvTranspose <strides: ints = @strides, pads: ints = @pads, dilations: ints = @dilations,
                                group: int = @group, output_padding: ints = @output_padding>
                               (change, W)
"""
_CONV_TRANSPOSE_ATTRIBUTES = (*_CONV_ATTRIBUTES, "output_padding")

_PARTS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    _GEMM: (_GEMM_DEADBAND, _GEMM_LINEAR, ()),
    _CONV: (_CONV_DEADBAND, _CONV_LINEAR, _CONV_ATTRIBUTES),
    _CONV_TRANSPOSE: (_CONV_DEADBAND, _CONV_TRANSPOSE_LINEAR, _CONV_TRANSPOSE_ATTRIBUTES),
}
"""The lines of the deadband and of the linear output, and the attributes of the geometry."""
_OPERATORS = (*_PARTS, *(op + _TABLE for op in _PARTS))


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


def function(op: str, opset: int) -> ir.Function:
    """The body of `op` ("ReuseGemm", "ReuseConv" or "ReuseConvTranspose", "Table" behind it or not) in standard
    operators of `opset`, the model's own (18 or later).

    Raises ModelError where `op` is neither or `opset` is too old.
    """
    if opset < MIN_OPSET:
        raise ModelError(f"{DOMAIN}.{op}: opset {opset} is too old: convert the model to {MIN_OPSET} or later")
    if op not in _OPERATORS:
        raise ModelError(f"{DOMAIN}.{op}: no such operator: {', '.join(_OPERATORS)} are known")
    deadband, linear, geometry = _PARTS[op.removesuffix(_TABLE)]
    if op.endswith(_TABLE):
        attributes = _TABLE_ATTRIBUTES
        quantizer = f"{function_text.COMMON}{table_text.CONSTANTS}{deadband}{table_text.QUANTIZE}"
    else:
        attributes = _LINEAR_ATTRIBUTES
        quantizer = (
            f"{function_text.COMMON}{function_text.constants('')}{deadband}{function_text.keep('', 'x', 'past_index')}"
            f"{function_text.present('', 'keep', 'past_index', 'present_index')}{function_text.change('')}"
        )
    names = ", ".join((*attributes, *_ACTIVATION_ATTRIBUTES, *geometry))
    text = _BODY.format(domain=DOMAIN, opset=opset, op=op, attributes=names, quantizer=quantizer, linear=linear)
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
    past_index = ir.Value(name=past_index_name(name), type=index_type, shape=x.shape)
    past_linear = ir.Value(name=past_linear_name(name), type=float_type, shape=linear.shape)
    outputs = [
        ir.Value(name=linear.name, type=float_type, shape=linear.shape),
        ir.Value(name=present_index_name(name), type=index_type, shape=x.shape),
        ir.Value(name=present_linear_name(name), type=float_type, shape=linear.shape),
    ]
    return ir.Node(
        DOMAIN,
        _op_type(conv) + (_TABLE if isinstance(quantizer, TableQuantizer) else ""),
        [x, past_index, past_linear, weight, bias],
        reuse_attributes(quantizer, conv=conv),
        outputs=outputs,
        name=name,
    )


def _op_type(conv: ConvAttributes | None) -> str:
    if conv is None:
        return _GEMM
    return _CONV if conv.output_padding is None else _CONV_TRANSPOSE


def is_reuse(node: ir.Node) -> bool:
    """Whether `node` is one of the operators of this module."""
    return node.domain == DOMAIN and node.op_type in _OPERATORS


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
    """The indices that a sequence starts with: the zero index everywhere, a read-only view in the shape of x."""
    quantizer = read_quantizer(node)
    return np.broadcast_to(np.array(quantizer.zero, quantizer.index_dtype), _shape(node, 1))


def initial_linear(node: ir.Node) -> NDArray[np.float32]:
    """The linear output that a sequence starts with: the bias along the channels, a read-only view in the shape of y."""
    shape = _shape(node, 2)
    value = node.inputs[4]
    if value is None or value.const_value is None:
        raise ModelError(f"node {node.name}: its bias is not an initializer: compile the model again")
    bias = value.const_value.numpy().astype(np.float32)
    if node.op_type.startswith(_CONV):
        bias = bias.reshape(-1, *[1] * (len(shape) - 2))
    return np.broadcast_to(bias, shape)


def _shape(node: ir.Node, position: int) -> tuple[int, ...]:
    value = node.inputs[position]
    shape: Any = None if value is None else value.shape
    if shape is None or not all(isinstance(size, int) for size in shape):
        raise ModelError(f"node {node.name}: its state input {position} has no static shape: compile the model again")
    return tuple(shape)
