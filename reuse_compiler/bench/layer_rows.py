"""The rows of a bench: each layer with weights in stock onnxruntime and in the reuse session, and all other nodes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from reuse_compiler.bench.changes import Changes
from reuse_compiler.bench.layers import by_layer
from reuse_compiler.bench.report import LayerBench
from reuse_compiler.bench.stock import StockModel
from reuse_compiler.frontend import Model
from reuse_compiler.layer_run import LayerRun
from reuse_compiler.plan import Plan
from reuse_compiler.sites import find_sites
from reuse_compiler.streams import Stream

__all__ = ["OTHER_NODES", "layer_rows"]

OTHER_NODES = "other nodes"
"""The row of all that have no site."""
_PROFILED_FRAMES = 64


def layer_rows(
    model: Model, plan: Plan, stock: StockModel, stream: Stream, changes: Changes, runs: Mapping[str, LayerRun]
) -> list[LayerBench]:
    """A row for each node with sites in the order of the graph, and one for all others.

    Parameters
    ----------
    changes : Changes
        Of the session, which has run `stream`.
    runs : mapping of str to LayerRun
        What the session says. Of a layer that it says nothing of, the plan's reason is shown if it is dense.

    Stock onnxruntime runs the first frames again, with its profiling on.
    """
    operators: dict[str, str] = {}
    sites: dict[str, list[str]] = {}
    for site in find_sites(model):
        operators[site.of] = site.op
        sites.setdefault(site.of, []).append(site.node)
    frames = min(changes.frames, _PROFILED_FRAMES)
    dense, others = by_layer(stock.graph, operators, stock.kernel_times(islice(stream, frames)), frames)
    told = {**{name: run for name in sites if (run := _planned(name, sites[name], plan)) is not None}, **runs}
    rows = [_row(name, op, dense.get(name), changes.of(sites[name]), told.get(name)) for name, op in operators.items()]
    reused = [run.reuse_ms for name, run in runs.items() if name not in sites and run.reuse_ms is not None]
    rest = LayerRun(OTHER_NODES, sum(reused), "", "") if reused else None
    return [*rows, _row(OTHER_NODES, "", others, None, rest)]


def _row(name: str, op: str, dense_ms: float | None, similarity: float | None, run: LayerRun | None) -> LayerBench:
    return LayerBench(
        name=name,
        op=op,
        dense_ms=dense_ms,
        reuse_ms=None if run is None else run.reuse_ms,
        similarity=similarity,
        path=None if run is None else run.path or None,
        reason=None if run is None else run.reason or None,
    )


def _planned(name: str, sites: list[str], plan: Plan) -> LayerRun | None:
    """What the plan says of a layer that it has no site of reuse."""
    planned = [site for site in plan.sites if site.node in sites]
    if not planned or any(site.mode == "reuse" for site in planned):
        return None
    return LayerRun(name, None, "dense", planned[0].reason or "the plan says so")
