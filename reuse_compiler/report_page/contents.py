"""All that a page shows, gathered from the folder of a compilation, and from a stream where there is one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import onnx_ir as ir

from reuse_compiler.backend.accelerator.energy import COMPONENTS
from reuse_compiler.directory import CompiledDirectory
from reuse_compiler.errors import ReuseError
from reuse_compiler.onnx_file import read_model
from reuse_compiler.passes.name_nodes import NameNodes
from reuse_compiler.report import Report
from reuse_compiler.report_page.distributions import distributions, site_quantizers
from reuse_compiler.report_page.graph import read_graph
from reuse_compiler.report_page.placement import BOX_HEIGHT, BOX_WIDTH, place
from reuse_compiler.report_page.recording import Recording
from reuse_compiler.report_page.roofline import report_hardware, roofline

__all__ = ["Contents", "drawn", "gather", "require_report"]


@dataclass(frozen=True)
class Contents:
    """What a page shows, as JSON values; `static/*.js` reads it by these names.

    Parameters
    ----------
    report : dict
        report.json.
    graphs : dict
        ``before`` and ``after``: size, boxes with their place and the numbers of their layers in the report, edges.
    quantizers : list of dict
        A row a site of the plan.
    distributions : dict
        Histograms by tensor; empty where there is no profile.
    roofline : dict
        Roofs, and the traffic of each layer.
    components : list of str
        Of the energy, in the order that they are stacked.
    recording : dict or None
        What the stream did; None without one.
    """

    report: dict[str, Any]
    graphs: dict[str, Any]
    quantizers: list[dict[str, Any]]
    distributions: dict[str, Any]
    roofline: dict[str, Any]
    components: list[str]
    recording: dict[str, Any] | None


def require_report(compiled: CompiledDirectory) -> Report:
    """The report of the folder. Raises ReuseError where there is none, or it is of another version or model."""
    report = compiled.report
    if report is None:
        raise ReuseError(
            f"{compiled.path}: report.json is missing: compile with --stream and without --no-run, or give a report of"
            " `reusec run --json F` with --report F"
        )
    return report


def gather(compiled: CompiledDirectory, report: Report, recording: Recording | None = None) -> Contents:
    """Gather what the page shows.

    Raises ModelError where the original model is gone, or is another one by now; HardwareError where the report is of
    another program; ReuseError where it is of another model, or of another plan.
    """
    if report.model.sha256 != compiled.plan.model.sha256:
        raise ReuseError(
            f"the report is of a model with sha256 {report.model.sha256}, {compiled.path} was compiled from"
            f" {compiled.plan.model.sha256}: give the report of this folder"
        )
    _require_plan(compiled, report)
    original = compiled.original()
    names = {layer.name: number for number, layer in enumerate(report.layers)}
    hardware = report_hardware(report.hardware)
    profile = compiled.profile
    return Contents(
        report=report.model_dump(mode="json"),
        graphs={
            "box": [BOX_WIDTH, BOX_HEIGHT],
            "before": drawn(read_model(original.path)[0], names),
            "after": drawn(read_model(compiled.reuse_model)[0], names),
        },
        quantizers=[asdict(row) for row in site_quantizers(compiled.plan)],
        distributions={} if profile is None else {k: asdict(v) for k, v in distributions(profile).items()},
        roofline=asdict(roofline(report, compiled.program, hardware)),
        components=list(COMPONENTS),
        recording=None if recording is None else asdict(recording),
    )


def _require_plan(compiled: CompiledDirectory, report: Report) -> None:
    """ReuseError naming the first layer whose quantizer in the report is not that of the program."""
    lowered = {info.name: info for info in compiled.program.layers if info.backend == "reuse"}
    for layer in report.layers:
        info = lowered.get(layer.name)
        if info is not None and (layer.clusters, layer.step) != (info.clusters, info.step):
            raise ReuseError(
                f"layer {layer.name}: the report has {layer.clusters} clusters with step {layer.step}, {compiled.path}"
                f" {info.clusters} with step {info.step}: give a report of a run of this folder"
            )


def drawn(model: ir.Model, layers: Mapping[str, int]) -> dict[str, Any]:
    """The graph of a model with its layout, as `static/graph_view.js` reads it; `layers` are the numbers of the report's
    layers by name."""
    NameNodes()(model)
    graph = read_graph(model)
    inputs = {number for number, box in enumerate(graph.boxes) if box.kind == "input"}
    drawing = place(len(graph.boxes), graph.edges, inputs)
    owned = _owners({box.name for box in graph.boxes if box.kind == "node"}, layers)
    boxes = [
        {**asdict(box), "at": centre, "layers": owned.get(box.name, []) if box.kind == "node" else []}
        for box, centre in zip(graph.boxes, drawing.centres, strict=True)
    ]
    edges = [[*ends, path] for ends, path in zip(graph.edges, drawing.paths, strict=True)]
    return {"width": drawing.width, "height": drawing.height, "boxes": boxes, "edges": edges}


def _owners(nodes: Collection[str], layers: Mapping[str, int]) -> dict[str, list[int]]:
    """The rows of the report by the node that they belong to: the one of their name, or else the one whose name comes
    before a dot in it, since sites and directions of a recurrent layer are called ``<node>.reverse.x``."""
    owned: dict[str, list[int]] = {}
    for layer, number in layers.items():
        name = layer
        while name and name not in nodes:
            name = name.rpartition(".")[0]
        if name:
            owned.setdefault(name, []).append(number)
    return owned
