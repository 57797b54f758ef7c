"""The `ai.reuse` operators: ONNX function bodies, the attributes of their nodes, and the names of their state.

``ReuseGemm`` and ``ReuseConv`` take ``(x, past_index, past_linear, W, B)`` and give
``(y, present_index, present_linear)``. A body is plain ONNX and is the reference semantics; one body serves every node
of a model, because all that differs between nodes is an attribute. B is the linear output of an input of zeros: the
body only corrects what it is given, so B is where a sequence begins (:func:`initial_linear`) and what a refresh needs.

Attributes of both: ``step``, ``zero``, ``clusters``, ``deadband`` (see
:class:`~reuse_compiler.quantizers.LinearQuantizer`), ``activation_slope`` and ``activation_max``
(:class:`Activation`); of ReuseConv also ``strides``, ``pads`` (ONNX order), ``dilations`` and ``group``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler.errors import ModelError
from reuse_compiler.quantizers import Index, LinearQuantizer

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

_GEMM, _CONV = "ReuseGemm", "ReuseConv"
_SHARED_ATTRIBUTES = ("step", "zero", "clusters", "deadband", "activation_slope", "activation_max")
_CONV_ATTRIBUTES = ("strides", "pads", "dilations", "group")

# The order of the float32 operations is that of reuse_compiler.quantizers, so that indices agree bit for bit. The one
# of 1 / step is cast from an integer because onnxruntime rewrites a literal 1 / step * x into x / step, which rounds
# otherwise.
_BODY = """
<domain: "{domain}", opset_import: ["": {opset}]>
{op} <{attributes}> (x, past_index, past_linear, W, B) => (y, present_index, present_linear)
{{
    one_int = Constant <value_int: int = 1> ()
    one = Cast <to: int = 1> (one_int)
    nothing = Constant <value_float: float = 0.0> ()
    step = Constant <value_float: float = @step> ()
    zero_int = Constant <value_int: int = @zero> ()
    zero = Cast <to: int = 1> (zero_int)
    clusters_int = Constant <value_int: int = @clusters> ()
    clusters = Cast <to: int = 1> (clusters_int)
    top = Sub (clusters, one)

    inv_step = Div (one, step)
    scaled = Mul (x, inv_step)
    rounded = Round (scaled)
    shifted = Add (rounded, zero)
    clipped = Clip (shifted, nothing, top)
    is_nan = IsNaN (x)
    nearest = Where (is_nan, zero, clipped)

    past_number = Cast <to: int = 1> (past_index)
    past_steps = Sub (past_number, zero)
    past = Mul (past_steps, step)
    difference = Sub (x, past)
    distance = Abs (difference)
{deadband}
    near = LessOrEqual (distance, deadband)
    has_memory = Greater (deadband, nothing)
    keep = And (near, has_memory)
    present_number = Where (keep, past_number, nearest)
    present_index = CastLike (present_number, past_index)

    present_steps = Sub (present_number, zero)
    present = Mul (present_steps, step)
    change = Sub (present, past)
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


@dataclass(frozen=True)
class Activation:
    """``y = min(max(z, z * slope), maximum)``: slope 1 is none, 0 is Relu, between them LeakyRelu; Clip(0, 6) is (0, 6).

    Both are exactly float32.
    """

    slope: float = 1.0
    maximum: float = inf


@dataclass(frozen=True)
class ConvAttributes:
    """Geometry of a ReuseConv: one stride and dilation per spatial axis, pads in ONNX order (all begins, all ends)."""

    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    group: int


def function(op: str, opset: int) -> ir.Function:
    """The body of `op` ("ReuseGemm" or "ReuseConv") in standard operators of `opset`, the model's own (18 or later).

    Raises ModelError where `op` is neither or `opset` is too old.
    """
    if opset < MIN_OPSET:
        raise ModelError(f"{DOMAIN}.{op}: opset {opset} is too old: convert the model to {MIN_OPSET} or later")
    if op == _GEMM:
        attributes, deadband, linear = ", ".join(_SHARED_ATTRIBUTES), _GEMM_DEADBAND, _GEMM_LINEAR
    elif op == _CONV:
        attributes, deadband, linear = ", ".join(_SHARED_ATTRIBUTES + _CONV_ATTRIBUTES), _CONV_DEADBAND, _CONV_LINEAR
    else:
        raise ModelError(f"{DOMAIN}.{op}: no such operator: {_GEMM} and {_CONV} are known")
    text = _BODY.format(domain=DOMAIN, opset=opset, op=op, attributes=attributes, deadband=deadband, linear=linear)
    return ir.serde.deserialize_function(onnx.parser.parse_function(text))


def reuse_attributes(
    quantizer: LinearQuantizer, activation: Activation | None = None, conv: ConvAttributes | None = None
) -> list[ir.Attr]:
    """Every attribute of a node; without `activation` none is applied, with `conv` the node is a ReuseConv."""
    activation = activation or Activation()
    deadband = quantizer.deadband if isinstance(quantizer.deadband, tuple) else (quantizer.deadband,)
    attributes = [
        ir.AttrFloat32("step", quantizer.step),
        ir.AttrInt64("zero", quantizer.zero),
        ir.AttrInt64("clusters", quantizer.clusters),
        ir.AttrFloat32s("deadband", deadband),
        ir.AttrFloat32("activation_slope", activation.slope),
        ir.AttrFloat32("activation_max", activation.maximum),
    ]
    if conv is None:
        return attributes
    return [
        *attributes,
        ir.AttrInt64s("strides", conv.strides),
        ir.AttrInt64s("pads", conv.pads),
        ir.AttrInt64s("dilations", conv.dilations),
        ir.AttrInt64("group", conv.group),
    ]


def reuse_node(
    name: str,
    x: ir.Value,
    weight: ir.Value,
    bias: ir.Value,
    linear: ir.Value,
    quantizer: LinearQuantizer,
    conv: ConvAttributes | None = None,
) -> ir.Node:
    """A reuse node of that `name` with its state values, named and typed, but not yet inputs and outputs of a graph.

    ReuseConv with `conv`, ReuseGemm without. `linear` is the value that the node's y stands for: y has its name, shape
    and type, and no activation.
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
        _GEMM if conv is None else _CONV,
        [x, past_index, past_linear, weight, bias],
        reuse_attributes(quantizer, conv=conv),
        outputs=outputs,
        name=name,
    )


def is_reuse(node: ir.Node) -> bool:
    """Whether `node` is one of the operators of this module."""
    return node.domain == DOMAIN and node.op_type in (_GEMM, _CONV)


def reuse_nodes(model: ir.Model) -> list[ir.Node]:
    """The reuse nodes of the top graph, in the order of the graph."""
    return [node for node in model.graph if is_reuse(node)]


def read_quantizer(node: ir.Node) -> LinearQuantizer:
    """The quantizer of a reuse node. Raises PlanError where a value is out of range."""
    deadband = tuple(node.attributes["deadband"].as_floats())
    return LinearQuantizer(
        node.attributes["step"].as_float(),
        node.attributes["zero"].as_int(),
        node.attributes["clusters"].as_int(),
        deadband if len(deadband) > 1 else deadband[0],
    )


def read_activation(node: ir.Node) -> Activation:
    """The fused activation of a reuse node."""
    return Activation(node.attributes["activation_slope"].as_float(), node.attributes["activation_max"].as_float())


def read_conv(node: ir.Node) -> ConvAttributes:
    """The geometry attributes of a ReuseConv."""
    return ConvAttributes(
        tuple(node.attributes["strides"].as_ints()),
        tuple(node.attributes["pads"].as_ints()),
        tuple(node.attributes["dilations"].as_ints()),
        node.attributes["group"].as_int(),
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
    if node.op_type == _CONV:
        bias = bias.reshape(-1, *[1] * (len(shape) - 2))
    return np.broadcast_to(bias, shape)


def _shape(node: ir.Node, position: int) -> tuple[int, ...]:
    value = node.inputs[position]
    shape: Any = None if value is None else value.shape
    if shape is None or not all(isinstance(size, int) for size in shape):
        raise ModelError(f"node {node.name}: its state input {position} has no static shape: compile the model again")
    return tuple(shape)
