"""Rules of CONV layers."""

from __future__ import annotations

import onnx_ir as ir

from reuse_compiler.backend.accelerator.supported.rule import Rule
from reuse_compiler.backend.accelerator.supported.tensors import (
    TENSOR,
    constant_weights,
    explicit_padding,
    spatial_axes,
    variable_data,
)

__all__ = ["RULES"]


def padding_of_its_output(node: ir.Node) -> str | None:
    """the size of the output is given by padding, not by output_shape"""
    given = node.attributes.get_ints("output_shape", None)
    return None if given is None else f"output_shape is {list(given)}"


_CONV = (*TENSOR, variable_data, constant_weights, spatial_axes, explicit_padding)

RULES: dict[str, tuple[Rule, ...]] = {
    "Conv": _CONV,
    "ConvTranspose": (*_CONV, padding_of_its_output),
}
