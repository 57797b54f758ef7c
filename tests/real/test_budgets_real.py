"""A budget that a plan is fitted to on the first half of a recording is kept on the second, and reuses more than zeros do."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from reuse_compiler.backend.accelerator.hardware import load_hardware
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.budget_fit import fit_to_budget
from reuse_compiler.frontend import load
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.simulation import simulate
from reuse_compiler.streams import open_stream


@pytest.mark.parametrize(
    ("name", "budget", "least"),
    [("pilotnet@highway", "relrmse<=0.1", 0.7), ("kws@speech_10ms", "argmax:labels_softmax<=0.01", 0.43)],
)
def test_a_budget_is_kept_on_the_half_that_was_not_seen(real: ModuleType, name: str, budget: str, least: float) -> None:
    pair = real.PAIRS[name]
    model = load(pair.model)
    frames = sum(1 for _ in pair.feeds())
    first, second = (
        open_stream(pair.feeds, model.inputs, frames=cut) for cut in (f"0:{frames // 2}", f"{frames // 2}:{frames}")
    )
    plan = fit_to_budget(model, first, budget)
    assert plan.budget is not None
    assert max(plan.budget.calibration.loss, plan.budget.verification.loss) <= 1
    hardware = load_hardware("isca18")
    program = lower(rewrite(model, plan), hardware.tiling, model.sha256)
    report = simulate(model, program, second, hardware=hardware, plan=plan)
    assert report.accuracy.kept
    assert report.totals.reuse > least
    assert np.isclose(report.totals.reuse, plan.budget.verification.reuse, atol=0.05)
    assert report.totals.speedup > 1.5
