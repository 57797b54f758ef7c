"""Read layers that only move elements."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

from reuse_compiler.backend.accelerator.lowering.move_spec import MoveSpec, constant_words
from reuse_compiler.backend.accelerator.lowering.readers.reader import Reader
from reuse_compiler.backend.accelerator.lowering.readers.values import tensor
from reuse_compiler.backend.accelerator.lowering.specs import AliasSpec, Layer, Spec, Tensor
from reuse_compiler.backend.accelerator.movement import (
    DATA_INPUTS,
    Axis,
    BoxMove,
    MovedOutput,
    plan_movement,
)
from reuse_compiler.backend.accelerator.supported import ALIASES

__all__ = ["READERS"]


def _moved(node: ir.Node) -> Sequence[Layer]:
    """A layer for each output that is used."""
    outputs = plan_movement(node).outputs
    name = str(node.name)
    return [
        _layer(node, output, name if len(outputs) == 1 else f"{name} output {position + 1}")
        for position, output in enumerate(outputs)
    ]


def _layer(node: ir.Node, output: MovedOutput, name: str) -> Layer:
    assert not output.too_many, "the rules leave such a node to the host"
    inputs, result = tuple(tensor(value) for value in output.operands), tensor(output.value)
    return Layer(name, node.op_type, inputs, (result,), _spec(output, inputs, result), str(node.name))


def _spec(output: MovedOutput, inputs: Sequence[Tensor], result: Tensor) -> Spec:
    """Moves, or nothing to do where the output has the elements of the operand in their order."""
    if len(output.moves) == 1 and len(inputs) == 1 and _is_whole(output.moves[0], inputs[0], result):
        return AliasSpec()
    return MoveSpec(output.constants.dtype.itemsize, output.moves, constant_words(output.constants))


def _is_whole(move: object, data: Tensor, result: Tensor) -> bool:
    size = math.prod(result.shape)
    axes = (Axis(size, 1, 1),) if size > 1 else ()
    return math.prod(data.shape) == size and move == BoxMove(0, 0, 0, axes)


READERS: dict[str, Reader] = {
    **dict.fromkeys(DATA_INPUTS, _moved),
    **dict.fromkeys(ALIASES, lambda node: AliasSpec()),
}
