"""``reusec check``: what becomes of every node."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

from reuse_compiler.cli.console import Column, print_json, print_line, print_table
from reuse_compiler.cli.options import Json, ModelFile, Shapes, parse_shapes

__all__ = ["check"]

_STYLES = {"reuse": "green", "dense": "", "host": "yellow", "rejected": "bold red"}
_COLUMNS = (
    Column("node", "name"),
    Column("op", "name"),
    Column("verdict", "text"),
    Column("rule", "text"),
    Column("measured", "text"),
)


def check(model: ModelFile, shape: Shapes = None, json: Json = False) -> None:
    """Say what becomes of every node, and why.

    reuse: a site, whose repeated inputs cost nothing. dense: on the accelerator in full. host: left to onnxruntime.
    rejected: nobody computes it.
    """
    from reuse_compiler.check import check as check_model
    from reuse_compiler.frontend import load

    loaded = load(model, shapes=parse_shapes(shape))
    verdicts = check_model(loaded)
    counts = Counter[str](verdict.verdict for verdict in verdicts)
    if json:
        print_json(
            {
                "model": {"path": str(model), "sha256": loaded.sha256},
                "summary": {verdict: counts[verdict] for verdict in _STYLES},
                "nodes": [asdict(verdict) for verdict in verdicts],
            }
        )
        return
    print_table(
        _COLUMNS,
        [(v.node, v.op, (v.verdict, _STYLES[v.verdict]), v.rule, v.measured) for v in verdicts],
    )
    print_line()
    numbers = ", ".join(f"{counts[verdict]} {verdict}" for verdict in _STYLES if counts[verdict])
    print_line(f"{model}: {len(verdicts)} nodes: {numbers or 'none'}")
