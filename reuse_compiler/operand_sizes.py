"""Whether what a layer reads has the size that its weights take: onnx's inference does not ask, and shapes may be given."""

from __future__ import annotations

import onnx_ir as ir

from reuse_compiler.errors import ModelError

__all__ = ["check_operand_sizes"]


def check_operand_sizes(model: ir.Model) -> None:
    """Raise ModelError where the input of a CONV, FC or recurrent node of the top graph has another size than its weight
    takes."""
    for node in model.graph:
        found = _sizes(node) if node.domain == "" else None
        if found is not None and found[0] != found[1]:
            read, taken = found
            name = node.inputs[0].name if node.inputs[0] is not None else ""
            raise ModelError(
                f"node {node.name} ({node.op_type}): its input {name} has {read} {_what(node)}, its weight takes {taken}:"
                " correct the model, or the shape given for an input"
            )


def _what(node: ir.Node) -> str:
    return "channels" if node.op_type in ("Conv", "ConvTranspose") else "elements in a row"


def _sizes(node: ir.Node) -> tuple[int, int] | None:
    """What is read, and what the weight takes; None where one is not known, or the node is no layer."""
    x, weight = (_shape(value) for value in (*node.inputs, None, None)[:2])
    if not x or not weight:
        return None
    match node.op_type:
        case "Conv" if len(x) > 2:
            return _known(x[1], weight[1], node.attributes.get_int("group", 1))
        case "ConvTranspose" if len(x) > 2:
            return _known(x[1], weight[0])
        case "MatMul" if len(weight) > 1:
            return _known(x[-1], weight[-2])
        case "Gemm" if len(x) == 2:
            inner = x[0] if node.attributes.get_int("transA", 0) else x[1]
            return _known(inner, weight[1] if node.attributes.get_int("transB", 0) else weight[0])
        case "LSTM" | "GRU" | "RNN" if len(x) == 3:
            return _known(x[2], weight[2])
    return None


def _known(read: object, taken: object, times: int = 1) -> tuple[int, int] | None:
    return (read, taken * times) if isinstance(read, int) and isinstance(taken, int) else None


def _shape(value: ir.Value | None) -> tuple[object, ...]:
    return () if value is None or value.shape is None else tuple(value.shape)
