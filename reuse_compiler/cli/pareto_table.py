"""A Pareto front as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reuse_compiler.cli.console import Column, print_line, print_table
from reuse_compiler.cli.text import number, percent

if TYPE_CHECKING:
    from reuse_compiler.pareto import ParetoFront, ParetoPart

__all__ = ["print_front"]


def print_front(front: ParetoFront) -> None:
    """A row a plan: what it reuses, and what it loses of the front's budget, on both parts."""
    if not front.points:
        print_line("front     no plan that reuses keeps any of the limits")
        return
    columns = [
        Column("plan", "name"),
        Column("budget", "text"),
        Column("reuse\n% chosen"),
        Column("\n% verified"),
        Column("loss\nchosen"),
        Column("\nverified"),
        Column("% of budget\nchosen"),
        Column("\nverified"),
    ]
    if front.objective != "macs":
        columns += [Column(f"weighed by {front.objective}\n% chosen"), Column("\n% verified")]
    rows = []
    for point in front.points:
        parts = (point.calibration, point.verification)
        rows.append(
            [
                point.plan,
                point.budget,
                *(percent(part.reuse) for part in parts),
                *(_loss(part) for part in parts),
                *(percent(part.loss) for part in parts),
                *(percent(part.weighed) for part in parts if part.weighed is not None),
            ]
        )
    print_table(columns, rows)
    print_line(f"loss, and % of budget: of what uses the largest share of {front.budget}")


def _loss(part: ParetoPart) -> str:
    """Of the bound that uses the largest share of its limit, in the metric's unit."""
    return number(max(part.bounds, key=lambda bound: bound.share).loss)
