"""What the terms of :mod:`reuse_compiler.cpu_costs` are on this machine, measured in a few seconds and kept in a file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from reuse_compiler.backend.cpu import instruction_set, library
from reuse_compiler.cpu_costs import CpuCosts, LayerWork, reuse_ns, site_work
from reuse_compiler.errors import ReuseError
from reuse_compiler.files import write_text
from reuse_compiler.frontend import Model, load
from reuse_compiler.machine_costs import Calibration, calibration_path, machine_name
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan
from reuse_compiler.quantizers import LinearQuantizer
from reuse_compiler.session import Session
from reuse_compiler.sites import Site, find_sites

__all__ = ["calibrate"]

_LAYERS = {
    "conv": ("float[1, 64, 28, 28] x", "Conv <pads = [1, 1, 1, 1]> (x, W)", (64, 64, 3, 3)),
    "conv 1x1": ("float[1, 128, 15, 20] x", "Conv (x, W)", (128, 128, 1, 1)),
    "depthwise": ("float[1, 64, 30, 40] x", "Conv <pads = [1, 1, 1, 1], group = 64> (x, W)", (64, 1, 3, 3)),
    "fc": ("float[1, 1024] x", "MatMul (x, W)", (1024, 1024)),
}
_CHANGED = 0.2
_FRAMES = 60
_STEP = 0.02
_TRIES = 3
_CALL_NS = 6000
"""What a call of onnxruntime from Python takes, whatever the model."""


@dataclass(frozen=True)
class _Measured:
    """A layer, and nanoseconds of a frame: in onnxruntime, with reuse where nothing changes, and where some inputs do."""

    work: LayerWork
    stock: float
    still: float
    changing: float


def calibrate() -> Calibration:
    """Measure on one core, and write the file.

    Raises ReuseError where there is no kernel library, or the file cannot be written.
    """
    path = library()
    if path is None:
        raise ReuseError("calibrate: this build has no kernel library: install it where a C++ compiler is found")
    measured = {name: _measure(*layer) for name, layer in _LAYERS.items()}
    found = Calibration(machine=machine_name(), instruction_set=instruction_set(path), costs=_fitted(measured))
    target = calibration_path()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReuseError(
            f"{target.parent}: cannot be made: {error.strerror}: set XDG_CACHE_HOME to a folder that can"
        ) from error
    write_text(target, found.model_dump_json(indent=2) + "\n")
    return found


def _fitted(measured: dict[str, _Measured]) -> CpuCosts:
    """The terms that come with the package, by the ratios that this machine shows: of what every frame costs and of what
    changes cost, each the median over the layers."""
    given = CpuCosts()
    stock = {name: (one.stock - given.stock_call) / one.work.macs for name, one in measured.items()}
    reusing = [one for name, one in measured.items() if name != "depthwise"]
    still = float(np.median([one.still / reuse_ns(one.work, 0.0, given) for one in reusing]))
    changes = [
        (one.changing - one.still) / (reuse_ns(one.work, _CHANGED, given) - reuse_ns(one.work, 0.0, given))
        for one in reusing
    ]
    changing = max(float(np.median(changes)), 0.1)
    return given.model_copy(
        update={
            **{name: getattr(given, name) * still for name in ("quantize", "move", "move_far", "write")},
            **{
                name: getattr(given, name) * changing
                for name in ("pixel", "segment", "list", "product", "vector", "spread", "dense_vector", "row")
            },
            "stock_conv": (stock["conv"] + stock["conv 1x1"]) / 2,
            "stock_gemm": (stock["conv"] + stock["conv 1x1"]) / 2,
            "stock_depthwise": stock["depthwise"],
            "stock_fc": stock["fc"],
        }
    )


def _measure(x: str, operator: str, shape: tuple[int, ...]) -> _Measured:
    generator = np.random.default_rng(0)
    text = f'<ir_version: 8, opset_import: ["": 18]> layer ({x}) => (float y) {{ y = {operator} }}'
    proto = onnx.parser.parse_model(text.replace("float y", f"float[{_output(x, operator, shape)}] y"))
    weight = generator.standard_normal(shape).astype(np.float32)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(weight, "W"))
    with tempfile.TemporaryDirectory(prefix="reusec-") as folder:
        path = Path(folder) / "layer.onnx"
        onnx.save(proto, path)
        model = load(path)
    [site] = find_sites(model)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    stock = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    session = Session(rewrite(model, _plan(model, site)), threads=1, executor="native")
    still = generator.standard_normal(site.shape).astype(np.float32)
    moving = list(_walk(still, generator))
    return _Measured(
        work=site_work(site),
        stock=_median(lambda frame: stock.run(None, {"x": frame}), moving) - _CALL_NS,
        still=_kernel_time(session, [still] * _FRAMES),
        changing=_kernel_time(session, moving),
    )


def _kernel_time(session: Session, frames: list[NDArray[np.float32]]) -> float:
    """Nanoseconds of the kernel alone: the mean of some frames, the least of a few tries."""
    means = []
    for _ in range(_TRIES):
        before = _spent(session)
        for frame in frames:
            session.run({"x": frame})
        means.append((_spent(session) - before) / len(frames))
    return min(means)


def _spent(session: Session) -> float:
    """Nanoseconds of the kernel so far."""
    [layer] = session.layer_runs()
    assert layer.reuse_ms is not None
    return layer.reuse_ms * 1e6 * session.statistics.frames


def _output(x: str, operator: str, shape: tuple[int, ...]) -> str:
    sizes = x[x.index("[") + 1 : x.index("]")].split(",")
    sizes[1 if operator.startswith("Conv") else -1] = str(shape[0 if operator.startswith("Conv") else 1])
    return ",".join(sizes)


def _plan(model: Model, site: Site) -> Plan:
    quantizer = QuantizerSpec.of(LinearQuantizer(_STEP, 128, 256, _STEP))
    planned = SitePlan(node=site.node, input=site.input, op=site.op, mode="reuse", quantizer=quantizer)
    return Plan(model=ModelRef(path="layer.onnx", sha256=model.sha256), sites=[planned])


def _walk(x: NDArray[np.float32], generator: np.random.Generator) -> Iterator[NDArray[np.float32]]:
    """Frames in each of which some elements are drawn anew."""
    for _ in range(_FRAMES):
        chosen = generator.random(x.shape) < _CHANGED
        x = np.where(chosen, generator.standard_normal(x.shape), x).astype(np.float32)
        yield x


def _median(run: Any, frames: list[NDArray[np.float32]]) -> float:
    taken = []
    for frame in frames:
        began = perf_counter_ns()
        run(frame)
        taken.append(perf_counter_ns() - began)
    return float(np.median(taken[len(taken) // 4 :]))
