"""Trained models in stock onnxruntime: each layer's time is found, whatever it was fused into, and what runs is the model."""

from __future__ import annotations

from itertools import islice
from types import ModuleType

import numpy as np
import pytest

from reuse_compiler.bench.layers import by_layer
from reuse_compiler.bench.stock import StockModel, StockStream
from reuse_compiler.frontend import load
from reuse_compiler.reference import Reference
from reuse_compiler.sites import find_sites
from reuse_compiler.streams import open_stream

FRAMES = 4


@pytest.mark.parametrize("pair", ["pilotnet@highway", "ultraface@asl_bird", "kws@speech_40ms", "silero_vad@speech"])
def test_stock_onnxruntime_computes_the_model_and_shows_every_layer(real: ModuleType, pair: str) -> None:
    chosen = real.PAIRS[pair]
    model, state = load(chosen.model), dict(chosen.state)
    stream = open_stream(lambda: islice(chosen.feeds(), FRAMES), model.inputs, state=state)
    stock = StockModel(model, state, 1)
    running, reference = StockStream(stock), Reference(model, state, 1)
    for frame in stream:
        outputs = running.run(frame)
        for name, exact in reference.run(frame).items():
            assert np.abs(outputs[name] - exact).max() <= 1e-4 * max(np.abs(exact).max(), 1e-3)
    times = stock.kernel_times(stream)
    layers = {site.of for site in find_sites(model)}
    found, others = by_layer(stock.graph, layers, times, FRAMES)
    assert found.keys() == layers
    whole = sum(time.median * len(time.microseconds) for time in times.values()) / FRAMES / 1e3
    assert sum(found.values()) + others == pytest.approx(whole)
