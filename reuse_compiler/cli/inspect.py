"""``reusec inspect``: what a plan chose and why, what compilation changed in a graph, and what is in a program."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reuse_compiler.cli.console import Column, print_json, print_line, print_styled, print_table
from reuse_compiler.cli.options import Json
from reuse_compiler.cli.plan_table import plan_json, print_budget, print_options, print_sites
from reuse_compiler.cli.program import load_program
from reuse_compiler.cli.program_table import print_program
from reuse_compiler.cli.text import byte_size, counted, number, percent
from reuse_compiler.errors import ModelError, PlanError, ProgramError
from reuse_compiler.files import read_bytes

if TYPE_CHECKING:
    import onnx_ir as ir

    from reuse_compiler.inspecting import DiffLine, NodeRow
    from reuse_compiler.plan import Plan

__all__ = ["inspect"]

_CONTEXT = 2


class Format(StrEnum):
    """The values of `--format`."""

    TABLE = "table"
    JSON = "json"
    DOT = "dot"


def inspect(
    what: Annotated[
        Path,
        typer.Argument(
            metavar="DIR|PLAN.json|FILE.onnx|PROGRAM",
            help="The folder that compile wrote, a plan, a reuse model, or a program.",
            show_default=False,
        ),
    ],
    form: Annotated[
        Format, typer.Option("--format", help="table; json; or dot, the graph in the language of graphviz.")
    ] = Format.TABLE,
    original: Annotated[
        Path | None,
        typer.Option(
            "--diff",
            metavar="ORIGINAL.onnx",
            help="Show what changed in the graph since this file, as a patch.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Show a plan and why, what compilation changed, or a program."""
    form = Format.JSON if json else form
    if what.suffix == ".json" and not what.is_dir():
        if original is not None or form is Format.DOT:
            raise PlanError(f"{what}: a plan has no graph: give the folder or the .onnx file")
        _show_plan(what, form)
        return
    if _is_program(what):
        if original is not None or form is Format.DOT:
            raise ProgramError(f"{what}: a program has no graph: give the folder or the .onnx file")
        _show_program(what, form)
        return
    file, plan = _graph_of(what)
    model = _read(file)
    if original is not None:
        _show_diff(original, file, model, form)
    elif form is Format.DOT:
        from reuse_compiler.inspecting import to_dot

        typer.echo(to_dot(model), nl=False)
    else:
        _show_nodes(what, model, plan, form)


def _is_program(path: Path) -> bool:
    """Whether `path` is a safetensors file: by its suffix, or by the brace that its header begins with."""
    if path.is_dir() or path.suffix == ".onnx":
        return False
    return path.suffix == ".safetensors" or read_bytes(path)[8:9] == b"{"


def _graph_of(path: Path) -> tuple[Path, Plan | None]:
    """The ONNX file at `path`; or that of the folder at `path`, and its plan."""
    if not path.is_dir():
        return path, None
    from reuse_compiler.directory import CompiledDirectory

    compiled = CompiledDirectory.open(path)
    return compiled.reuse_model, compiled.plan


def _read(path: Path) -> ir.Model:
    """The model as it is in the file, nodes without a name called as the frontend calls them."""
    from reuse_compiler.onnx_file import read_model
    from reuse_compiler.passes.name_nodes import NameNodes

    model, _ = read_model(path)
    NameNodes()(model)
    return model


# --------------------------------------------------------------------------------------------------------------- plan


def _show_plan(path: Path, form: Format) -> None:
    from reuse_compiler.plan import Plan

    plan = Plan.load(path)
    if form is Format.JSON:
        print_json({"path": str(path), "plan": plan_json(plan)})
        return
    print_line(f"{path}: for {plan.model.path}, sha256 {plan.model.sha256[:12]}")
    print_budget(plan)
    print_options(plan)
    print_line()
    print_sites(plan)


# -------------------------------------------------------------------------------------------------------------- nodes


def _show_nodes(what: Path, model: ir.Model, plan: Plan | None, form: Format) -> None:
    from reuse_compiler.inspecting import node_rows

    rows = node_rows(model, {} if plan is None else {site.node: site.op for site in plan.sites})
    if form is Format.JSON:
        properties = {name: value for name, value in model.metadata_props.items() if name.startswith("reuse.")}
        nodes = [{**asdict(row), "state_bytes": row.state_bytes} for row in rows]
        planned = {} if plan is None else {"plan": plan_json(plan)}
        print_json({"path": str(what), "properties": properties, "nodes": nodes, **planned})
        return
    if plan is not None and plan.budget is not None:
        print_budget(plan)
        print_line()
    columns = (
        Column("node", "name"),
        Column("operator", "text"),
        Column("input", "text", spare=2),
        Column("clusters"),
        Column("step"),
        Column("zero\nindex", spare=1),
        Column("deadband", spare=1),
        Column("state\nbytes"),
    )
    reusing = [row for row in rows if row.clusters is not None]
    indices, linear = sum(row.index_bytes for row in reusing), sum(row.linear_bytes for row in reusing)
    total = ("total", "", "", "", "", "", "", f"{indices + linear:,}")
    print_table(columns, [_node_cells(row) for row in rows], total)
    print_line()
    print_line(
        f"{len(reusing)} of {len(rows)} nodes reuse; state {byte_size(indices + linear)}:"
        f" indices {byte_size(indices)}, linear outputs {byte_size(linear)}"
    )
    if plan is not None:
        _print_directory(what)
        print_options(plan)
        print_line()
        print_sites(plan)


def _node_cells(row: NodeRow) -> tuple[str | tuple[str, str], ...]:
    shape = "" if row.shape is None else "x".join("?" if size < 0 else str(size) for size in row.shape)
    if row.clusters is None:
        return row.node, row.after, shape, "", "", "", "", ""
    deadbands = row.deadband if isinstance(row.deadband, tuple) else (row.deadband or 0.0,)
    ends = dict.fromkeys((number(min(deadbands)), number(max(deadbands))))
    return (
        row.node,
        (f"{row.before} → {row.after}", "green"),
        shape,
        f"{row.clusters:,}",
        "table" if row.step is None else number(row.step),
        f"{row.zero:,}",
        "..".join(ends),
        f"{row.state_bytes:,}",
    )


def _print_directory(path: Path) -> None:
    """What the other files of a compilation say, in a few lines."""
    from reuse_compiler.directory import CompiledDirectory
    from reuse_compiler.inspecting import summarize

    compiled = CompiledDirectory.open(path)
    program, report = summarize(compiled.program), compiled.report
    instructions = sum(count.reuse for count in program.instructions)
    places = ", ".join(f"{byte_size(use.indices + use.linear)} in {use.memory}" for use in program.state)
    print_line(f"program: {instructions:,} instructions for {program.hardware}; state: {places}")
    if report is not None:
        total = report.totals
        print_line(
            f"{report.stream.name}, {total.frames:,} frames: similarity {percent(total.similarity)} %,"
            f" reuse {percent(total.reuse)} %, speedup {total.speedup:.2f}, energy saving {percent(total.energy_saving)} %"
        )


# --------------------------------------------------------------------------------------------------------------- diff


def _show_diff(original: Path, file: Path, model: ir.Model, form: Format) -> None:
    from reuse_compiler.inspecting import diff
    from reuse_compiler.onnx_file import read_model
    from reuse_compiler.passes.name_nodes import NameNodes

    if form is Format.DOT:
        raise typer.BadParameter("a patch is no graph: use table or json", param_hint="--format")
    before, digest = read_model(original)
    source = model.metadata_props.get("reuse.source_sha256")
    if source is None:
        raise ModelError(f"{file}: no reuse model: give what compile wrote")
    if source != digest:
        raise ModelError(f"{file}: made from a model with sha256 {source}, {original} has {digest}: give that model")
    NameNodes()(before)
    lines = diff(before, model)
    if form is Format.JSON:
        print_json([asdict(line) for line in lines])
        return
    print_styled(f"--- {original}", "bold")
    print_styled(f"+++ {file}", "bold")
    for line in _with_context(lines):
        if isinstance(line, int):
            print_styled(f"@@ {counted(line, 'node')} as before @@", "cyan")
        else:
            print_styled(f"{line.sign} {line.text}", {"-": "red", "+": "green", " ": ""}[line.sign])


def _with_context(lines: list[DiffLine]) -> list[DiffLine | int]:
    """The lines, but of long runs without change only the ends; the number of those left out in their place."""
    near = [
        any(other.sign != " " for other in lines[max(0, i - _CONTEXT) : i + _CONTEXT + 1]) for i in range(len(lines))
    ]
    shown: list[DiffLine | int] = []
    for line, is_near in zip(lines, near, strict=True):
        if is_near:
            shown.append(line)
        elif shown and isinstance(shown[-1], int):
            shown[-1] += 1
        else:
            shown.append(1)
    return shown


# ------------------------------------------------------------------------------------------------------------ program


def _show_program(path: Path, form: Format) -> None:
    from reuse_compiler.inspecting import summarize

    file, program = load_program(path)
    summary = summarize(program)
    if form is Format.JSON:
        print_json({"path": str(file), **asdict(summary)})
        return
    print_line(f"{file}: for {summary.hardware}, of the model with sha256 {summary.model_sha256}")
    print_line()
    print_program(summary)
