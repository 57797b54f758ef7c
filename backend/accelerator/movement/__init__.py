"""Nodes that only move elements: from the node to strided boxes and tables, whichever operator it is."""

from reuse_compiler.backend.accelerator.movement.boxes import COPIED_AXES, copies, merged
from reuse_compiler.backend.accelerator.movement.moves import CONSTANTS, Axis, BoxMove, Move, TableMove
from reuse_compiler.backend.accelerator.movement.numbering import DATA_INPUTS
from reuse_compiler.backend.accelerator.movement.planning import (
    MOST_CONSTANT_BYTES,
    MovedOutput,
    Movement,
    plan_movement,
    surely_moves,
)

__all__ = [
    "CONSTANTS",
    "COPIED_AXES",
    "DATA_INPUTS",
    "MOST_CONSTANT_BYTES",
    "Axis",
    "BoxMove",
    "Move",
    "MovedOutput",
    "Movement",
    "TableMove",
    "copies",
    "merged",
    "plan_movement",
    "surely_moves",
]
