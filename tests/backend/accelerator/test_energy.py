"""Energy: picojoules worked out by hand from the constants of the default hardware."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reuse_compiler.backend.accelerator.energy import COMPONENTS, energy_pj
from reuse_compiler.backend.accelerator.hardware import Hardware, load_hardware
from reuse_compiler.backend.accelerator.isa import Event

# An FC of 4 inputs and 3 outputs of which 2 inputs changed: see test_events.
FC = {
    Event.MACS: 6,
    Event.MAC_CYCLES: 2,
    Event.INPUTS_SCANNED: 4,
    Event.INPUTS_CHANGED: 2,
    Event.EDRAM_READ: 24,
    Event.BUFFER_READ: 32,
    Event.BUFFER_WRITE: 14,
    Event.TABLE_READ: 4,
}


def test_a_small_fc_costs_the_sum_of_its_events(hardware: Hardware) -> None:
    assert energy_pj(FC, 0, hardware, reuse=True) == pytest.approx(
        {
            "compute": 6 * (2.37 + 0.577 + 0.46),
            "quantizer": 4 * 3.6 + 2 * 1.7,
            "special": 0.0,
            "edram": 24 / 4 * 4.20,
            "buffer": 32 * 113.5 / 64 + 14 * 112.0 / 64,
            "tables": 4 * 0.54,
            "dram": 0.0,
            "host": 0.0,
        }
    )


def test_a_search_in_a_table_costs_a_comparison_and_a_read_a_step(hardware: Hardware) -> None:
    searched = {**FC, Event.COMPARISONS: 16, Event.TABLE_READ: 20}
    one, other = energy_pj(FC, 0, hardware, reuse=True), energy_pj(searched, 0, hardware, reuse=True)
    difference = {name: other[name] - one[name] for name in one if other[name] != one[name]}
    assert difference == pytest.approx({"quantizer": 16 * 0.029, "tables": 16 * 0.54})


def test_what_leaks_leaks_two_picojoules_a_milliwatt_and_cycle_at_500_megahertz(hardware: Hardware) -> None:
    leaked = energy_pj({}, 100, hardware, reuse=True)
    assert leaked == pytest.approx(
        {
            "compute": 35 * 200,
            "quantizer": 0,
            "special": 0,
            "edram": 264 * 200,
            "buffer": 133.1 * 200,
            "tables": 0.26 * 200,
            "dram": 76 * 200,
            "host": 0,
        }
    )


def test_the_baseline_has_no_tables_and_the_smaller_buffer(hardware: Hardware) -> None:
    base = energy_pj({Event.BUFFER_READ: 64, Event.BUFFER_WRITE: 128}, 100, hardware, reuse=False)
    assert base["buffer"] == pytest.approx(109.3 + 2 * 107.9 + 120.6 * 200)
    assert base["tables"] == 0


def test_memories_and_the_host_are_priced_by_byte_and_operation(hardware: Hardware) -> None:
    events = {
        Event.DRAM_READ: 3,
        Event.DRAM_WRITE: 5,
        Event.EDRAM_WRITE: 8,
        Event.TABLE_WRITE: 2,
        Event.SPECIAL_OPERATIONS: 7,
        Event.HOST_MACS: 2,
        Event.HOST_OPERATIONS: 3,
    }
    cost = energy_pj(events, 0, hardware, reuse=True)
    assert cost["dram"] == pytest.approx(3 * 8 * 8.5 + 5 * 8 * 5.0)
    assert cost["edram"] == pytest.approx(8 / 4 * 4.20)
    assert cost["tables"] == pytest.approx(2 * 0.50)
    assert cost["special"] == pytest.approx(7 * 23.6)
    assert cost["host"] == pytest.approx(2 * 3.407 + 3 * 23.6)


@pytest.mark.parametrize("reuse", [True, False])
def test_partial_sums_in_the_buffer_move_512_bytes_each_way_a_cycle(reuse: bool) -> None:
    macro = load_hardware("isca18-macro")
    events = {Event.MAC_CYCLES: 3}
    read, write = (113.5, 112.0) if reuse else (109.3, 107.9)
    assert energy_pj(events, 0, macro, reuse=reuse)["buffer"] == pytest.approx(3 * 512 * (read + write) / 64)
    assert energy_pj(events, 0, load_hardware("isca18"), reuse=reuse)["buffer"] == 0


@given(
    events=st.dictionaries(st.sampled_from(Event), st.integers(0, 10**9)),
    cycles=st.integers(0, 10**9),
    reuse=st.booleans(),
)
def test_components_are_known_and_energy_is_linear(
    events: dict[Event, int], cycles: int, reuse: bool, hardware: Hardware
) -> None:
    together = energy_pj(events, cycles, hardware, reuse=reuse)
    assert tuple(together) == COMPONENTS
    parts: list[dict[str, Any]] = [
        energy_pj({event: count}, 0, hardware, reuse=reuse) for event, count in events.items()
    ]
    parts.append(energy_pj({}, cycles, hardware, reuse=reuse))
    for name in COMPONENTS:
        assert together[name] == pytest.approx(sum(part[name] for part in parts))
        assert together[name] >= 0


def test_half_the_clock_leaks_twice_as_much(hardware: Hardware) -> None:
    slow = hardware.varied({"clock.frequency_hz": 250e6})
    assert energy_pj({}, 10, slow, reuse=True) == energy_pj({}, 20, hardware, reuse=True)
