"""The search on a small network: it finds reuse, keeps the bound on both parts, and gives up where nothing keeps it."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from reuse_compiler import frontend
from reuse_compiler.macs import model_macs
from reuse_compiler.model_profile import Profile
from reuse_compiler.profiling import profile
from reuse_compiler.reference import Reference
from reuse_compiler.search.allocation import allocate, measure_sensitivity
from reuse_compiler.search.candidate import Candidate
from reuse_compiler.search.evaluator import Evaluator
from reuse_compiler.search.refinement import refine, scale_to_bound
from reuse_compiler.search.search import search
from reuse_compiler.sites import find_sites
from reuse_compiler.streams import Frame, open_stream
from reuse_compiler.trial import Trial

Arrays = Mapping[str, NDArray[Any]]

NETWORK = """
<ir_version: 8, opset_import: ["": 18]>
net (float[1, 2, 8, 8] x) => (float[1, 3] y) {
    a = Conv <pads = [1, 1, 1, 1]> (x, W1)
    b = Relu (a)
    c = Conv <pads = [1, 1, 1, 1]> (b, W2)
    d = Relu (c)
    e = Flatten (d)
    y = MatMul (e, W3)
}"""
SHAPES = {"W1": (4, 2, 3, 3), "W2": (4, 4, 3, 3), "W3": (256, 3)}
FRAMES = 48


def relative(references: Sequence[Arrays], outputs: Sequence[Arrays]) -> float:
    """Relative RMSE as a share of 0.05."""
    exact = np.stack([frame["y"] for frame in references]).astype(np.float64)
    error = np.stack([frame["y"] for frame in outputs]) - exact
    return math.sqrt(float(np.mean(error**2)) / float(exact.var())) / 0.05


@pytest.fixture(scope="module")
def parts() -> tuple[Evaluator, Evaluator, Profile]:
    """A picture that drifts and flickers, cut in two."""
    generator = np.random.default_rng(0)
    proto = onnx.parser.parse_model(NETWORK)
    for name, shape in SHAPES.items():
        array = generator.standard_normal(shape).astype(np.float32) / 4
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(proto, path)
        model = frontend.load(path)
    drift = np.cumsum(generator.standard_normal((FRAMES, 1, 2, 8, 8)) * 0.05, axis=0)
    x = (drift + generator.standard_normal((1, 2, 8, 8)) + generator.standard_normal(drift.shape) * 0.004).astype("f4")
    half = FRAMES // 2
    seen = profile(model, open_stream([{"x": frame} for frame in x[:half]], model.inputs), threads=1)
    ranges = {name: tensor.value_range for name, tensor in seen.tensors.items()}

    def part(pictures: NDArray[np.float32]) -> Evaluator:
        frames = [Frame({"x": picture}, number == 0) for number, picture in enumerate(pictures)]
        reference = Reference(model, {}, threads=1)
        outputs = [reference.run(frame) for frame in frames]
        macs = model_macs(model, find_sites(model))
        return Evaluator(Trial(model), frames, outputs, ranges, {}, macs, relative, jobs=2)

    return part(x[:half]), part(x[half:]), seen


def test_what_is_found_keeps_the_bound_on_both_parts(parts: tuple[Evaluator, Evaluator, Profile]) -> None:
    calibration, verification, seen = parts
    told: list[tuple[str, int, int | None]] = []
    found = search(calibration, verification, seen, rounds=1, progress=lambda *step: told.append(step))
    assert found is not None
    assert found.calibration.loss <= 1 and found.verification.loss <= 1
    assert found.calibration.reuse > 0.2
    assert found.verification == verification.evaluate(found.verification.candidate)
    assert [step[1] for step in told] == list(range(1, len(told) + 1))


def test_it_gives_up_where_nothing_keeps_the_bound(parts: tuple[Evaluator, Evaluator, Profile]) -> None:
    calibration, verification, seen = parts
    hopeless = replace(verification, loss=lambda references, outputs: 2.0)
    assert search(calibration, hopeless, seen, rounds=0) is None
    assert search(replace(calibration, loss=hopeless.loss), verification, seen, rounds=0) is None


def test_a_dearer_loss_buys_narrower_widths(parts: tuple[Evaluator, Evaluator, Profile]) -> None:
    calibration, _, seen = parts
    peaks = {tensor: max(-low, high) for tensor, (low, high) in calibration.ranges.items()}
    sensitivity = measure_sensitivity(calibration.part(12), seen, peaks, 1.6)
    assert (np.diff(sensitivity.savings, axis=1) >= -1e-9).all()
    cheap, dear = allocate(sensitivity, 0.001), allocate(sensitivity, 1.0)
    assert all(dear.widths[tensor] <= cheap.widths[tensor] for tensor in peaks)
    assert dear != cheap


def test_refinement_loses_no_reuse(parts: tuple[Evaluator, Evaluator, Profile]) -> None:
    calibration, _, _ = parts
    uniform = Candidate({tensor: 0.05 * high for tensor, (_, high) in calibration.ranges.items()}, 1.6)
    start = scale_to_bound(calibration, uniform)
    assert start is not None and start.loss <= 1
    refined = refine(calibration, start, 2)
    assert refined.reuse > start.reuse and refined.loss <= 1


def test_dense_candidates_lose_and_reuse_nothing(parts: tuple[Evaluator, Evaluator, Profile]) -> None:
    outcome = parts[0].evaluate(Candidate({}, 2.0))
    assert (outcome.reuse, outcome.loss) == (0.0, 0.0)
