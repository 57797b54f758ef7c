"""Rules of operators that ONNX defines by others."""

from __future__ import annotations

import onnx_ir as ir

from reuse_compiler.backend.accelerator.definitions import definition
from reuse_compiler.backend.accelerator.supported.rule import Rule
from reuse_compiler.backend.accelerator.supported.tensors import static_shape

__all__ = ["RULES"]


def made_of_instructions(node: ir.Node) -> str | None:
    """what ONNX defines it by, with all that is constant computed, has instructions"""
    from reuse_compiler.backend.accelerator.supported import verdict

    parts = definition(node)
    if parts is None:
        return "onnx has no such definition, or onnxruntime does not take it"
    made = {value.name for part in parts for value in part.outputs}
    known = [value.name for value in node.outputs if value.name and value.name not in made]
    if known:
        return f"{known[0]} is a constant"
    for part in parts:
        supported, rule, measured = verdict(part)
        if not supported:
            return f"in {part.op_type}, {rule}: {measured}"
    return None


RULES: dict[str, tuple[Rule, ...]] = dict.fromkeys(
    ("Attention", "RotaryEmbedding"), (static_shape, made_of_instructions)
)
