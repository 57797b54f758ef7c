"""Rules of layers that only move elements."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from reuse_compiler.backend.accelerator.movement import DATA_INPUTS, MOST_CONSTANT_BYTES, plan_movement, surely_moves
from reuse_compiler.backend.accelerator.shapes import constant, shape_of
from reuse_compiler.backend.accelerator.supported.names import ALIASES
from reuse_compiler.backend.accelerator.supported.rule import Rule
from reuse_compiler.backend.accelerator.supported.tensors import one_output, variable_data

__all__ = ["RULES"]

_BYTES: frozenset[float] = frozenset({1, 2, 4, 8})


def _data(node: ir.Node) -> list[ir.Value]:
    """The inputs that hold the elements."""
    inputs = node.inputs[:1] if node.op_type in ALIASES else node.inputs[DATA_INPUTS[node.op_type]]
    return [value for value in inputs if value is not None]


def _used_outputs(node: ir.Node) -> list[ir.Value]:
    return [value for value in node.outputs if value.name and (value.uses() or value.is_graph_output())]


def whole_bytes(node: ir.Node) -> str | None:
    """elements are numbers or truth values of 1, 2, 4 or 8 bytes"""
    for value in (*_data(node), *node.outputs[:1]):
        if not isinstance(value.type, ir.TensorType):
            return f"{value.name} is {value.type}"
        kind = value.type.dtype
        if kind in (ir.DataType.STRING, ir.DataType.UNDEFINED) or kind.itemsize not in _BYTES:
            return f"{value.name} is {kind}"
    return None


def moved_shapes(node: ir.Node) -> str | None:
    """the shapes of what is moved are known when the model is compiled"""
    unknown = [value for value in (*_data(node), *_used_outputs(node)) if shape_of(value) is None]
    return f"{unknown[0].name} has shape {unknown[0].shape}" if unknown else None


def constant_places(node: ir.Node) -> str | None:
    """shapes, indices and all else that says where elements go are constants"""
    data = _data(node)
    variable = [v for v in node.inputs if v is not None and v not in data and constant(v) is None]
    return f"{variable[0].name} is computed at run time" if variable else None


def variable_element(node: ir.Node) -> str | None:
    """not all operands are constants"""
    return "all are constants" if all(constant(value) is not None for value in _data(node)) else None


def numbered(node: ir.Node) -> str | None:
    """the operands have less than 2,147,483,000 elements, constants among them take at most 4 MiB"""
    count = sum(math.prod(shape_of(value) or ()) for value in _data(node))
    if count >= 2_147_483_000:
        return f"they have {count:,}"
    fixed = {id(value): array.nbytes for value in _data(node) if (array := constant(value)) is not None}
    return f"constants take {sum(fixed.values()):,} bytes" if sum(fixed.values()) > MOST_CONSTANT_BYTES else None


def nearest(node: ir.Node) -> str | None:
    """the mode is nearest"""
    mode = node.attributes.get_string("mode", "nearest")
    return None if mode == "nearest" else f"it is {mode}"


def plain_scatter(node: ir.Node) -> str | None:
    """scattered elements replace what is there: reduction is none"""
    reduction = node.attributes.get_string("reduction", "none")
    return None if reduction == "none" else f"it is {reduction}"


def inferred_dropout(node: ir.Node) -> str | None:
    """it is not in training mode"""
    training = node.inputs[2] if len(node.inputs) > 2 else None
    array = constant(training)
    off = training is None or (array is not None and not np.any(array))
    return None if off else f"{training.name} may be true" if training is not None else None


def regular(node: ir.Node) -> str | None:
    """an output is at most 1,024 strided boxes, or tables of at most 262,144 entries whose rows reach over 256 KiB at most"""
    if surely_moves(node):
        return None
    return next((output.too_many for output in plan_movement(node).outputs if output.too_many), None)


_MOVED: tuple[Rule, ...] = (whole_bytes, moved_shapes, variable_element, constant_places, numbered)
_ALIAS: tuple[Rule, ...] = (whole_bytes, moved_shapes, variable_data, one_output)
_OWN: dict[str, tuple[Rule, ...]] = {
    "Resize": (nearest,),
    "ScatterElements": (plain_scatter,),
    "ScatterND": (plain_scatter,),
}

RULES: dict[str, tuple[Rule, ...]] = {
    **{name: (*_OWN.get(name, ()), *_MOVED, regular) for name in DATA_INPUTS},
    **dict.fromkeys(ALIASES, _ALIAS),
    "Dropout": (*_ALIAS, inferred_dropout),
}
"""Rules by operator."""
