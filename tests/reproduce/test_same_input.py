"""Drawn traces: the rate that was asked for, accounts that close, and costs near their bound."""

from __future__ import annotations

import numpy as np
import pytest

from reuse_compiler.backend.accelerator.accounting import check_accounts
from reuse_compiler.backend.accelerator.cost import CostModel, trace_columns
from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.backend.accelerator.program import Program
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.reproduce.levers import LEVERS, levers
from reuse_compiler.reproduce.network import Prepared
from reuse_compiler.reproduce.same_input import drawn_trace, same_input


@pytest.fixture(scope="module")
def program(ready: Prepared, hardware: Hardware) -> Program:
    return lower(rewrite(ready.model, ready.fitted()), hardware.tiling, ready.model.sha256)


@pytest.mark.parametrize("reuse", [0.0, 0.53, 0.79, 1.0])
def test_a_drawn_trace_has_the_rate_and_its_accounts_close(program: Program, hardware: Hardware, reuse: float) -> None:
    trace = drawn_trace(program, reuse, 3, seed=4)
    assert trace.shape == (3, trace_columns(program)) and (trace >= 0).all()
    model = CostModel(program, hardware)
    model.add(trace)
    costs = model.costs()
    check_accounts(program, costs, hardware)
    macs = 3 * sum(info.macs for info in program.layers)
    done = sum(layer.macs_done for layer in costs.layers)
    assert 1 - done / macs == pytest.approx(reuse, abs=0.01)
    inputs = sum(layer.inputs for layer in costs.layers)
    assert 1 - sum(layer.changed for layer in costs.layers) / inputs == pytest.approx(reuse, abs=0.01)


def test_a_seed_gives_its_trace_again(program: Program) -> None:
    first, again, other = (drawn_trace(program, 0.7, 2, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_where_everything_changes_nothing_is_gained(program: Program, hardware: Hardware) -> None:
    nothing = same_input("autopilot", program, hardware, 0.0)
    assert nothing.speedup_bound == 1
    assert 0.9 < nothing.speedup <= 1.01 and nothing.energy_saving < 0


def test_speed_stays_below_its_bound_and_near_it(program: Program, hardware: Hardware) -> None:
    for reuse in (0.53, 0.66, 0.79):
        found = same_input("autopilot", program, hardware, reuse)
        assert 0.9 * found.speedup_bound <= found.speedup <= 1.02 / (1 - found.drawn_reuse)


def test_levers_say_which_constant_moves_what(program: Program, hardware: Hardware) -> None:
    rows = {(row.varied, row.value): found for row, found in levers(program, hardware, 0.79)}
    assert {varied for varied, _ in rows} == {"as it is", *LEVERS}
    default = rows["as it is", ""]
    narrow = rows["quantizer.inputs_per_cycle", "1"]
    assert narrow.speedup < 0.6 * default.speedup
    for (varied, _), found in rows.items():
        if varied not in ("as it is", "quantizer.inputs_per_cycle", "special.lanes"):
            assert found.speedup == default.speedup, varied  # energies and powers take no time
