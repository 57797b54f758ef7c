"""A session under guard: calm on what was calibrated, anew where the stream leaves it, and open about it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from reuse_compiler import frontend
from reuse_compiler.backend.accelerator.hardware import load_hardware
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.cli.run import print_run
from reuse_compiler.compiling import compile_model
from reuse_compiler.directory import CompiledDirectory
from reuse_compiler.errors import ModelError, PlanError, VerificationError
from reuse_compiler.frontend import Model
from reuse_compiler.guard import count_clipped
from reuse_compiler.guard_calibration import SiteShares, calibrate_guard
from reuse_compiler.guard_plan import GuardPlan, QuietPlan
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import Plan
from reuse_compiler.quantizers import LinearQuantizer
from reuse_compiler.refresh import RefreshPlan
from reuse_compiler.replay import Replay
from reuse_compiler.running import run_session
from reuse_compiler.session import Session
from reuse_compiler.session_statistics import GuardReset
from reuse_compiler.simulation import Simulator
from reuse_compiler.streams import Frame, open_stream
from tests.recurrent.cells import Cell, build, feeds, planned
from tests.small_network import SITES, small_model, small_plan, walk
from tests.test_session import LOOP, dyadic, load, plan_for

Frames = list[NDArray[np.float32]]

CALM = walk(60, share=0.1)
DEADBAND = 0.1
HARDWARE = load_hardware("isca18")


@pytest.fixture(scope="module")
def model() -> Model:
    return small_model()


@pytest.fixture(scope="module")
def plan(model: Model) -> Plan:
    """With the guard that the calm stream gives."""
    plain = small_plan(model, deadband=DEADBAND)
    session = Session(rewrite(model, plain), threads=1)
    quantizers = plain.quantizers()
    changed: dict[str, list[float]] = {site: [] for site in quantizers}
    clipped: dict[str, list[float]] = {site: [] for site in quantizers}
    sizes = {}
    for x in CALM:
        session.run({"x": x})
        changes = session.changes
        for site, index in session.indices.items():
            sizes[site] = index.size
            changed[site].append(changes[site] / index.size)
            clipped[site].append(count_clipped(index, quantizers[site]) / index.size)
    sites = {site: SiteShares(sizes[site], np.array(changed[site]), np.array(clipped[site])) for site in sizes}
    return plain.model_copy(update={"guard": calibrate_guard(sites, memory=True)})


@pytest.fixture
def session(model: Model, plan: Plan) -> Session:
    return Session(rewrite(model, plan), threads=1)


def run_all(session: Session, frames: Frames) -> list[int]:
    """The numbers of the frames that were quantized anew."""
    anew = []
    for number, x in enumerate(frames):
        session.run({"x": x})
        if session.anew:
            anew.append(number)
    return anew


def test_the_calibration_itself_and_a_stream_like_it_fire_nothing(session: Session) -> None:
    assert run_all(session, CALM) == []
    session.reset()
    assert run_all(session, walk(200, share=0.1, seed=9)) == []
    statistics = session.statistics
    assert (statistics.guard_resets, statistics.last_guard_resets) == ({}, ())
    assert statistics.frames_beyond_range == 0
    assert statistics.frames == 260


def test_a_scene_cut_is_quantized_anew_in_the_frame_behind_it(session: Session, model: Model) -> None:
    other = [-x for x in CALM[:20]]
    assert run_all(session, [*CALM, *other]) == [61]
    assert session.statistics.guard_resets == {"cut": 1}
    assert session.statistics.last_guard_resets == (GuardReset(61, "cut"),)
    # from there on it is a session that began at that frame
    late = Session(rewrite(model, small_plan(model, deadband=DEADBAND)), threads=1)
    run_all(late, other[1:])
    for site, index in session.indices.items():
        np.testing.assert_array_equal(index, late.indices[site])


def test_inputs_beyond_the_range_are_counted_as_long_as_they_last(session: Session) -> None:
    bright = [np.float32(6) + x for x in CALM[:10]]
    assert run_all(session, [*CALM, *bright]) == [61]
    assert session.statistics.guard_resets == {"range": 1}
    assert session.statistics.frames_beyond_range == 10


def test_a_fade_below_the_deadband_is_found_out_after_near_silence(model: Model) -> None:
    plain = small_plan(model, deadband=DEADBAND)
    watched = plain.model_copy(update={"guard": GuardPlan(quiet=QuietPlan(share=0.01, frames=20))})
    session, blind = (Session(rewrite(model, each), threads=1) for each in (watched, plain))
    creep = [(CALM[0] + np.float32(0.9 * 3 * DEADBAND * number / 60)) for number in range(60)]
    creep += creep[-1:] * 25
    assert run_all(session, creep) != []
    run_all(blind, creep)
    quantizer = plain.quantizers()["a"]

    def bias(runner: Session) -> float:
        return float(abs((quantizer.dequantize(runner.indices["a"]) - creep[-1]).mean()))

    assert bias(session) < bias(blind) / 10
    assert set(session.statistics.guard_resets) == {"quiet"}


def test_only_the_last_resets_are_kept_one_by_one(model: Model) -> None:
    guarded = small_plan(model, guard=GuardPlan(quiet=QuietPlan(share=0.0, frames=1)))
    session = Session(rewrite(model, guarded), threads=1)
    run_all(session, [CALM[0]] * 60)
    assert session.statistics.guard_resets == {"quiet": 29}
    assert len(session.statistics.last_guard_resets) == 16
    assert session.statistics.last_guard_resets[-1] == GuardReset(58, "quiet")


def test_what_it_saw_is_saved_restored_and_forked(session: Session, model: Model, plan: Plan) -> None:
    cut = [-x for x in CALM[:5]]
    run_all(session, [*CALM, cut[0]])  # the reset is due, and not done
    twin, other = session.fork(), Session(rewrite(model, plan), threads=1)
    other.restore(session.save())
    for one in (session, twin, other):
        assert run_all(one, cut[1:]) == [0]
        np.testing.assert_array_equal(one.indices["a"], session.indices["a"])
    assert twin.statistics.frames == other.statistics.frames == 4
    assert session.statistics.frames == 65


def test_a_run_with_resets_passes_the_replay_that_is_told_and_no_other(
    session: Session, model: Model, plan: Plan
) -> None:
    told, untold = (Replay(model, plan, threads=1) for _ in range(2))
    frames = [*CALM[:5], *(-x for x in CALM[:5])]

    def check(replay: Replay, number: int, outputs: dict[str, NDArray[Any]], anew: bool) -> None:
        inputs = {"x": frames[number]}
        replay.check(inputs, session.indices, outputs, start=number == 0, anew=anew, linear=session.linear)

    for number, x in enumerate(frames):
        outputs = session.run({"x": x})
        check(told, number, outputs, session.anew)
        if not session.anew:
            check(untold, number, outputs, anew=False)
            continue
        with pytest.raises(VerificationError, match="site a: index"):
            check(untold, number, outputs, anew=False)
        return
    pytest.fail("the guard never fired")


def test_compile_and_run_follow_and_report_the_guard_on_both_executors(
    model: Model, plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = [*CALM[:6], *(-x for x in CALM[:6])]
    full = plan.model_copy(update={"refresh": RefreshPlan(every=10)})
    stream = open_stream(lambda: iter([{"x": x[0]} for x in frames]), model.inputs)
    report = compile_model(
        model, full, tmp_path / "out", stream=stream, hardware=HARDWARE, verify_frames=len(frames), threads=1
    )
    assert report is not None
    assert report.guard is not None
    assert (report.guard.resets, report.guard.frames) == ({"cut": 1}, [7])
    assert (report.stream.frames, report.stream.sequences) == (12, 1)
    estimate = report.refresh_estimate
    assert estimate is not None
    reused = [layer for layer in report.layers if layer.backend == "reuse"]
    assert estimate.macs == pytest.approx(sum(layer.macs for layer in reused) / 10)
    assert estimate.cycles == pytest.approx(sum(layer.cycles.baseline for layer in reused) / 10)
    total = report.totals
    assert estimate.speedup_with_refresh == pytest.approx(
        total.cycles.baseline / (total.cycles.reuse + estimate.cycles)
    )
    assert estimate.energy_saving_with_refresh < total.energy_saving
    portable = run_session(CompiledDirectory.open(tmp_path / "out"), stream, model=model, threads=1)
    assert portable.guard == report.guard
    assert portable.similarity == pytest.approx(total.similarity, abs=0.01)
    assert portable.refreshed >= len(SITES)
    for shown, refresh in (
        (report, "refresh   every 10 frames would add about "),
        (portable, "refresh   6 linear outputs"),
    ):
        print_run(shown)
        text = capsys.readouterr().out
        assert "guard     1 frame quantized anew (1 for cut)" in text
        assert refresh in text


def test_a_reset_costs_the_accelerator_a_sequence_start(model: Model, plan: Plan, tmp_path: Path) -> None:
    frames = [*CALM[:6], *(-x for x in CALM[:6])]
    cycles = []
    for number, start in enumerate((False, True)):
        # the same resets: by the guard, or because the stream says that a sequence starts
        samples = [{"x": x[0], "__start__": start and at == 7} for at, x in enumerate(frames)]
        stream = open_stream(partial(iter, samples), model.inputs)
        each = plan.model_copy(update={"guard": None if start else plan.guard})
        report = compile_model(
            model, each, tmp_path / str(number), stream=stream, hardware=HARDWARE, verify_frames=0, threads=1
        )
        assert report is not None
        cycles.append((report.totals.cycles, report.totals.energy_pj, report.totals.macs_computed))
    assert cycles[0] == cycles[1]


def test_fed_back_state_outlives_a_reset_of_the_guard() -> None:
    generator = np.random.default_rng(0)
    weights = {"W": dyadic(generator, (3, 3)), "B": dyadic(generator, (3,)), "V": dyadic(generator, (3, 3))}
    model = load(LOOP, weights)
    quantizer = LinearQuantizer(0.25, 100, 200)
    plain = plan_for(model, {"a": quantizer, "b": quantizer}, {"h": "next"})
    guarded = plain.model_copy(update={"guard": GuardPlan(quiet=QuietPlan(share=1.0, frames=2))})
    one, other = (Session(rewrite(model, each), threads=1) for each in (guarded, plain))
    for _ in range(10):
        x = {"x": dyadic(generator, (1, 3))}
        np.testing.assert_array_equal(one.run(x)["next"], other.run(x)["next"])  # exact sums, no memory: no difference
    assert one.statistics.guard_resets == {"quiet": 3}


@pytest.mark.parametrize("site", ["nothing", "c"])
def test_a_guard_for_what_is_no_reuse_site_is_refused_in_one_line(model: Model, site: str) -> None:
    guarded = small_plan(model, guard=GuardPlan(clipped={site: 0.1}), dense=("c", "d"))
    with pytest.raises(PlanError, match=f"^plan: guard: the plan reuses no site {site}: remove it from clipped$"):
        rewrite(model, guarded)


def test_a_damaged_guard_of_a_file_is_refused(model: Model, plan: Plan) -> None:
    reuse = rewrite(model, plan)
    for text in ("{", '{"clipped": {"z": 0.1}}', '{"changed": "x"}'):
        reuse.metadata_props["reuse.guard"] = text
        with pytest.raises(ModelError, match=r"reuse\.guard.*compile it again$"):
            Session(reuse, threads=1)


def test_a_model_without_sites_takes_a_guard(model: Model) -> None:
    session = Session(rewrite(model, small_plan(model, guard=GuardPlan(), dense=SITES)), threads=1)
    session.run({"x": CALM[0]})
    assert (session.statistics.similarity, session.statistics.inputs) == (0.0, 0)


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_a_recurrent_layer_is_counted_and_reset_alike_on_both_executors(direction: str, tmp_path: Path) -> None:
    proto = build(Cell("LSTM", direction=direction))
    onnx.save(proto, tmp_path / "model.onnx")
    model, generator = frontend.load(tmp_path / "model.onnx"), np.random.default_rng(0)
    guard = GuardPlan(quiet=QuietPlan(share=1.0, frames=2))
    plan = planned(model, step=0.02, deadband=0.1).model_copy(update={"guard": guard})
    reuse = rewrite(model, plan)
    session = Session(reuse, threads=1)
    simulator = Simulator(lower(reuse, HARDWARE.tiling, model.sha256), model, {}, 1, plan)
    replay = Replay(model, plan, threads=1)
    for number in range(9):
        inputs = feeds(proto, generator)
        outputs = session.run(inputs)
        simulator.run(Frame(inputs, number == 0))
        assert session.anew == simulator.anew == (number in (3, 6))
        replay.check(inputs, session.indices, outputs, start=number == 0, anew=session.anew, linear=session.linear)
    assert session.statistics == simulator.statistics
