"""Compile: rewrite the model, verify it, lower it, run it, and write the folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from reuse_compiler.accuracy import Deviation
from reuse_compiler.backend.accelerator import program_file
from reuse_compiler.backend.accelerator.accounting import check_code
from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.interpreter import Interpreter
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.backend.accelerator.program import Program
from reuse_compiler.directory import FILES, replacing_directory
from reuse_compiler.errors import VerificationError
from reuse_compiler.frontend import Model
from reuse_compiler.model_profile import Profile
from reuse_compiler.onnx_writer import write_model
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import Plan
from reuse_compiler.replay import Replay, ReplayResult
from reuse_compiler.report import ExecutorCheck, Report, Verification
from reuse_compiler.session import Session
from reuse_compiler.simulation import Simulator, simulate
from reuse_compiler.streams import Frame, Stream

__all__ = ["Verified", "compile_model", "verify"]

Progress = Callable[[str, int, int | None], None]
Arrays = dict[str, NDArray[Any]]


def compile_model(
    model: Model,
    plan: Plan,
    directory: Path,
    *,
    stream: Stream | None,
    hardware: Hardware,
    profile: Profile | None = None,
    run: bool = True,
    verify_frames: int = 3,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Report | None:
    """Compile `model` by `plan` into `directory`, whole or not at all.

    With a stream, the first `verify_frames` frames are verified by replay in onnxruntime and on the interpreter, and
    with `run` the whole stream is interpreted and costed: the report is returned and written.

    Raises
    ------
    PlanError, ModelError, HardwareError, StreamError
        Where the parts do not fit each other.
    VerificationError
        Where an executor breaks its contract; it names the first site that does.
    """
    with replacing_directory(directory) as folder:
        reuse_model = rewrite(model, plan)
        program = lower(reuse_model, hardware.tiling, model.sha256)
        for code in (program.reuse, program.baseline):
            check_code(program, code, hardware)
        write_model(reuse_model, folder / FILES[0])
        program_file.save(program, folder / FILES[1])
        reference = plan.model.model_copy(update={"path": str(model.path.absolute())})
        plan.model_copy(update={"model": reference}).save(folder / FILES[2])
        profile = profile or _profile_before(directory, plan)
        if profile is not None:
            profile.save(folder / FILES[3])
        if stream is None:
            return None
        verified = None
        if verify_frames:
            verified = verify(
                model, plan, folder / FILES[0], program, stream, verify_frames, threads=threads, progress=progress
            )
        if not run:
            return None
        report = simulate(
            model,
            program,
            stream,
            hardware=hardware,
            state=plan.state,
            plan=plan,
            threads=threads,
            progress=progress,
        )
        report = report.model_copy(update={"verification": verified and _found(verified)})
        report.save(folder / FILES[4])
        return report


@dataclass(frozen=True)
class Verified:
    """The replay of every executor by name, and how far the accelerator's outputs are from those of onnxruntime."""

    results: dict[str, ReplayResult]
    distance: Deviation


def _found(verified: Verified) -> Verification:
    checks = {
        executor: ExecutorCheck(
            frames=result.frames,
            flips=sum(site.flips for site in result.sites.values()),
            linear=max((site.linear for site in result.sites.values()), default=0.0),
            outputs=max(result.outputs.values(), default=0.0),
        )
        for executor, result in verified.results.items()
    }
    distance = {name: error.max_abs for name, error in verified.distance.outputs.items()}
    return Verification(executors=checks, distance=distance)


def _profile_before(directory: Path, plan: Plan) -> Profile | None:
    """The profile of an earlier compilation of the same model, which a new plan does not outdate."""
    path = directory / FILES[3]
    found = Profile.load(path) if path.is_file() else None
    return found if found is not None and found.model.sha256 == plan.model.sha256 else None


def verify(
    model: Model,
    plan: Plan,
    reuse_model: Path,
    program: Program,
    stream: Stream,
    frames: int | None,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Verified:
    """Verify the first `frames` frames (all, with None) by replay, for each executor by name.

    Raises VerificationError naming executor, frame and first site whose index, linear output or output is wrong.
    """
    session = Session(reuse_model, threads=threads, state=plan.state)
    simulator = Simulator(program, model, plan.state, threads, plan)
    distance = Deviation()
    replays = {name: Replay(model, plan, threads=threads) for name in ("portable", "accelerator")}
    for number, frame in enumerate(islice(stream, frames), 1):
        if frame.start:
            session.reset()
        portable = session.run(frame.inputs)
        _check("portable", replays, frame, session, portable, session.anew)
        outputs = simulator.run(frame).outputs
        _check("accelerator", replays, frame, simulator.interpreter, outputs, simulator.anew)
        distance.add(portable, outputs)
        if progress is not None:
            progress("verify", number, frames)
    return Verified({name: replay.result for name, replay in replays.items()}, distance)


def _check(
    name: str, replays: Mapping[str, Replay], frame: Frame, executor: Session | Interpreter, outputs: Arrays, anew: bool
) -> None:
    """Replay what an executor left of a frame; `anew`: its guard had the frame quantized anew."""
    try:
        replays[name].check(
            frame.inputs, executor.indices, outputs, start=frame.start, anew=anew, linear=executor.linear
        )
    except VerificationError as error:
        raise VerificationError(f"executor {name}: {error}") from error
