"""Costs: a small program worked out by hand, and the same trace on other hardware."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.accounting import check_accounts
from reuse_compiler.backend.accelerator.cost import CostModel, Costs, cost_trace
from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.isa import DeltaFc, Event, Halt, Host, Loop, Over, Sync
from reuse_compiler.backend.accelerator.program import Program
from reuse_compiler.errors import HardwareError

# Changed inputs, committed ones, multiply-accumulates skipped on 0.0, whether any changed: four frames.
ROWS = np.array([[2, 2, 3, 1], [0, 0, 12, 0], [4, 4, 0, 1], [1, 1, 0, 1]], np.int64)


@pytest.fixture
def machine(hardware: Hardware, program: Program) -> Hardware:
    """The default hardware with the sizes that the program of conftest is lowered for."""
    tiling = program.tiling
    return hardware.varied(
        {
            "compute.accumulators": tiling.accumulators,
            "edram.bytes": tiling.edram_bytes,
            "buffer.base.bytes": tiling.buffer_bytes_base,
            "buffer.reuse.bytes": tiling.buffer_bytes_reuse,
        },
    )


def costs(program: Program, machine: Hardware, rows: NDArray[np.int64] = ROWS, sequences: int = 1) -> Costs:
    return cost_trace(program, [rows], sequences, machine)


def test_cycles_of_one_frame(program: Program, machine: Hardware) -> None:
    """Load 16 bytes: 51, ready at 57. FC: 2, ready at 67. Ramp: 1, ready at 72. Store: 51, ready at 129. Host: 1 and
    two transfers of 51. The start of the sequence fills two memories in one cycle each, ready at 8."""
    one = costs(program, machine, ROWS[:1])
    assert one.reuse.cycles.tolist() == [0, 72 + 8, 57 + 103]
    assert one.baseline.cycles.tolist() == [0, 74, 57 + 103 + 1]  # 4 cycles instead of 2; a sync starts a sequence
    assert one.reuse.setup_cycles == one.baseline.setup_cycles == 50 + 2 + 6
    assert one.reuse.total_cycles == 240


def test_energy_of_one_frame(program: Program, machine: Hardware) -> None:
    one = costs(program, machine, ROWS[:1])
    leak = 2 * 240  # pJ per mW
    assert one.reuse.components_pj == pytest.approx(
        {
            "compute": 6 * 3.407 + 35 * leak,
            "quantizer": 4 * 3.6 + 2 * 1.7,
            "special": 3 * 23.6,
            "edram": (24 + 12) * 1.05 + 264 * leak,
            "buffer": (32 + 12 + 12) * 113.5 / 64 + (16 + 14 + 12 + 4 + 12) * 112.0 / 64 + 133.1 * leak,
            "tables": 4 * 0.54 + 32 * 0.50 + 0.26 * leak,
            "dram": (16 + 12) * 68 + (12 + 12) * 40 + 76 * leak,
            "host": 9 * 23.6,
        }
    )
    leak = 2 * 235
    assert one.baseline.components_pj == pytest.approx(
        {
            "compute": 12 * 3.407 + 35 * leak,
            "quantizer": 0.0,
            "special": 3 * 23.6,
            "edram": (12 + 3) * 4 * 1.05 + 264 * leak,
            "buffer": (16 + 12 + 12) * 109.3 / 64 + (16 + 12 + 12) * 107.9 / 64 + 120.6 * leak,
            "tables": 0.0,
            "dram": (16 + 12) * 68 + (12 + 12) * 40 + 76 * leak,
            "host": 9 * 23.6,
        }
    )
    setup = 60 * 68 + 60 * 1.05 + (35 + 264 + 133.1 + 0.26 + 76) * 2 * 58
    assert one.reuse.setup_energy_pj == pytest.approx(setup)
    setup += (120.6 - 133.1 - 0.26) * 2 * 58
    assert one.baseline.setup_energy_pj == pytest.approx(setup)


def test_what_was_reused(program: Program, machine: Hardware) -> None:
    total = costs(program, machine)
    assert total.frames == 4
    assert [(layer.inputs, layer.changed, layer.macs_done, layer.macs_skipped_zero) for layer in total.layers] == [
        (0, 0, 0, 0),
        (16, 7, 21, 15),
        (0, 0, 0, 0),
    ]
    check_accounts(program, total, machine)


def test_blocks_of_frames_add_up(program: Program, machine: Hardware) -> None:
    together, apart = costs(program, machine), CostModel(program, machine)
    apart.start_sequence()
    for row in ROWS:
        apart.add(row[None])
    assert same(together, apart.costs())
    assert same(apart.costs(), apart.costs())


def test_a_sequence_costs_its_start(program: Program, machine: Hardware) -> None:
    one, three = costs(program, machine), costs(program, machine, sequences=3)
    assert three.reuse.total_cycles - one.reuse.total_cycles == 2 * 8
    assert three.baseline.total_cycles - one.baseline.total_cycles == 2 * 1
    extra = three.reuse.events[1][Event.BUFFER_WRITE] - one.reuse.events[1][Event.BUFFER_WRITE]
    assert extra == 2 * (4 + 12)


def test_the_baseline_is_the_same_for_every_trace(program: Program, machine: Hardware) -> None:
    quiet, busy = costs(program, machine, ROWS * 0), costs(program, machine)
    assert quiet.baseline.cycles.tolist() == busy.baseline.cycles.tolist()
    assert quiet.baseline.components_pj == busy.baseline.components_pj
    assert quiet.baseline.total_cycles == 4 * 234 + 1
    events = {event for layer in busy.baseline.events for event, count in layer.items() if count}
    assert not events & {Event.INPUTS_SCANNED, Event.INPUTS_CHANGED, Event.TABLE_READ, Event.TABLE_WRITE}


def test_a_host_node_costs_the_same_in_both_machines(program: Program, machine: Hardware) -> None:
    total = costs(program, machine)
    for event in (Event.HOST_OPERATIONS, Event.DRAM_READ, Event.DRAM_WRITE):
        assert total.reuse.events[2][event] == total.baseline.events[2][event] > 0
    assert total.reuse.energy_pj[2]["host"] == total.baseline.energy_pj[2]["host"] == pytest.approx(4 * 9 * 23.6)
    assert total.reuse.cycles[2] == total.baseline.cycles[2] - 1  # its sequence starts with a sync


def same(one: Costs, other: Costs) -> bool:
    return all(
        getattr(one, side).cycles.tolist() == getattr(other, side).cycles.tolist()
        and getattr(one, side).energy_pj == getattr(other, side).energy_pj
        and getattr(one, side).events == getattr(other, side).events
        for side in ("reuse", "baseline")
    )


# --------------------------------------------------------------------------------------------------- other hardware


def test_another_clock_changes_leakage_alone(program: Program, machine: Hardware) -> None:
    fast = machine.varied({"clock.frequency_hz": 1e9})
    one, other = costs(program, machine), costs(program, fast)
    assert other.reuse.cycles.tolist() == one.reuse.cycles.tolist()
    leakage = (35 + 264 + 133.1 + 0.26 + 76) * 2 * one.reuse.total_cycles
    assert one.reuse.total_energy_pj - other.reuse.total_energy_pj == pytest.approx(leakage / 2)


def test_other_energies_change_their_component_alone(program: Program, machine: Hardware) -> None:
    dear = machine.varied({"compute.multiply_pj": 12.37, "quantizer.changed_pj": 2.7})
    one, other = costs(program, machine).reuse.components_pj, costs(program, dear).reuse.components_pj
    difference = {name: other[name] - one[name] for name in one if other[name] != one[name]}
    assert difference == pytest.approx({"compute": 10 * 21, "quantizer": 7})


def test_energies_made_anew_are_those_of_costs_made_anew(program: Program, machine: Hardware) -> None:
    dear = machine.varied({"compute.multiply_pj": 12.37, "edram.leakage_mw": 1.0, "dram.read_pj_per_byte": 5.0})
    model = CostModel(program, machine)
    model.add(ROWS)
    model.start_sequence()
    anew, there = model.costs(dear), costs(program, dear)
    for found, wanted in ((anew.reuse, there.reuse), (anew.baseline, there.baseline)):
        assert found.energy_pj == wanted.energy_pj and found.setup_energy_pj == wanted.setup_energy_pj
        assert found.cycles.tolist() == wanted.cycles.tolist()
    with pytest.raises(HardwareError, match="cycles were made with 51"):
        model.costs(machine.varied({"dram.bytes_per_cycle": 2.0}))


def test_another_bandwidth_changes_every_transfer(program: Program, machine: Hardware) -> None:
    """Two bytes a cycle: 8 instead of 1 for the load, 6 for the store and for each transfer of the host."""
    slow = machine.varied({"dram.bytes_per_cycle": 2.0})
    one, other = costs(program, machine), costs(program, slow)
    assert other.reuse.total_cycles - one.reuse.total_cycles == 4 * (7 + 5 + 5 + 5)
    assert other.reuse.setup_cycles - one.reuse.setup_cycles == 30 - 2


@pytest.mark.parametrize(
    ("values", "fc"),
    [
        ({}, [2, 1, 4, 1]),
        ({"quantizer.inputs_per_cycle": 1.0}, [4, 4, 4, 4]),
        ({"quantizer.inputs_per_cycle": 1.0, "quantizer.overlapped": False}, [6, 4, 8, 5]),
        ({"quantizer.overlapped": False}, [3, 1, 5, 2]),
        ({"compute.lanes": 2}, [4, 1, 8, 2]),
        ({"compute.lanes": 1, "quantizer.inputs_per_cycle": 2.0}, [6, 2, 12, 3]),
        ({"compute.lanes": 1024}, [2, 1, 4, 1]),
    ],
    ids=str,
)
def test_quantizer_width_overlap_and_lanes_change_the_fc(
    values: dict[str, object], fc: list[int], program: Program, machine: Hardware
) -> None:
    """max(ceil(4 / width), changed * ceil(3 / lanes)), or their sum; all else takes 230 cycles."""
    other = costs(program, machine.varied(values))
    lanes = machine.varied(values).compute.lanes.value
    assert other.reuse.total_cycles == sum(230 + cycles for cycles in fc) + 8
    assert other.baseline.total_cycles == 4 * (230 + 4 * -(-3 // lanes)) + 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("compute.accumulators", "accumulators is 1,000, the program was lowered for 4,096"),
        ("edram.bytes", "edram_bytes is 1,000, the program was lowered for 33,554,432"),
        ("buffer.base.bytes", "buffer_bytes_base is 1,000, the program was lowered for 1,048,576"),
        ("buffer.reuse.bytes", "buffer_bytes_reuse is 1,000, the program was lowered for 2,097,152"),
    ],
)
def test_other_sizes_are_refused(name: str, message: str, program: Program, machine: Hardware) -> None:
    with pytest.raises(HardwareError, match=f"hardware isca18: {message}: compile it again for this hardware"):
        CostModel(program, machine.varied({name: 1000}))


def test_a_program_without_layers_costs_nothing(program: Program, machine: Hardware) -> None:
    loops = Loop(over=Over.SEQUENCES, length=2), Loop(over=Over.FRAMES, length=1)
    code = replace(program.reuse, instructions=(*loops, Sync(), Halt()), hosts=(), sites=())
    empty = replace(program, reuse=code, baseline=code, layers=())
    total = cost_trace(empty, [np.zeros((3, 0), np.int64)], 1, machine)
    assert total.reuse.total_cycles == total.baseline.total_cycles == 0
    assert total.reuse.total_energy_pj == 0
    check_accounts(empty, total, machine)


def test_the_program_is_what_these_sums_assume(program: Program) -> None:
    [delta] = [i for i in program.reuse.sections.frame if isinstance(i, DeltaFc)]
    [host] = [i for i in program.reuse.sections.frame if isinstance(i, Host)]
    assert (delta.inputs, delta.outputs, host.operations, host.read_bytes, host.write_bytes) == (4, 3, 9, 12, 12)
