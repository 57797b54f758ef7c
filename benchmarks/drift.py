"""How far linear outputs drift that native kernels correct frame by frame, with and without a refresh.

``python -m benchmarks.drift`` writes docs/drift.md; ``--frames N`` measures fewer frames and prints the table alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import typer
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from reuse_compiler.backend.cpu import library
from reuse_compiler.frontend import Model, load
from reuse_compiler.operators import initial_index, initial_linear, reuse_nodes
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan
from reuse_compiler.quantizers import LinearQuantizer, Quantizer
from reuse_compiler.refresh import RefreshPlan
from reuse_compiler.session import Session
from reuse_compiler.sites import find_sites
from reuse_compiler.state_layout import channels_first

Arrays = Mapping[str, NDArray[Any]]

PAGE = Path(__file__).resolve().parent.parent / "docs" / "drift.md"
FRAMES = 100_000
_ROWS = (1, 100, 1_000, 10_000, 30_000, 100_000)
_CHECK = 250
"""Frames from one look at the linear outputs to the next."""
_EVERY = 300
_SHARE = 0.2
_REACH = {"c1": 2.0, "c2": 8.0, "f1": 8.0, "f2": 8.0}
_CLUSTERS = 201
_NETWORK = """
<ir_version: 8, opset_import: ["": 18]>
net (float[1, 3, 16, 16] x) => (float[1, 10] f2) {
    c1 = Conv <pads = [1, 1, 1, 1]> (x, W1)
    r1 = Relu (c1)
    c2 = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (r1, W2)
    r2 = Relu (c2)
    f = Flatten (r2)
    f1 = Gemm (f, W3)
    r3 = Relu (f1)
    f2 = Gemm (r3, W4)
}"""
_SHAPES = {"W1": (16, 3, 3, 3), "W2": (16, 16, 3, 3), "W3": (1024, 64), "W4": (64, 10)}
_TEXT = """# Drift of linear outputs

<!-- Written by `python -m benchmarks.drift`. -->

A linear output is corrected by every frame, and each correction rounds to float32. Two CONV and two FC with random weights, native
kernels, {share:.0%} of the inputs new in every frame. *Deviation* is the largest of all linear outputs, up to that frame, from
`sum c(k) W` of the held indices in float64, as a share of the largest magnitude in the frame; looked at once in {check} frames. The
contract of the executors allows 1e-4.

{table}

*never* keeps correcting. *session* is what a `Session` does by itself: it refreshes all sites where its estimate, in the last column for an
even stream, reaches half of what is allowed beside the magnitudes of the latest frame, some of which are small; it did so in {own} of {frames:,} frames. *every {every}* is a plan with `"refresh": {{"every": {every}}}`, a
site in each of four frames of {every}.
"""


@dataclass(frozen=True)
class _Way:
    """A way to run the stream: a frame in, and what is held after it, in the layout of the original network."""

    run: Callable[[NDArray[np.float32]], object]
    held: Callable[[], tuple[Arrays, Arrays]]


def _model(folder: Path) -> Model:
    generator = np.random.default_rng(5)
    proto = onnx.parser.parse_model(_NETWORK)
    for name, shape in _SHAPES.items():
        inputs = np.prod(shape[1:]) if len(shape) == 4 else shape[0]
        weight = (generator.standard_normal(shape) * np.sqrt(2 / inputs)).astype(np.float32)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
    onnx.save(proto, folder / "model.onnx")
    return load(folder / "model.onnx")


def _plan(model: Model, refresh: RefreshPlan | None = None) -> Plan:
    sites = []
    for site in find_sites(model):
        quantizer = LinearQuantizer(2 * _REACH[site.node] / (_CLUSTERS - 1), _CLUSTERS // 2, _CLUSTERS)
        spec = QuantizerSpec.of(quantizer)
        sites.append(SitePlan(node=site.node, input=site.input, op=site.op, mode="reuse", quantizer=spec))
    return Plan(model=ModelRef(path="model.onnx", sha256=model.sha256), sites=sites, refresh=refresh)


def _stream(frames: int) -> Iterator[NDArray[np.float32]]:
    generator = np.random.default_rng(0)
    x = np.zeros((1, 3, 16, 16), np.float32)
    for _ in range(frames):
        fresh = generator.uniform(-2, 2, x.shape).astype(np.float32)
        x = np.where(generator.random(x.shape) < _SHARE, fresh, x)
        yield x


def _never(reuse: ir.Model, kernels: Path) -> _Way:
    """The kernels alone in onnxruntime, past and present state in one buffer."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.register_custom_ops_library(str(kernels))
    proto = ir.to_proto(reuse)
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    state: dict[str, NDArray[Any]] = {}
    for node in reuse_nodes(reuse):
        state[f"index_{node.name}"] = np.array(initial_index(node))
        state[f"linear_{node.name}"] = np.array(initial_linear(node))
    values = {name: ort.OrtValue.ortvalue_from_numpy(array) for name, array in state.items()}
    binding = session.io_binding()
    for name, value in values.items():
        binding.bind_ortvalue_input(f"past_{name}", value)
        binding.bind_ortvalue_output(f"present_{name}", value)
    binding.bind_output("f2")

    def run(x: NDArray[np.float32]) -> None:
        binding.bind_cpu_input("x", x)
        session.run_with_iobinding(binding)

    def held() -> tuple[Arrays, Arrays]:
        shown = {name: _first(value.numpy()) for name, value in values.items()}
        return tuple({site: shown[f"{what}_{site}"] for site in _REACH} for what in ("index", "linear"))  # type: ignore[return-value]

    return _Way(run, held)


def _first(state: NDArray[Any]) -> NDArray[Any]:
    return channels_first(state) if state.ndim == 4 else state


def _of(session: Session) -> _Way:
    return _Way(lambda x: session.run({"x": x}), lambda: (session.indices, session.linear))


def _deviation(model: Model, quantizers: Mapping[str, Quantizer], way: _Way) -> float:
    """The largest of all sites, as a share of the largest magnitude of the site."""
    indices, linear = way.held()
    shares = []
    for node in model.ir.graph:
        name = str(node.outputs[0].name)
        if name not in quantizers:
            continue
        weight = node.inputs[1]
        assert weight is not None
        assert weight.const_value is not None
        x = quantizers[name].dequantize(indices[name]).astype(np.float64)
        exact = _exact(x, weight.const_value.numpy().astype(np.float64), 2 if name == "c2" else 1)
        shares.append(float(np.abs(linear[name] - exact).max() / np.abs(exact).max()))
    return max(shares)


def _exact(x: NDArray[np.float64], weight: NDArray[np.float64], stride: int) -> NDArray[np.float64]:
    if weight.ndim == 2:
        return x @ weight
    padded = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)])
    windows = sliding_window_view(padded, (3, 3), (2, 3))[:, :, ::stride, ::stride]
    return np.asarray(np.einsum("nchwij,ocij->nohw", windows, weight))


def main(
    frames: Annotated[int, typer.Option(help="Frames of the stream; the page is written for all of them.")] = FRAMES,
) -> None:
    """Measure, and print the table or write the page."""
    kernels = library()
    if kernels is None:
        raise typer.BadParameter("the kernel library is not built: install it where a C++ compiler is found")
    with tempfile.TemporaryDirectory() as folder:
        model = _model(Path(folder))
        plan = _plan(model)
        reuse = rewrite(model, plan)
        own = Session(reuse, threads=1, executor="native")
        rolling = Session(rewrite(model, _plan(model, RefreshPlan(every=_EVERY))), threads=1, executor="native")
        ways = {"never": _never(reuse, kernels), "session": _of(own), f"every {_EVERY}": _of(rolling)}
        quantizers = {site.node: site.quantizer.build() for site in plan.sites if site.quantizer is not None}
        table = _table(ways, frames, lambda way: _deviation(model, quantizers, way))
    print(table)
    if frames == FRAMES:
        refreshes = own.statistics.drift_refreshes
        text = _TEXT.format(table=table, share=_SHARE, check=_CHECK, own=refreshes, frames=frames, every=_EVERY)
        PAGE.write_text(text)


def _table(ways: Mapping[str, _Way], frames: int, deviation: Callable[[_Way], float]) -> str:
    rows = ["| frames | " + " | ".join(ways) + " | estimate |", "|---:|" + "---:|" * (len(ways) + 1)]
    largest = dict.fromkeys(ways, 0.0)
    for number, x in enumerate(_stream(frames), 1):
        for name, way in ways.items():
            way.run(x)
            if number in _ROWS or number % _CHECK == 0:
                largest[name] = max(largest[name], deviation(way))
        if number in _ROWS:
            cells = [f"{largest[name]:.1e}" for name in ways]
            rows.append(f"| {number:,} | " + " | ".join(cells) + f" | {8 * 2.0**-24 * np.sqrt(number):.1e} |")
    return "\n".join(rows)


if __name__ == "__main__":
    typer.run(main)
