"""How fast programs are made, interpreted and costed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.workloads import Workload
from reuse_compiler.backend.accelerator.cost import cost_trace, trace_columns
from reuse_compiler.backend.accelerator.hardware import load_hardware
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.backend.accelerator.program_file import digest
from reuse_compiler.backend.accelerator.trace import TraceReader
from reuse_compiler.compiling import compile_model
from reuse_compiler.fitting import fit
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.profiling import profile
from reuse_compiler.report import Report
from reuse_compiler.simulation import simulate

__all__ = ["Interpretation", "measure_compile", "measure_interpretation"]


@dataclass(frozen=True)
class Interpretation:
    """One run of the interpreter, values, cycles and energy included, and its trace costed again."""

    report: Report
    instructions: int
    recost_seconds: float


def measure_interpretation(workload: Workload) -> Interpretation:
    """Compile and interpret `workload`; cost the saved trace on the other built-in hardware."""
    hardware, other = load_hardware("isca18"), load_hardware("isca18-macro")
    plan = fit(
        workload.model,
        profile(workload.model, workload.stream, state=workload.state),
        clusters=workload.clusters,
    )
    program = lower(rewrite(workload.model, plan), hardware.tiling, workload.model.sha256)
    with TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.safetensors"
        report = simulate(
            workload.model, program, workload.stream, hardware=hardware, state=workload.state, trace=trace
        )
        begin = time.perf_counter()
        columns = trace_columns(program)
        reader = TraceReader.open(trace, digest(program), columns)
        cost_trace(program, reader.blocks(), reader.sequences, other)
        recost = time.perf_counter() - begin
    return Interpretation(report, len(program.reuse.sections.frame), recost)


def measure_compile(workload: Workload) -> float:
    """Seconds to rewrite, verify, lower and write `workload`, profile and plan given."""
    profiled = profile(workload.model, workload.stream, state=workload.state)
    plan = fit(workload.model, profiled, clusters=workload.clusters)
    with TemporaryDirectory() as folder:
        begin = time.perf_counter()
        compile_model(
            workload.model,
            plan,
            Path(folder) / "out",
            stream=workload.stream,
            hardware=load_hardware("isca18"),
            profile=profiled,
            run=False,
        )
        return time.perf_counter() - begin
