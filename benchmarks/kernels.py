"""Native kernels, layer by layer: time against onnxruntime's own operator, and the share of the machine's limit that they reach.

``python -m benchmarks.kernels`` writes the section of this machine in docs/kernels.md; ``--only NAME`` measures some layers and prints their rows alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import Annotated

import numpy as np
import onnx
import onnxruntime as ort
import typer
from numpy.typing import NDArray

from benchmarks.machine_page import write_section
from reuse_compiler.backend.cpu import library
from reuse_compiler.frontend import load
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan
from reuse_compiler.quantizers import LinearQuantizer
from reuse_compiler.session import Session
from reuse_compiler.sites import Site, find_sites

Array = NDArray[np.float32]

PAGE = Path(__file__).resolve().parent.parent / "docs" / "kernels.md"
UNCHANGED = (0.5, 0.8, 0.9, 0.95, 0.99)
_FRAMES, _SETTLE = 16, 4
_CACHED = 1 << 22
"""Fewer weights than this may lie in a cache."""
_CALL_NS = 6_000
"""What a call from Python takes, whatever the model; both sides are without it."""


@dataclass(frozen=True)
class Layer:
    """An operator, the shape of its input and of its weight, and whether what changes is a box of pixels or lies anywhere."""

    name: str
    x: tuple[int, ...]
    operator: str
    weight: tuple[int, ...]
    clustered: bool = False


LAYERS = (
    Layer("FC 400x2000", (1, 400), "MatMul (x, W)", (400, 2000)),
    Layer("FC 4096x4096", (1, 4096), "MatMul (x, W)", (4096, 4096)),
    Layer("CONV 3->24 5x5/2, 66x200", (1, 3, 66, 200), "Conv <strides = [2, 2]> (x, W)", (24, 3, 5, 5), True),
    Layer("CONV 24->36 5x5/2, 31x98", (1, 24, 31, 98), "Conv <strides = [2, 2]> (x, W)", (36, 24, 5, 5), True),
    Layer("CONV 64->64 3x3, 56x56", (1, 64, 56, 56), "Conv <pads = [1, 1, 1, 1]> (x, W)", (64, 64, 3, 3), True),
    Layer("CONV 64->64 3x3, 56x56", (1, 64, 56, 56), "Conv <pads = [1, 1, 1, 1]> (x, W)", (64, 64, 3, 3)),
    Layer("CONV 256->256 3x3, 14x14", (1, 256, 14, 14), "Conv <pads = [1, 1, 1, 1]> (x, W)", (256, 256, 3, 3), True),
    Layer("CONV 256->256 3x3, 14x14", (1, 256, 14, 14), "Conv <pads = [1, 1, 1, 1]> (x, W)", (256, 256, 3, 3)),
    Layer("CONV 256->64 1x1, 56x56", (1, 256, 56, 56), "Conv (x, W)", (64, 256, 1, 1), True),
    Layer(
        "CONV 64 depthwise 3x3, 30x40", (1, 64, 30, 40), "Conv <pads = [1, 1, 1, 1], group = 64> (x, W)", (64, 1, 3, 3)
    ),
)

_HEAD = """# Native kernels, layer by layer

<!-- Written by `python -m benchmarks.kernels`. -->

Times onnxruntime's own operator takes over those of the native reuse kernel, on one core, by the share of the inputs whose index
stays. Each side runs {frames} frames in turns, the first {settle} of them not timed; medians; what a call from Python takes is taken off
both. Quantizing, comparing and the change between channels first and channels last are in the kernel's time; between CONVs that read one another
the change is not needed. *clustered*: what changes is a box of pixels in all channels; *scattered*: elements drawn anywhere. Machines
are shared, and single cells vary by a tenth or two.

*limit* is the share of the machine's own that the kernel reaches at 90 % unchanged: of an FC the bytes of the weights of changed
inputs a second, beside those that onnxruntime reads of all 64 MiB of the larger one; the weights of the smaller one stay in a
cache, hence more. Of a CONV the multiply-accumulates done a second, beside those that onnxruntime reaches in the best of these layers.
"""
_BODY = """onnxruntime reads {bandwidth:.0f} GB/s of weights and reaches {peak:.0f} billion multiply-accumulates a second.

{table}
"""


def _model(layer: Layer, folder: Path) -> Path:
    generator = np.random.default_rng(0)
    shape = ",".join(map(str, layer.x))
    text = f'<ir_version: 8, opset_import: ["": 18]> layer (float[{shape}] x) => (float y) {{ y = {layer.operator} }}'
    proto = onnx.parser.parse_model(text)
    weight = generator.standard_normal(layer.weight).astype(np.float32)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(weight, "W"))
    del proto.graph.output[0].type.tensor_type.shape.dim[:]
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    path = folder / "layer.onnx"
    onnx.save(onnx.shape_inference.infer_shapes(proto), path)
    return path


def _frames(layer: Layer, unchanged: float) -> Iterator[Array]:
    """Frames in each of which that share of the elements is as before."""
    generator = np.random.default_rng(1)
    x = generator.standard_normal(layer.x).astype(np.float32)
    while True:
        if layer.clustered:
            height, width = layer.x[2:]
            tall, wide = (max(1, round(size * (1 - unchanged) ** 0.5)) for size in (height, width))
            top, left = generator.integers(0, height - tall + 1), generator.integers(0, width - wide + 1)
            x = x.copy()
            x[:, :, top : top + tall, left : left + wide] += 1
        else:
            x = np.where(generator.random(layer.x) < unchanged, x, x + 1).astype(np.float32)
        yield x


@dataclass(frozen=True)
class Times:
    """Nanoseconds of a frame in onnxruntime and with reuse."""

    stock: float
    reuse: float


def measure(layer: Layer, unchanged: float, turns: int = 6) -> tuple[Times, Site]:
    """Both sides in turns."""
    with tempfile.TemporaryDirectory(prefix="kernels-") as folder:
        model = load(_model(layer, Path(folder)))
    [site] = find_sites(model)
    quantizer = QuantizerSpec.of(LinearQuantizer(0.125, 32_768, 65_535))
    planned = SitePlan(node=site.node, input=site.input, op=site.op, mode="reuse", quantizer=quantizer)
    plan = Plan(model=ModelRef(path="layer.onnx", sha256=model.sha256), sites=[planned])
    session = Session(rewrite(model, plan), threads=1, executor="native")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    from onnx_ir import to_proto

    stock = ort.InferenceSession(to_proto(model.ir).SerializeToString(), options, providers=["CPUExecutionProvider"])
    frames = _frames(layer, unchanged)
    taken: dict[str, list[int]] = {"stock": [], "reuse": []}
    for _ in range(turns):
        some = [next(frames) for _ in range(_FRAMES)]
        for name, run in (("stock", lambda x: stock.run(None, {"x": x})), ("reuse", lambda x: session.run({"x": x}))):
            for number, x in enumerate(some):
                began = perf_counter_ns()
                run(x)
                if number >= _SETTLE:
                    taken[name].append(perf_counter_ns() - began)
    return Times(*(max(float(np.median(taken[name])) - _CALL_NS, 1.0) for name in ("stock", "reuse"))), site


def main(
    only: Annotated[
        list[str] | None, typer.Option(help="Layers whose name has this; prints, and writes nothing.")
    ] = None,
) -> None:
    """Measure every layer and write the page."""
    path = library()
    if path is None:
        raise SystemExit("this build has no kernel library: install it where a C++ compiler is found")
    chosen = [layer for layer in LAYERS if not only or any(part in layer.name for part in only)]
    rows, done = [], []
    for layer in chosen:
        shares = [measure(layer, unchanged) for unchanged in UNCHANGED]
        times, site = [one for one, _ in shares], shares[0][1]
        kind = "" if layer.operator.startswith("MatMul") else "clustered" if layer.clustered else "scattered"
        cells = [layer.name, kind, f"{times[2].stock / 1e3:.0f}", *(f"{one.stock / one.reuse:.2f}" for one in times)]
        rows.append(cells)
        done.append((site, times))
        print(" | ".join(cells), flush=True)
    if only:
        return
    peak = max(site.macs / times[2].stock for site, times in done if site.geometry is not None)
    bandwidth = max(
        4e9 * site.macs / times[2].stock for site, times in done if site.macs > _CACHED and site.geometry is None
    )
    for cells, (site, times) in zip(rows, done, strict=True):
        changed = 1 - UNCHANGED[2]
        share = site.macs * changed / times[2].reuse
        limit = share / peak if site.geometry is not None else 4 * share * 1e9 / bandwidth
        cells.append(f"{limit:.0%}")
    heads = ["layer", "changes", "onnxruntime µs", *(f"{unchanged:.0%}" for unchanged in UNCHANGED), "limit"]
    table = "\n".join(
        [
            "| " + " | ".join(heads) + " |",
            "|---|---|" + "---:|" * (len(heads) - 2),
            *("| " + " | ".join(cells) + " |" for cells in rows),
        ]
    )
    body = _BODY.format(table=table, bandwidth=bandwidth / 1e9, peak=peak)
    write_section(PAGE, _HEAD.format(frames=_FRAMES, settle=_SETTLE), body, path)
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    typer.run(main)
