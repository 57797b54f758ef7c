"""Roofs and traffic."""

from __future__ import annotations

import numpy as np
import pytest

from reuse_compiler.backend.accelerator.cost import CostModel
from reuse_compiler.backend.accelerator.hardware import builtin_names, load_hardware
from reuse_compiler.backend.accelerator.isa import Event
from reuse_compiler.costing import _hardware
from reuse_compiler.directory import CompiledDirectory
from reuse_compiler.errors import HardwareError
from reuse_compiler.report import Report
from reuse_compiler.report_page.roofline import report_hardware, roofline
from reuse_compiler.simulation import Simulator
from reuse_compiler.streams import Stream


@pytest.fixture
def report(compiled: CompiledDirectory) -> Report:
    assert compiled.report is not None
    return compiled.report


@pytest.mark.parametrize("name", builtin_names())
def test_the_hardware_of_a_report_is_that_which_it_was_costed_on(name: str) -> None:
    hardware = load_hardware(name)
    assert report_hardware(_hardware(hardware)) == hardware


def test_a_report_that_lacks_a_constant_is_refused(report: Report) -> None:
    reference = report.hardware.model_copy(update={"constants": report.hardware.constants[1:]})
    with pytest.raises(HardwareError, match="lacks a constant of this version: run it again"):
        report_hardware(reference)


def test_roofs_are_those_of_the_hardware(report: Report, compiled: CompiledDirectory) -> None:
    found = roofline(report, compiled.program, load_hardware("isca18"))
    assert found.macs_per_second == 64e9  # 128 lanes at 500 MHz, isca18.toml
    assert found.dram_bytes_per_second == pytest.approx(25.6e9)  # LPDDR4, isca18.toml
    assert found.edram_bytes_per_second == 128 * 4 * 500e6


def test_bytes_are_those_that_the_cost_model_counts(
    report: Report, compiled: CompiledDirectory, stream: Stream
) -> None:
    """The trace of the same stream, whose events the report does not keep."""
    hardware = load_hardware("isca18")
    costs = CostModel(compiled.program, hardware)
    simulator = Simulator(compiled.program, compiled.original(), {}, threads=1)
    costs.add(np.stack([simulator.run(frame).row.copy() for frame in stream]))
    counted = costs.costs()
    for number, layer in enumerate(roofline(report, compiled.program, hardware).layers):
        for position, machine in enumerate((counted.baseline, counted.reuse)):
            events = machine.events[number]
            edram = events.get(Event.EDRAM_READ, 0) + events.get(Event.EDRAM_WRITE, 0)
            dram = events.get(Event.DRAM_READ, 0) + events.get(Event.DRAM_WRITE, 0)
            assert layer.edram[position] * counted.frames == pytest.approx(edram)
            assert layer.dram[position] * counted.frames == pytest.approx(dram)


def test_the_report_of_another_program_is_refused(report: Report, compiled: CompiledDirectory) -> None:
    other = report.model_copy(update={"layers": report.layers[1:]})
    with pytest.raises(HardwareError, match="of another program"):
        roofline(other, compiled.program, load_hardware("isca18"))
