"""What is in a program."""

from __future__ import annotations

import pytest

from reuse_compiler.backend.accelerator.hardware import load_hardware
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.backend.accelerator.program import Program
from reuse_compiler.frontend import Model
from reuse_compiler.inspecting import summarize
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import Plan


@pytest.fixture(scope="module")
def program(model: Model, plan: Plan) -> Program:
    """The program of the network."""
    return lower(rewrite(model, plan), load_hardware("isca18").tiling, model.sha256)


def test_instructions_are_counted_for_both_machines(program: Program) -> None:
    counts = {count.mnemonic: count for count in summarize(program).instructions}
    assert sum(count.reuse for count in counts.values()) == len(program.reuse.instructions)
    assert sum(count.baseline for count in counts.values()) == len(program.baseline.instructions)
    assert (counts["delta.conv"].reuse, counts["delta.conv"].baseline) == (2, 0)
    assert (counts["dense.conv"].reuse, counts["dense.conv"].baseline) == (0, 2)
    assert counts["delta.conv"].unit == "compute"


def test_memories_hold_what_is_put_into_them(program: Program) -> None:
    summary = summarize(program)
    memories = {use.memory: use for use in summary.memories}
    weights = 4 * (3 * 2 + 3 + 3 * 2 * 9 + 3 + 48 * 5 + 5)
    assert weights <= memories["eDRAM"].baseline <= memories["eDRAM"].reuse <= 37_748_736
    for use in (memories["eDRAM"], memories["I/O buffer"]):
        assert use.size_reuse is not None and 0 < use.reuse <= use.size_reuse
        assert use.size_baseline is not None and 0 < use.baseline <= use.size_baseline
    assert memories["DRAM"].reuse == program.reuse.dram_bytes >= summary.constants


def test_state_of_a_shared_tensor_counts_once(program: Program) -> None:
    state = {use.memory: use for use in summarize(program).state}
    indices, linear = 2 * 4 * 4 * 2 + 48, 2 * 3 * 4 * 4 * 4 + 5 * 4
    assert (state["I/O buffer"].indices, state["I/O buffer"].linear) == (indices, linear)
    assert (state["DRAM"].indices, state["DRAM"].linear) == (0, 0)
