"""Rules of resizing: where the mode is nearest elements are moved, else they are interpolated."""

from __future__ import annotations

from collections.abc import Iterator
from functools import wraps

import onnx_ir as ir

from reuse_compiler.backend.accelerator.resizing import resized_axes
from reuse_compiler.backend.accelerator.shapes import constant
from reuse_compiler.backend.accelerator.supported import movement
from reuse_compiler.backend.accelerator.supported.rule import Rule
from reuse_compiler.backend.accelerator.supported.tensors import OPERAND

__all__ = ["RULES"]


def constant_sizes(node: ir.Node) -> str | None:
    """region of interest, scales and sizes are constants"""
    variable = [value for value in node.inputs[1:] if value is not None and constant(value) is None]
    return f"{variable[0].name} is computed at run time" if variable else None


def inside(node: ir.Node) -> str | None:
    """the region of interest lies inside the tensor"""
    if node.attributes.get_string("coordinate_transformation_mode", "half_pixel") != "tf_crop_and_resize":
        return None
    for number, axis in enumerate(resized_axes(node)):
        if axis is not None:
            positions = axis.positions("tf_crop_and_resize")
            if positions.min() < 0 or positions.max() > axis.size - 1:
                return f"axis {number} is read from {positions.min():g} to {positions.max():g}"
    return None


def _in_mode(mode: str, rules: tuple[Rule, ...]) -> Iterator[Rule]:
    """The rules, for the nodes of a mode alone: "nearest", or any other."""
    for rule in rules:

        @wraps(rule)
        def check(node: ir.Node, rule: Rule = rule) -> str | None:
            nearest = node.attributes.get_string("mode", "nearest") == "nearest"
            return rule(node) if nearest == (mode == "nearest") else None

        yield check


RULES: dict[str, tuple[Rule, ...]] = {
    "Resize": (
        *_in_mode("nearest", movement.RULES["Resize"]),
        *_in_mode("interpolated", (*OPERAND, constant_sizes, inside)),
    )
}
