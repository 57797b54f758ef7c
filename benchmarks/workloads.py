"""What the benchmarks run: a model, a stream, and clusters as the literature uses for such a network."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnx.backend.test

from reuse_compiler.frontend import Model, load
from reuse_compiler.models import autopilot
from reuse_compiler.models.seeded_weights import with_seeded_weights
from reuse_compiler.streams import Stream, open_stream

__all__ = [
    "Workload",
    "autopilot_workload",
    "c3d_workload",
    "eesen_workload",
    "light_workload",
    "recorded_pairs",
    "recorded_workload",
]


@dataclass(frozen=True)
class Workload:
    """One model on one stream."""

    name: str
    model: Model
    stream: Stream
    clusters: int
    state: Mapping[str, str]


def autopilot_workload(frames: int) -> Workload:
    """AutoPilot on its rendered stream."""
    model = load(autopilot.path())
    stream = open_stream(autopilot.stream, model.inputs, frames=f"0:{frames}")
    return Workload("AutoPilot, rendered drive", model, stream, 32, {})


def recorded_pairs(kit: Path) -> list[str]:
    """The names of the pairs of the recordings kit in `kit`, a folder with a module `sequences`."""
    return list(_sequences(kit).PAIRS)


def _sequences(kit: Path) -> Any:
    spec = importlib.util.spec_from_file_location("sequences", kit / "sequences.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    sys.modules["sequences"] = module
    spec.loader.exec_module(module)
    return module


def recorded_workload(kit: Path, pair: str, frames: slice | None = None) -> Workload:
    """A pair of the recordings kit in `kit`; `frames`, with a start and a stop, cuts its stream."""
    chosen = _sequences(kit).PAIRS[pair]
    model = load(chosen.model)
    cut = None if frames is None else f"{frames.start}:{frames.stop}"
    stream = open_stream(chosen.feeds, model.inputs, frames=cut, state=dict(chosen.state))
    return Workload(pair, model, stream, chosen.clusters, dict(chosen.state))


def light_workload(name: str, frames: int) -> Workload:
    """A light model of the onnx wheel with seeded weights, on noise that changes a little from frame to frame."""
    source = Path(onnx.backend.test.__file__).parent / "data" / "light" / f"light_{name}.onnx"
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.onnx"
        onnx.save(with_seeded_weights(onnx.load(source)), path)
        model = load(path)
    spec = model.inputs[0]

    def noise() -> Iterator[dict[str, np.ndarray[Any, Any]]]:
        generator = np.random.default_rng(0)
        scene = generator.standard_normal(spec.shape).astype(np.float32)
        for _ in range(frames):
            scene = scene + np.float32(0.05) * generator.standard_normal(spec.shape).astype(np.float32)
            yield {spec.name: scene}

    return Workload(name, model, open_stream(noise, model.inputs), 32, {})


def c3d_workload(frames: int) -> Workload:
    """The second CONV of C3D (Tran et al., ICCV 2015) on its own, 64 to 128 channels of 16 x 56 x 56, seeded weights.

    From frame to frame the values of a box change, at another place each time, and about 64 % of the indices stay.
    """
    shape = (1, 64, 16, 56, 56)
    generator = np.random.default_rng(0)
    weight = generator.standard_normal((128, 64, 3, 3, 3)).astype(np.float32) / np.float32(42)
    text = """<ir_version: 8, opset_import: ["": 18]> conv2a (float[1,64,16,56,56] x) => (float[1,128,16,56,56] y)
        { z = Conv <pads = [1, 1, 1, 1, 1, 1]> (x, W) y = Relu (z) }"""
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(weight, "W"))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "conv2a.onnx"
        onnx.save(proto, path)
        model = load(path)

    def moving() -> Iterator[dict[str, np.ndarray[Any, Any]]]:
        drawn = np.random.default_rng(1)
        scene = drawn.standard_normal(shape).astype(np.float32)
        yield {"x": scene}
        for _ in range(frames - 1):
            depth, top, left = (int(drawn.integers(0, room)) for room in (3, 13, 13))
            box = (slice(None), slice(None), slice(depth, depth + 14), slice(top, top + 38), slice(left, left + 37))
            scene = scene.copy()
            scene[box] = drawn.standard_normal(scene[box].shape)
            yield {"x": scene}

    return Workload("C3D conv2a", model, open_stream(moving, model.inputs), 32, {})


def eesen_workload(frames: int, steps: int = 100) -> Workload:
    """A layer of EESEN (Miao et al., ASRU 2015) on its own: a bidirectional LSTM of 640 inputs and 320 cells each way, seeded
    weights. A frame is an utterance, whose features walk slowly."""
    inputs, hidden = 640, 320
    generator = np.random.default_rng(0)
    text = f"""<ir_version: 8, opset_import: ["": 18]> eesen (float[{steps},1,{inputs}] x) => (float[{steps},2,1,{hidden}] y)
        {{ y = LSTM <hidden_size = {hidden}, direction = "bidirectional"> (x, W, R, B) }}"""
    proto = onnx.parser.parse_model(text)
    for name, shape in {"W": (4 * hidden, inputs), "R": (4 * hidden, hidden), "B": (8 * hidden,)}.items():
        values = generator.standard_normal((2, *shape)).astype(np.float32) / np.float32(np.sqrt(inputs + hidden))
        proto.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "eesen.onnx"
        onnx.save(proto, path)
        model = load(path)

    def utterances() -> Iterator[dict[str, np.ndarray[Any, Any]]]:
        drawn = np.random.default_rng(1)
        for _ in range(frames):
            walk = np.cumsum(drawn.standard_normal((steps, 1, inputs)) * 0.1, axis=0)
            yield {"x": walk.astype(np.float32)}

    return Workload("EESEN layer", model, open_stream(utterances, model.inputs), 32, {})
