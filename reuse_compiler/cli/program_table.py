"""What a program holds, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reuse_compiler.cli.console import Column, print_line, print_table
from reuse_compiler.cli.text import number

if TYPE_CHECKING:
    from reuse_compiler.inspecting import ProgramSummary

__all__ = ["print_program"]


def print_program(summary: ProgramSummary) -> None:
    """Its instructions, its memories and its layers, a table each."""
    _print_instructions(summary)
    print_line()
    _print_memories(summary)
    print_line()
    _print_layers(summary)


def _print_instructions(summary: ProgramSummary) -> None:
    columns = (Column("instruction", "text"), Column("unit", "text"), Column("reuse"), Column("baseline"))
    rows = [(c.mnemonic, c.unit, f"{c.reuse:,}", f"{c.baseline:,}") for c in summary.instructions]
    total = [sum(count) for count in zip(*((c.reuse, c.baseline) for c in summary.instructions), strict=True)]
    print_table(columns, rows, ("total", "", f"{total[0]:,}", f"{total[1]:,}"))


def _print_memories(summary: ProgramSummary) -> None:
    columns = (
        Column("memory", "text"),
        Column("bytes used\nreuse"),
        Column("\nbaseline"),
        Column("size, bytes\nreuse"),
        Column("\nbaseline"),
        Column("state, bytes\nindices"),
        Column("\nlinear outputs"),
    )
    state = {use.memory: use for use in summary.state}
    rows = []
    for use in summary.memories:
        sizes = ["" if size is None else f"{size:,}" for size in (use.size_reuse, use.size_baseline)]
        kept = state.get(use.memory)
        held = ["", ""] if kept is None else [f"{kept.indices:,}", f"{kept.linear:,}"]
        rows.append((use.memory, f"{use.reuse:,}", f"{use.baseline:,}", *sizes, *held))
    print_table(columns, rows)
    print_line(f"weights, biases and tables: {summary.constants:,} bytes of the DRAM")


def _print_layers(summary: ProgramSummary) -> None:
    columns = (
        Column("layer", "name"),
        Column("op", "text"),
        Column("on", "text"),
        Column("MACs\na frame"),
        Column("inputs\na frame"),
        Column("clusters"),
        Column("step"),
    )
    rows = [
        (
            layer.name,
            layer.op,
            layer.backend,
            f"{layer.macs:,}",
            f"{layer.inputs:,}" if layer.inputs else "",
            f"{layer.clusters:,}" if layer.clusters else "",
            "" if not layer.clusters else "table" if layer.step is None else number(layer.step),
        )
        for layer in summary.layers
    ]
    macs, inputs = sum(layer.macs for layer in summary.layers), sum(layer.inputs for layer in summary.layers)
    print_table(columns, rows, ("total", "", "", f"{macs:,}", f"{inputs:,}", "", ""))
