"""``reusec plot``: what a compilation or a fit found, as a picture."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from reuse_compiler.cli.console import print_json, print_line
from reuse_compiler.cli.options import Json, require_file_place

__all__ = ["plot"]


class Kind(StrEnum):
    """The plots."""

    SIMILARITY = "similarity"
    ENERGY = "energy"
    SPEEDUP = "speedup"
    CLUSTERS = "clusters"
    PARETO = "pareto"


def plot(
    kind: Annotated[Kind, typer.Argument(help="What to plot.", show_default=False)],
    source: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="The folder that compile wrote, or fit --pareto; or the file in it that the plot shows.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="F.svg|F.png", help="Where to draw it.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """Draw what was found as F.svg or F.png (extra plot).

    similarity, energy, speedup: of every layer and of the model, from DIR/report.json.

    clusters: similarity and reuse for other numbers of clusters, from DIR/profile.json.

    pareto: reuse against loss of the plans that fit --pareto wrote, from DIR/pareto.json.

    With --json the figures are printed, and drawn where -o is given.
    """
    from reuse_compiler import plots

    if output is not None:
        require_file_place(output, source)
        plots.check_figure_place(output)
        plots.require_plot()
    elif not json:
        raise typer.BadParameter("give F.svg or F.png, or --json", param_hint="--output")
    found, figure = _drawn(kind, source, draw=output is not None)
    if output is not None:
        plots.save_figure(figure, output)
    if json:
        print_json(asdict(found))
    else:
        print_line(f"wrote {output}")


def _drawn(kind: Kind, source: Path, *, draw: bool) -> tuple[Any, Any]:
    """The figures of a plot, and the plot of them, if it is to be drawn."""
    from reuse_compiler import plots

    match kind:
        case Kind.SIMILARITY:
            similarity = plots.similarity_of(plots.read_report(source))
            return similarity, plots.draw_similarity(similarity) if draw else None
        case Kind.ENERGY:
            energy = plots.energy_of(plots.read_report(source))
            return energy, plots.draw_energy(energy) if draw else None
        case Kind.SPEEDUP:
            speedup = plots.speedup_of(plots.read_report(source))
            return speedup, plots.draw_speedup(speedup) if draw else None
        case Kind.CLUSTERS:
            sweep = plots.cluster_sweep(plots.read_profile(source), plots.read_measured(source))
            return sweep, plots.draw_clusters(sweep) if draw else None
        case Kind.PARETO:
            curve = plots.pareto_curve(plots.read_front(source))
            return curve, plots.draw_pareto(curve) if draw else None
