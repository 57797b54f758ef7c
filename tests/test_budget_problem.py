"""What a search is given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from reuse_compiler.budget_problem import BudgetProblem, FitSettings
from reuse_compiler.frontend import Model
from reuse_compiler.macs import model_macs
from reuse_compiler.search.candidate import Candidate, Window
from reuse_compiler.streams import open_stream
from tests.small_network import small_model, walk


@pytest.fixture(scope="module")
def model() -> Model:
    return small_model()


def problem(model: Model, x: list[NDArray[np.float32]], budget: str, journal: Path) -> BudgetProblem:
    stream = open_stream([{"x": frame} for frame in x], model.inputs)
    return BudgetProblem.of(model, stream, budget, FitSettings(journal=journal, jobs=1))


def key(found: BudgetProblem) -> str:
    return found.calibrating().journal.key("all", {})


def test_what_is_known_of_another_search_is_not_taken_for_this_one(model: Model, tmp_path: Path) -> None:
    """The verification counts, too: errors are relative to the deviation on the whole recording."""
    path, x = tmp_path / "journal", walk(24)
    first = problem(model, x, "relrmse<=0.1", path)
    assert key(problem(model, [frame.copy() for frame in x], "relrmse<=0.1", path)) == key(first)
    others = [
        problem(model, [*x[:-1], x[-1] + 1], "relrmse<=0.1", path),
        problem(model, [x[0] + 1, *x[1:]], "relrmse<=0.1", path),
        problem(model, x, "relrmse<=0.2", path),
        replace(first, settings=replace(first.settings, state={"h": "hn"})),
        replace(first, worth=dict.fromkeys(first.worth, 0.5)),
    ]
    keys = [key(first), *(key(other) for other in others), first.counting(first.calibration).journal.key("all", {})]
    assert len(set(keys)) == len(keys)


def test_what_a_plan_says_of_multiply_accumulates_is_counted_on_the_plan_as_it_is(model: Model, tmp_path: Path) -> None:
    found = problem(model, walk(24), "relrmse<=0.1", tmp_path / "journal")
    candidate = Candidate({tensor: Window(0.05 * max(-low, high), 2.0) for tensor, (low, high) in found.ranges.items()})
    part = found.verification
    changed = np.sum(
        [frame.changed for frame in found.trial.run(candidate.quantizers(found.ranges), part.held, {})], axis=0
    )
    same = [slot.elements * len(part) - count for slot, count in zip(found.trial.slots, changed, strict=True)]
    reused = sum(count * slot.macs / slot.elements for count, slot in zip(same, found.trial.slots, strict=True))
    macs = model_macs(model, found.sites) * len(part)
    assert found.counting(part).evaluate(candidate).reuse == pytest.approx(reused / macs)
