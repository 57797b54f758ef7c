"""The sensitivity table: its rows come from where they say, and the default among them is the run itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reuse_compiler.reproduce import sensitivity as module
from reuse_compiler.reproduce.network import Prepared, execute, lowered
from reuse_compiler.reproduce.sensitivity import CLUSTERS, COSTED, Savings, Variation, merged, sensitivity


@pytest.fixture(scope="module")
def rows(ready: Prepared) -> dict[Variation, Savings]:
    few = replace(ready, sizes=replace(ready.sizes, sensitivity=6))
    return dict(sensitivity(few, lowered(few, few.fitted())))


def test_what_is_as_the_default_is_the_default(rows: dict[Variation, Savings]) -> None:
    default = rows[Variation("default", "", "run")]
    for variation in (
        Variation("quantizer width, inputs a cycle", "16", "trace"),
        Variation("DRAM bandwidth, GB/s", "25.6", "trace"),
        Variation("lanes", "128", "trace"),
        Variation("clusters", "32", "run"),
        Variation("weights", "resident", "lowering"),
    ):
        assert rows[variation] == default, variation


def test_every_thing_is_varied(rows: dict[Variation, Savings]) -> None:
    assert set(COSTED) <= set(rows)
    assert {row.value for row in rows if row.varied == "clusters"} == {str(number) for number in CLUSTERS}
    assert Variation("first CONV", "dense", "run") in rows and Variation("weights", "streamed", "lowering") in rows


def test_directions_are_those_that_physics_gives(rows: dict[Variation, Savings]) -> None:
    reuse = [rows[Variation("clusters", str(number), "run")].reuse for number in CLUSTERS]
    assert reuse == sorted(reuse, reverse=True)
    width = [rows[Variation("quantizer width, inputs a cycle", str(n), "trace")].speedup for n in (1, 2, 4, 8, 16)]
    assert width == sorted(width)
    default = rows[Variation("default", "", "run")]
    assert rows[Variation("scan", "before the multiply-accumulates", "trace")].speedup < default.speedup
    assert rows[Variation("first CONV", "dense", "run")].reuse < default.reuse
    assert rows[Variation("weights", "streamed", "lowering")].energy_saving < default.energy_saving


def test_costs_made_anew_are_those_of_a_run_on_that_hardware(ready: Prepared) -> None:
    plan, recording = ready.fitted(), ready.evaluation
    other = ready.hardware.varied({"quantizer.inputs_per_cycle": 2})
    base = execute(ready, lowered(ready, plan), recording, frames=4)
    there = execute(ready, lowered(ready, plan, other), recording, frames=4)
    anew = module._costed(base, other)
    assert anew.speedup == there.report.totals.speedup != base.report.totals.speedup
    assert anew.energy_saving == pytest.approx(there.report.totals.energy_saving, rel=1e-12)


def test_networks_come_together_row_by_row() -> None:
    both, one = Variation("lanes", "64", "trace"), Variation("first CONV", "dense", "run")
    table = merged(
        {
            "a": [(both, Savings(2, 0.5, 0.6, 0.3)), (one, Savings(1, 0.1, 0.2, 0.1))],
            "b": [(both, Savings(3, 0.6, 0.7, 0.4))],
        }
    )
    assert [(row.varied, row.value, row.source) for row in table] == [
        ("lanes", "64", "trace"),
        ("first CONV", "dense", "run"),
    ]
    assert table[0].speedup == {"a": 2, "b": 3} and table[1].reuse_nonzero == {"a": 0.1}
