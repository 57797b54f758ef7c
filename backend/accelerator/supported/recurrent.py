"""Rules of recurrent layers."""

from __future__ import annotations

import onnx_ir as ir

from reuse_compiler.backend.accelerator.shapes import constant, shape_of
from reuse_compiler.backend.accelerator.supported.rule import Rule
from reuse_compiler.backend.accelerator.supported.tensors import static_shape, variable_data
from reuse_compiler.recurrent import KNOWN_ACTIVATIONS, OPERATORS

__all__ = ["RULES"]

_LENGTHS = 4  # position of sequence_lens


def float32_sequence(node: ir.Node) -> str | None:
    """input, weights and states are float32"""
    values = [value for position, value in enumerate(node.inputs) if position != _LENGTHS and value is not None]
    other = [value for value in (*values, node.outputs[0]) if value.dtype != ir.DataType.FLOAT]
    return f"{other[0].name} is {other[0].dtype}" if other else None


def sequence_elements(node: ir.Node) -> str | None:
    """input and state have elements"""
    values = [value for value in (node.inputs[0], node.outputs[0]) if value is not None]
    empty = [value for value in values if 0 in (shape_of(value) or ())]
    return f"{empty[0].name} has shape {empty[0].shape}" if empty else None


def constant_matrices(node: ir.Node) -> str | None:
    """weights, biases and peepholes are constants"""
    values = [value for position, value in enumerate(node.inputs) if position in (1, 2, 3, 7) and value is not None]
    variable = [value for value in values if constant(value) is None]
    return f"{variable[0].name} is computed at run time" if variable else None


def constant_lengths(node: ir.Node) -> str | None:
    """sequence lengths are constants, or absent"""
    value = node.inputs[_LENGTHS] if len(node.inputs) > _LENGTHS else None
    return f"{value.name} is computed at run time" if value is not None and constant(value) is None else None


def lengths_within(node: ir.Node) -> str | None:
    """every row has a sequence of at least one step, and none goes beyond the time axis"""
    lengths = constant(node.inputs[_LENGTHS]) if len(node.inputs) > _LENGTHS else None
    shape = shape_of(node.inputs[0]) if node.inputs[0] is not None else None
    if lengths is None or shape is None:
        return None
    outside = lengths[(lengths < 1) | (lengths > shape[0])]
    return f"a length is {outside.flat[0]}, of {shape[0]} steps" if outside.size else None


def one_direction(node: ir.Node) -> str | None:
    """the layer has one direction; those of a bidirectional layer are taken apart where its weights are constants"""
    direction = node.attributes.get_string("direction", "forward")
    return None if direction in ("forward", "reverse") else f"the direction is {direction}"


def time_first(node: ir.Node) -> str | None:
    """the layout is 0, time before batch"""
    layout = node.attributes.get_int("layout", 0)
    return None if layout == 0 else f"the layout is {layout}"


def known_activations(node: ir.Node) -> str | None:
    """the activations are those of ONNX's recurrent operators"""
    names = node.attributes.get_strings("activations", None) or ()
    unknown = [name for name in names if name.lower() not in KNOWN_ACTIVATIONS]
    return f"{unknown[0]} is among them" if unknown else None


RULES: dict[str, tuple[Rule, ...]] = dict.fromkeys(
    OPERATORS,
    (
        *(static_shape, float32_sequence, sequence_elements, variable_data, constant_matrices),
        *(one_direction, time_first, constant_lengths, lengths_within, known_activations),
    ),
)
