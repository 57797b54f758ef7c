"""Rooflines by hand, and what a CPU's counters say."""

from __future__ import annotations

from pathlib import Path

import pytest

from reuse_compiler.bench.stock import StockModel
from reuse_compiler.reproduce import processors
from reuse_compiler.reproduce.documents import LayerShape
from reuse_compiler.reproduce.network import Prepared
from reuse_compiler.reproduce.processors import Processor, estimate, measure_cpu

SIMPLE = Processor("simple", flops=1e9, bandwidth=1e9, power=10.0, matrix_vector=0.5, launch_seconds=1e-3, source="")


def layer(op: str, steps: int, parameters: int, macs: int) -> LayerShape:
    return LayerShape(name="l", op=op, input=(steps, 100), output=(steps, 50), parameters=parameters, macs=macs)


def test_a_layer_takes_the_longer_of_arithmetic_and_memory() -> None:
    heavy = estimate(SIMPLE, [layer("Gemm", 1, 5_000, 10_000_000)])
    assert heavy.frame_seconds == pytest.approx(2 * 10_000_000 / 1e9 + 1e-3)
    light = estimate(SIMPLE, [layer("Gemm", 1, 5_000, 5_000)])
    assert light.frame_seconds == pytest.approx(4 * (5_000 + 100 + 50) / 0.5e9 + 1e-3)
    assert light.frame_joules == pytest.approx(10 * light.frame_seconds)


def test_every_step_of_a_recurrent_layer_is_launched() -> None:
    one, many = (estimate(SIMPLE, [layer(op, 30, 5_000, 1_000)]).frame_seconds for op in ("Gemm", "LSTM"))
    assert many - one == pytest.approx(29e-3)


def test_layers_without_work_cost_nothing() -> None:
    assert estimate(SIMPLE, [layer("Relu", 1, 0, 0)]).frame_seconds == 0


def test_the_machine_is_measured(ready: Prepared, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    frames = list(ready.opened(ready.evaluation, 3))
    stock = StockModel(ready.model, {}, 1)
    monkeypatch.setattr(processors, "_RAPL", tmp_path)
    without = measure_cpu(stock, frames, 1)
    assert without.frame_seconds > 0 and without.frame_joules is None and "cores" in without.machine
    counter = tmp_path / "intel-rapl:0"
    counter.mkdir()
    (counter / "energy_uj").write_text("5000000")
    assert measure_cpu(stock, frames, 1).frame_joules == 0  # a counter that stands
