"""The search on a small network: it finds reuse, keeps the bound on both parts, and gives up where nothing keeps it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from reuse_compiler.search.candidate import Candidate
from reuse_compiler.search.effort import Effort
from reuse_compiler.search.evaluator import Evaluator, Loss, Outcome
from reuse_compiler.search.refinement import scale_to_bound
from reuse_compiler.search.search import Found, search, verified
from tests.small_search import Parts, hopeless, relative


@pytest.fixture(scope="module")
def told() -> list[tuple[str, int, int | None]]:
    return []


@pytest.fixture(scope="module")
def best(parts: Parts, told: list[tuple[str, int, int | None]]) -> Outcome:
    found = search(parts.calibration, parts.profile, parts.shapes, rounds=2, progress=lambda *step: told.append(step))
    assert found is not None
    return found


def by_hand(part: Evaluator, candidate: Candidate) -> tuple[float, float]:
    """Reuse and loss of one run from a cold start."""
    frames = list(part.trial.run(candidate.quantizers(part.ranges), part.frames, part.state))
    changed = np.sum([frame.changed for frame in frames], axis=0) / len(frames)
    reuse = sum(
        part.worth[slot.name] * (1 - count / slot.elements)
        for slot, count in zip(part.trial.slots, changed, strict=True)
    )
    return reuse, part.loss(part.references, [frame.outputs for frame in frames])[0]


# -------------------------------------------------------------------------------------------------------------- search


def test_it_finds_more_than_equal_widths_at_about_the_bound(parts: Parts, best: Outcome) -> None:
    uniform = scale_to_bound(parts.calibration, parts.uniform)
    assert uniform is not None
    assert best.reuse > uniform.reuse > 0.2
    assert best.loss == pytest.approx(1, abs=0.2)
    assert best.candidate.windows.keys() == parts.calibration.ranges.keys()
    assert best == parts.calibration.evaluate(best.candidate)


def test_it_tells_its_steps(told: list[tuple[str, int, int | None]], best: Outcome) -> None:
    assert [what for what, _, _ in told] == ["search"] * len(told)
    assert [done for _, done, _ in told] == list(range(1, len(told) + 1))
    assert {steps for _, _, steps in told} == {len(told)}


@pytest.mark.parametrize("shapes", [None, {}])
def test_it_takes_the_same_way_every_time(
    parts: Parts, best: Outcome, shapes: Mapping[str, tuple[float, ...]] | None
) -> None:
    """Without shapes of channels no tensor has several deadbands."""
    given = parts.shapes if shapes is None else shapes
    found = search(replace(parts.calibration, jobs=1), parts.profile, given, rounds=2)
    assert found is not None
    if shapes is None:
        assert found == best
    quantizers = found.candidate.quantizers(parts.calibration.ranges).values()
    assert shapes is None or all(isinstance(quantizer.deadband, float) for quantizer in quantizers)


def test_out_of_time_it_tries_less_and_keeps_the_bound(parts: Parts, best: Outcome, runs: Callable[[], int]) -> None:
    steps: list[int] = []
    effort = Effort(0)
    found = search(
        parts.calibration,
        parts.profile,
        parts.shapes,
        rounds=9,
        effort=effort,
        progress=lambda what, done, total: steps.append(done),
    )
    assert found is not None
    assert found.loss == pytest.approx(1, abs=0.2)
    assert effort.cut_short
    assert steps == list(range(1, steps[-1] + 1))  # all of them, as those left out count as done
    quick = runs()
    search(parts.calibration, parts.profile, parts.shapes, rounds=0)
    assert runs() - quick > quick


def test_it_gives_up_where_nothing_keeps_the_bound(parts: Parts) -> None:
    assert search(replace(parts.calibration, loss=hopeless), parts.profile, parts.shapes, rounds=0) is None


# -------------------------------------------------------------------------------------------------------- verification


def octaves(outcome: Outcome, best: Outcome) -> float:
    """How far all widths are scaled."""
    apart = [float(np.log2(width / best.candidate.widths[name])) for name, width in outcome.candidate.widths.items()]
    assert max(apart) == pytest.approx(min(apart), abs=1e-9)
    return apart[0]


def judges(parts: Parts, **losses: Loss) -> dict[str, Evaluator]:
    """The parts, some with a loss of their own."""
    found = {"calibration": parts.calibration, "verification": parts.verification, "both": parts.both}
    return {name: replace(part, loss=losses.get(name, part.loss)) for name, part in found.items()}


def verify(given: Mapping[str, Evaluator], best: Outcome) -> Found | None:
    return verified(given["calibration"], given["verification"], given["both"], best)


def test_what_is_verified_keeps_the_bound_on_all_parts_as_it_is(parts: Parts, best: Outcome) -> None:
    given = judges(parts)
    found = verify(given, best)
    assert found is not None
    assert found.calibration.candidate == found.verification.candidate
    assert abs(octaves(found.calibration, best)) < 1
    for name, outcome in (("calibration", found.calibration), ("verification", found.verification)):
        assert (outcome.reuse, outcome.loss) == pytest.approx(by_hand(given[name], outcome.candidate))
    assert max(by_hand(part, found.calibration.candidate)[1] for part in given.values()) <= 1


@pytest.mark.parametrize("failing", ["calibration", "verification", "both"])
def test_one_that_fails_on_a_part_is_drawn_back(parts: Parts, best: Outcome, failing: str) -> None:
    given = judges(parts, **{failing: relative(0.02)})
    plain, found = verify(judges(parts), best), verify(given, best)
    assert plain is not None and found is not None
    assert octaves(found.calibration, best) < min(octaves(plain.calibration, best), 0)
    assert by_hand(given[failing], best.candidate)[1] > 1
    assert by_hand(given[failing], found.calibration.candidate)[1] <= 1
    assert found.calibration.reuse < plain.calibration.reuse


def test_the_widest_that_passes_is_taken_and_it_is_not_far_from_what_was_searched(parts: Parts, best: Outcome) -> None:
    easy = relative(100)
    found = verify(judges(parts, calibration=easy, verification=easy, both=easy), best)
    assert found is not None
    assert 0 <= octaves(found.calibration, best) <= 1


@pytest.mark.parametrize("failing", ["calibration", "verification", "both"])
def test_nothing_is_verified_where_no_scale_passes(parts: Parts, best: Outcome, failing: str) -> None:
    assert verify(judges(parts, **{failing: hopeless}), best) is None
