"""A small network and a recording in two parts, ready to be searched."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from reuse_compiler import frontend
from reuse_compiler.frontend import Model
from reuse_compiler.model_profile import Profile
from reuse_compiler.objectives import macs_worth
from reuse_compiler.profiling import profile
from reuse_compiler.reference import Reference
from reuse_compiler.search.candidate import Candidate, Window
from reuse_compiler.search.channels import channel_shapes
from reuse_compiler.search.evaluator import Evaluator, Loss
from reuse_compiler.search.journal import Journal
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


class _Forgetful(Journal):
    """Knows nothing, so that a test may judge by another loss."""

    def known(self, key: str) -> None:
        return None


@dataclass(frozen=True)
class Parts:
    """What a search is given."""

    model: Model
    calibration: Evaluator
    verification: Evaluator
    both: Evaluator
    profile: Profile
    shapes: Mapping[str, tuple[float, ...]]

    @property
    def uniform(self) -> Candidate:
        """Every tensor quantized by a twentieth of its largest value, with hysteresis."""
        return Candidate(
            {tensor: Window(0.05 * high, 1.4, 0.0) for tensor, (_, high) in self.calibration.ranges.items()}
        )


def read_model(text: str, weights: Mapping[str, NDArray[np.float32]]) -> Model:
    """A model from its text and its initializers."""
    proto = onnx.parser.parse_model(text)
    for name, array in weights.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(proto, path)
        return frontend.load(path)


def relative(limit: float) -> Loss:
    """Relative RMSE of y, and as a share of `limit`."""

    def loss(references: Sequence[Arrays], outputs: Sequence[Arrays]) -> tuple[float, float]:
        exact = np.stack([frame["y"] for frame in references]).astype(np.float64)
        error = np.stack([frame["y"] for frame in outputs]) - exact
        found = math.sqrt(float(np.mean(error**2)) / float(exact.var()))
        return found / limit, found

    return loss


def hopeless(references: Sequence[Arrays], outputs: Sequence[Arrays]) -> tuple[float, float]:
    """A loss that nothing keeps."""
    return 2.0, 0.1


def small_parts() -> Parts:
    """A picture that drifts and flickers, cut in two."""
    generator = np.random.default_rng(0)
    weights = {name: (generator.standard_normal(shape) / 4).astype(np.float32) for name, shape in SHAPES.items()}
    model = read_model(NETWORK, weights)
    drift = np.cumsum(generator.standard_normal((FRAMES, 1, 2, 8, 8)) * 0.05, axis=0)
    x = (drift + generator.standard_normal((1, 2, 8, 8)) + generator.standard_normal(drift.shape) * 0.004).astype("f4")
    half = FRAMES // 2
    seen = profile(model, open_stream([{"x": frame} for frame in x[:half]], model.inputs), threads=1)
    ranges = {name: tensor.value_range for name, tensor in seen.tensors.items()}
    trial = Trial(model)

    def part(pictures: NDArray[np.float32]) -> Evaluator:
        frames = [Frame({"x": picture}, number == 0) for number, picture in enumerate(pictures)]
        reference = Reference(model, {}, threads=1)
        outputs = [reference.run(frame) for frame in frames]
        worth = macs_worth(model, find_sites(model), trial.slots)
        return Evaluator(trial, frames, outputs, ranges, {}, worth, relative(0.05), 2, _Forgetful())

    calibration, verification = part(x[:half]), part(x[half:])
    both = replace(
        calibration,
        frames=[*calibration.frames, *verification.frames],
        references=[*calibration.references, *verification.references],
    )
    shapes = channel_shapes(model, trial, calibration.frames, ranges, {})
    return Parts(model, calibration, verification, both, seen, shapes)
