"""Choose between boxes and tables for each output of a node that only moves elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.movement.boxes import copies, find_boxes
from reuse_compiler.backend.accelerator.movement.moves import CONSTANTS, Axis, BoxMove, Move, TableMove
from reuse_compiler.backend.accelerator.movement.numbering import Numbering, number_elements
from reuse_compiler.backend.accelerator.movement.tables import find_tables
from reuse_compiler.backend.accelerator.shapes import shape_of

__all__ = [
    "MOST_CONSTANT_BYTES",
    "MOST_COPIES",
    "MOST_ENTRIES",
    "MOST_ROW_BYTES",
    "MovedOutput",
    "Movement",
    "plan_movement",
    "surely_moves",
]

MOST_COPIES = 1024
"""Strided boxes of one output."""
MOST_CONSTANT_BYTES = 1 << 22
"""Bytes of the constants among the operands: they stay in the eDRAM."""
MOST_ENTRIES = 1 << 18
"""Entries of the tables of one output: they stay in the eDRAM."""
MOST_ROW_BYTES = 1 << 18
"""Bytes of an operand that one row of a table can need: they are in the I/O buffer at once."""

_FEW_COPIES = 32  # up to here boxes, since a table costs room and reads in the eDRAM

Array = NDArray[Any]


@dataclass(frozen=True)
class MovedOutput:
    """An output and its moves, which together and in this order write it; `too_many` says why there are none.

    `operands` are those that the moves read, by the numbers that they give, `constants` what they read from there.
    """

    value: ir.Value
    operands: tuple[ir.Value, ...]
    constants: Array
    moves: tuple[Move, ...]
    too_many: str = ""


@dataclass(frozen=True)
class Movement:
    """What a node that only moves elements does for those of its outputs that are used."""

    outputs: tuple[MovedOutput, ...]


def surely_moves(node: ir.Node) -> bool:
    """Whether `node` is so small that tables hold all of its outputs, however its elements are moved."""
    sizes = [math.prod(shape_of(value) or ()) for value in node.inputs if value is not None]
    outputs = [math.prod(shape_of(value) or ()) for value in node.outputs]
    assert node.outputs[0].dtype is not None
    widest = (sum(sizes) + 2) * node.outputs[0].dtype.itemsize
    return widest <= MOST_ROW_BYTES and max(outputs) * (len(sizes) + 1) <= MOST_ENTRIES


def plan_movement(node: ir.Node) -> Movement:
    """The moves of `node`, whose parameters must be constants. The elements decide, not the operator."""
    numbering = number_elements(node)
    return Movement(tuple(_planned(numbering, position) for position in range(len(numbering.outputs))))


def _planned(numbering: Numbering, position: int) -> MovedOutput:
    value, numbers = numbering.outputs[position], numbering.maps[position]
    itemsize = numbering.constants.dtype.itemsize
    if not numbers.size:
        return MovedOutput(value, (), numbering.constants[:0], ())
    boxes = find_boxes(numbers, numbering.bases, MOST_COPIES)
    count = sum(copies(box) for box in boxes) if boxes is not None else MOST_COPIES + 1
    if boxes is not None and count <= _FEW_COPIES:
        return _compact(numbering, value, boxes)
    tables = find_tables(numbers, numbering.bases)
    entries = sum(len(table.table) for table in tables)
    widest = max((table.row_span * itemsize for table in tables), default=0)
    if entries <= MOST_ENTRIES and widest <= MOST_ROW_BYTES:
        return _compact(numbering, value, [_filled(table) for table in tables])
    if boxes is not None and count <= MOST_COPIES:
        return _compact(numbering, value, boxes)
    text = f"{value.name} takes more than {MOST_COPIES:,} boxes, or {entries:,} entries over {widest:,} bytes"
    return MovedOutput(value, (), numbering.constants[:0], (), text)


def _filled(table: TableMove) -> Move:
    """The same, where one constant is all that the first table gives: that goes everywhere, the others overwrite it."""
    if table.source != CONSTANTS or table.rows > 1:
        return table
    axes = (Axis(table.elements, 0, 1),) if table.elements > 1 else ()
    return BoxMove(CONSTANTS, table.first, 0, axes)


def _compact(numbering: Numbering, value: ir.Value, moves: Sequence[Move]) -> MovedOutput:
    """Only the operands and the constants that the moves read."""
    used = sorted({move.source for move in moves if move.source != CONSTANTS})
    renumbered = {source: number for number, source in enumerate(used)} | {CONSTANTS: CONSTANTS}
    spans = [_span(move) for move in moves if move.source == CONSTANTS]
    low, high = min((span[0] for span in spans), default=0), max((span[1] for span in spans), default=0)
    return MovedOutput(
        value=value,
        operands=tuple(numbering.operands[source] for source in used),
        constants=numbering.constants[low:high],
        moves=tuple(
            replace(move, source=renumbered[move.source], first=move.first - (low if move.source == CONSTANTS else 0))
            for move in moves
        ),
    )


def _span(move: Move) -> tuple[int, int]:
    """The first element of its source that a move reads, and the one behind the last."""
    if isinstance(move, TableMove):
        reach = (move.outer - 1) * move.strides[0] + (move.inner - 1) * move.strides[2]
        return move.first, move.first + reach + move.row_span
    ends = [(axis.size - 1) * axis.source for axis in move.axes]
    return move.first + sum(min(end, 0) for end in ends), move.first + sum(max(end, 0) for end in ends) + 1
