"""The page of a reproduction: Markdown, with figures beside it."""

from __future__ import annotations

from collections.abc import Mapping

from reuse_compiler.reproduce import tables
from reuse_compiler.reproduce.deviations import deviations
from reuse_compiler.reproduce.documents import Reproduction
from reuse_compiler.reproduce.tables import Table

__all__ = ["markdown", "page"]


def page(reproduction: Reproduction, command: str, figures: Mapping[str, str]) -> str:
    """The page as Markdown. `command` made it; `figures` are paths of pictures by their names, as the page sees them."""
    parts = [
        "# The paper, reproduced",
        f"<!-- Written by `{command}`. -->",
        _introduction(reproduction),
        _section(tables.overview(reproduction), figures, "overview", "Similarity and reuse of each network."),
        _section(tables.accuracy(reproduction)),
        _section(tables.energy(reproduction), figures, "energy", "Energy by component, baseline and reuse."),
        _section(tables.memory(reproduction)),
        _section(tables.processors(reproduction)),
        _section(tables.same_input(reproduction)) if reproduction.same_input else "",
        _section(tables.levers(reproduction)) if reproduction.levers else "",
        _section(tables.sensitivity(reproduction), figures, "sensitivity", "Speedup and saving by what is varied.")
        if reproduction.sensitivity
        else "",
        "## Layer by layer",
        _picture(figures, "layers", "Similarity and reuse of each layer."),
        *(_section(tables.layers(network), level=3) for network in reproduction.networks),
        _section(deviations(reproduction)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _introduction(reproduction: Reproduction) -> str:
    names = ", ".join(network.name for network in reproduction.networks)
    seconds = "; ".join(f"{network.name} {network.seconds:.0f} s" for network in reproduction.networks)
    shortened = (
        " This was a quick run: few frames, no budgeted plans, no sensitivity table." if reproduction.quick else ""
    )
    return (
        '"Computation Reuse in DNNs by Exploiting Input Similarity" (Riera, Arnau, González, ISCA 2018), on networks of the'
        f" same shape with weights {_data(reproduction)}, and on its model of the accelerator"
        f" (`{reproduction.hardware}`, whose constants and sources `reusec hardware {reproduction.hardware}` lists). Networks:"
        f" {names}. c3d has seeded weights and shows costs and similarity alone; c3d-small, of the same depth and an eighth of"
        " the width, is trained and shows accuracy, and is in no average. What is printed as the paper's carries a tag that"
        f" says how well it is known.{shortened}\n\n"
        f"{reproduction.seconds / 60:.1f} minutes in all and {reproduction.peak_memory_bytes / 1e9:.1f} GB at most"
        f" ({seconds}, the rest for lowering, the same-input check and sensitivity)."
    )


def _data(reproduction: Reproduction) -> str:
    if reproduction.recording is None:
        return "and streams that this project makes from seeds"
    return (
        "that this project makes from seeds, calibrated on its own streams and run on the recording"
        f" {reproduction.recording}, of which nothing says what is right"
    )


def _section(
    table: Table, figures: Mapping[str, str] | None = None, figure: str = "", caption: str = "", *, level: int = 2
) -> str:
    picture = _picture(figures or {}, figure, caption)
    parts = [f"{'#' * level} {table.title}", picture, markdown(table), table.note]
    return "\n\n".join(part for part in parts if part)


def _picture(figures: Mapping[str, str], name: str, caption: str) -> str:
    return f"![{caption}]({figures[name]})" if name in figures else ""


def markdown(table: Table) -> str:
    """A table of Markdown."""
    rule = ["---" if number in table.text else "---:" for number in range(len(table.columns))]
    return "\n".join(f"| {' | '.join(_escaped(cell) for cell in row)} |" for row in (table.columns, rule, *table.rows))


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
