"""``reusec demo``: the whole path on the built-in AutoPilot."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reuse_compiler.cli.console import print_json, print_line, progress_bar
from reuse_compiler.cli.options import DEFAULT_HARDWARE, Json, Threads, require_parent, require_threads
from reuse_compiler.cli.recording import profile_on
from reuse_compiler.cli.report_table import print_layers
from reuse_compiler.cli.text import byte_size, percent
from reuse_compiler.errors import ReuseError

if TYPE_CHECKING:
    from reuse_compiler.frontend import Model
    from reuse_compiler.model_profile import Profile
    from reuse_compiler.plan import Plan
    from reuse_compiler.report import Report
    from reuse_compiler.streams import Stream

__all__ = ["demo"]

_STREAM = "reuse_compiler.models.autopilot:stream"
_CLUSTERS = 32
_PROFILE, _PLAN, _COMPILED, _OUTPUTS, _REPORT = "profile.json", "plan.json", "compiled", "outputs.npz", "report.json"
_PAGE = "report.html"


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to write.")] = Path("demo"),
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Do all of it on the built-in AutoPilot.

    It sees the driving stream that comes with it. Every step prints the command that does it.
    """
    from reuse_compiler.frontend import load
    from reuse_compiler.models.autopilot import path
    from reuse_compiler.streams import open_stream

    require_threads(threads)
    require_parent(output)
    _require_own(output)
    model = load(path())
    stream = open_stream(_STREAM, model.inputs)
    output.mkdir(exist_ok=True)
    say = _Voice(quiet=json)
    say.line(f"AutoPilot steers a car from camera images. Here it sees {stream.name}, a drive rendered on the way.")
    where = _shown(path())
    _check(say, model, where)
    observed = _profile(say, model, stream, where, output, threads)
    plan = _fit(say, model, observed, where, output)
    _compile(say, model, plan, observed, stream, where, output, threads)
    _inspect(say, output)
    report = _run(say, model, stream, output, threads)
    _page(say, model, report, stream, output, threads)
    if json:
        print_json(report.model_dump(mode="json"))
        return
    _conclude(report, output)


class _Voice:
    """Prints, or not."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet

    def line(self, text: str) -> None:
        """A line of result."""
        if not self._quiet:
            print_line(text)

    def command(self, text: str) -> None:
        """A command that a user would type."""
        self.line("")
        self.line(f"$ reusec {text}")


def _shown(path: Path) -> str:
    """`path` as one would type it here."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _require_own(output: Path) -> None:
    """ReuseError where `output` holds anything that a demo did not write."""
    if output.exists() and not output.is_dir():
        raise ReuseError(f"{output}: is a file: choose another folder with --output")
    own = {_PROFILE, _PLAN, _COMPILED, _OUTPUTS, _REPORT, _PAGE}
    foreign = sorted(item.name for item in output.iterdir() if item.name not in own) if output.is_dir() else []
    if foreign:
        raise ReuseError(f"{output}: holds {foreign[0]}, which no demo wrote: choose another folder with --output")


def _check(say: _Voice, model: Model, where: str) -> None:
    from reuse_compiler.check import check

    say.command(f"check {where}")
    verdicts = check(model)
    counts = Counter(verdict.verdict for verdict in verdicts)
    say.line(f"{len(verdicts)} nodes: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()))


def _profile(say: _Voice, model: Model, stream: Stream, where: str, output: Path, threads: int | None) -> Profile:
    say.command(f"profile {where} --stream {_STREAM} -o {output / _PROFILE}")
    observed = profile_on(model, stream, {}, threads)
    observed.save(output / _PROFILE)
    steps = {site.node: observed.tensors[site.input].step(_CLUSTERS) for site in observed.sites}
    totals = observed.totals(steps)
    say.line(
        f"{observed.stream.frames} frames; at {_CLUSTERS} clusters {percent(totals.similarity.value)} % of the inputs"
        f" repeat, and {percent(totals.reuse.value)} % of the multiply-accumulates need not be done again"
    )
    return observed


def _fit(say: _Voice, model: Model, observed: Profile, where: str, output: Path) -> Plan:
    from reuse_compiler.fitting import fit

    say.command(f"fit {where} --profile {output / _PROFILE} --clusters {_CLUSTERS} -o {output / _PLAN}")
    plan = fit(model, observed, clusters=_CLUSTERS)
    plan.save(output / _PLAN)
    first = plan.sites[0]
    say.line(f"{len(plan.sites)} sites; {first.node}: {first.reason}")
    return plan


def _compile(
    say: _Voice,
    model: Model,
    plan: Plan,
    observed: Profile,
    stream: Stream,
    where: str,
    output: Path,
    threads: int | None,
) -> None:
    from reuse_compiler.backend.accelerator.hardware import load_hardware
    from reuse_compiler.compiling import compile_model

    say.command(f"compile {where} --plan {output / _PLAN} --stream {_STREAM} --no-run -o {output / _COMPILED}")
    with progress_bar() as progress:
        compile_model(
            model,
            plan,
            output / _COMPILED,
            stream=stream,
            hardware=load_hardware(DEFAULT_HARDWARE),
            profile=observed,
            run=False,
            threads=threads,
            progress=progress,
        )
    say.line("verified by replay in onnxruntime and on the accelerator")


def _inspect(say: _Voice, output: Path) -> None:
    from reuse_compiler.directory import CompiledDirectory
    from reuse_compiler.inspecting import summarize

    say.command(f"inspect {output / _COMPILED}")
    summary = summarize(CompiledDirectory.open(output / _COMPILED).program)
    instructions = sum(count.reuse for count in summary.instructions)
    reusing = sum(layer.backend == "reuse" for layer in summary.layers)
    state = sum(use.indices + use.linear for use in summary.state)
    say.line(
        f"{reusing} of {len(summary.layers)} layers reuse; {instructions:,} instructions; state {byte_size(state)}"
    )


def _run(say: _Voice, model: Model, stream: Stream, output: Path, threads: int | None) -> Report:
    from reuse_compiler.backend.accelerator.hardware import load_hardware
    from reuse_compiler.directory import CompiledDirectory
    from reuse_compiler.simulation import simulate

    say.command(f"run {output / _COMPILED} --stream {_STREAM} --outputs {output / _OUTPUTS} --json {output / _REPORT}")
    compiled = CompiledDirectory.open(output / _COMPILED)
    with progress_bar() as progress:
        report = simulate(
            model,
            compiled.program,
            stream,
            hardware=load_hardware(DEFAULT_HARDWARE),
            plan=compiled.plan,
            outputs=output / _OUTPUTS,
            threads=threads,
            progress=progress,
        )
    report.save(output / _REPORT)
    return report


def _page(say: _Voice, model: Model, report: Report, stream: Stream, output: Path, threads: int | None) -> None:
    from reuse_compiler.directory import CompiledDirectory
    from reuse_compiler.report_page import gather, record, write_page
    from reuse_compiler.report_page.roofline import report_hardware

    say.command(f"report {output / _COMPILED} --report {output / _REPORT} --stream {_STREAM} -o {output / _PAGE}")
    compiled = CompiledDirectory.open(output / _COMPILED)
    hardware = report_hardware(report.hardware)
    with progress_bar() as progress:
        seen = record(model, compiled.program, compiled.plan, stream, hardware, threads=threads, progress=progress)
    size = write_page(gather(compiled, report, seen), output / _PAGE)
    say.line(f"wrote a page of {byte_size(size)}: open it in a browser")


def _conclude(report: Report, output: Path) -> None:
    """The one table, the steering error, and the files."""
    error = report.accuracy.outputs["steering"]
    print_layers(report)
    print_line()
    print_line(
        f"steering error against fp32: {math.degrees(error.rmse):.3f} degrees RMS, at most"
        f" {math.degrees(error.max_abs):.3f}"
    )
    print_line(
        f"files: {', '.join(str(output / name) for name in (_PAGE, _PROFILE, _PLAN, _COMPILED, _OUTPUTS, _REPORT))}"
    )
