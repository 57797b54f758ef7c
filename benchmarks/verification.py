"""Verify 20 frames of many models by replay, on both executors.

``python -m benchmarks.verification [--recordings FOLDER] [--frames N] [NAME..]``

The light models of the onnx wheel with seeded weights and, with the recordings kit, every pair of it. Prints a line a model:
sites, reuse that the frames showed, the largest deviations in shares of the tensors' scales, and how far the outputs of
the executors are from each other.
"""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import onnx.backend.test
import typer

from benchmarks.workloads import Workload, light_workload, recorded_pairs, recorded_workload
from reuse_compiler.backend.accelerator.hardware import load_hardware
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.check import check
from reuse_compiler.compiling import verify
from reuse_compiler.expected_step import expected_step
from reuse_compiler.fitting import fit
from reuse_compiler.onnx_writer import write_model
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.profiling import profile

LIGHT = Path(onnx.backend.test.__file__).parent / "data" / "light"


def main(
    names: Annotated[list[str] | None, typer.Argument(help="Models or pairs; all by default.")] = None,
    recordings: Annotated[Path | None, typer.Option(help="Folder of the recordings kit.")] = None,
    frames: Annotated[int, typer.Option(help="Frames of each.")] = 20,
) -> None:
    """Verify, and print a line a model. Ends with the error of the first frame that fails."""
    light = sorted(path.stem.removeprefix("light_") for path in LIGHT.glob("light_*.onnx"))
    pairs = recorded_pairs(recordings) if recordings is not None else []
    for name in names or [*light, *pairs]:
        if name in light:
            workload = light_workload(name, frames)
        else:
            assert recordings is not None, f"{name} is no light model: give --recordings"
            workload = recorded_workload(recordings, name, slice(0, frames))
        print(_line(workload, frames), flush=True)


def _line(workload: Workload, frames: int) -> str:
    begin = time.perf_counter()
    model = workload.model
    rejected = [verdict.node for verdict in check(model) if verdict.verdict == "rejected"]
    observed = profile(model, workload.stream, state=workload.state)
    plan = fit(model, observed, clusters=workload.clusters)
    reuse = observed.totals(
        {node: expected_step(quantizer, observed.tensor_of(node)) for node, quantizer in plan.quantizers().items()}
    ).reuse.value
    reuse_model = rewrite(model, plan)
    program = lower(reuse_model, load_hardware("isca18").tiling, model.sha256)
    host = [layer.name for layer in program.layers if layer.backend == "host"]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "model.reuse.onnx"
        write_model(reuse_model, file)
        verified = verify(model, plan, file, program, workload.stream, frames)
    found = []
    for executor, result in verified.results.items():
        linear = max(site.linear for site in result.sites.values())
        found.append(f"{executor} linear {linear:.1e} outputs {max(result.outputs.values()):.1e}")
    apart = max(error.max_abs for error in verified.distance.outputs.values())
    return (
        f"{workload.name}: {len(plan.sites)} sites, {frames} frames, reuse {reuse:.2f}; {'; '.join(found)}; apart"
        f" {apart:.1e}; {len(rejected)} rejected, {len(host)} on the host; {time.perf_counter() - begin:.0f} s"
    )


if __name__ == "__main__":
    typer.run(main)
