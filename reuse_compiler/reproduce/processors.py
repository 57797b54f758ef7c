"""Time and energy on a CPU and a GPU, beside the accelerator: measured where there is one, else by a roofline.

The roofline gives a layer the longer of two times, that of its arithmetic at the peak rate and that of its bytes (weights
and activations, once each, fp32) at the peak bandwidth, divided by what batch-1 inference reaches of each, plus a fixed
time a kernel launch; energy is that time at the thermal design power. It is a model and is called one wherever it is
printed.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from reuse_compiler.bench.stock import StockModel, StockStream
from reuse_compiler.reproduce.documents import CpuTime, LayerShape, ProcessorEstimate
from reuse_compiler.streams import Frame

__all__ = ["PROCESSORS", "Processor", "estimate", "measure_cpu"]

_WORD = 4
_RAPL = Path("/sys/class/powercap")


@dataclass(frozen=True)
class Processor:
    """A processor for the roofline; rates in FLOP/s and bytes/s, power in W, `launch_seconds` for each kernel.

    `matrix_vector` is the share of the peak bandwidth that dense matrix-vector products reach at batch 1.
    """

    name: str
    flops: float
    bandwidth: float
    power: float
    matrix_vector: float
    launch_seconds: float
    source: str


PROCESSORS = (
    Processor(
        "Intel i7-7700K",
        537.6e9,
        38.4e9,
        91.0,
        0.26,
        0.0,
        "peak rates and TDP of the vendor; bandwidth that batch-1 matrix-vector products reach: 16 to 36 % (EIE, ISCA 2016,"
        " tables IV and V), the middle is taken",
    ),
    Processor(
        "NVIDIA GTX 1080",
        8.23e12,
        320e9,
        180.0,
        0.80,
        20e-6,
        "peak rates and TDP of the vendor; 80 % of the bandwidth and 10 to 30 us a layer at batch 1 (EIE, ISCA 2016), the"
        " middle is taken",
    ),
)
"""The paper's baselines."""


def estimate(processor: Processor, layers: Sequence[LayerShape]) -> ProcessorEstimate:
    """Time and energy of a frame by the roofline. The steps of a recurrent layer follow each other: each launches."""
    seconds = sum(_layer_seconds(processor, layer) for layer in layers if layer.macs)
    return ProcessorEstimate(name=processor.name, frame_seconds=seconds, frame_joules=seconds * processor.power)


def _layer_seconds(processor: Processor, layer: LayerShape) -> float:
    moved = _WORD * (layer.parameters + _elements(layer.input) + _elements(layer.output))
    arithmetic = 2 * layer.macs / processor.flops
    memory = moved / (processor.bandwidth * processor.matrix_vector)
    launches = layer.input[0] if layer.op in ("LSTM", "GRU", "RNN") else 1
    return max(arithmetic, memory) + launches * processor.launch_seconds


def _elements(shape: Iterable[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def measure_cpu(model: StockModel, frames: Sequence[Frame], threads: int) -> CpuTime:
    """Run `frames` once to warm up and once timed."""
    stream = StockStream(model)
    for frame in frames:
        stream.run(frame)
    seconds = []
    before = _joules()
    for frame in frames:
        started = time.perf_counter()
        stream.run(frame)
        seconds.append(time.perf_counter() - started)
    after = _joules()
    spent = None if before is None or after is None or after < before else (after - before) / len(frames)
    return CpuTime(
        machine=f"{_processor_name()}, {os.cpu_count()} cores",
        threads=threads,
        frame_seconds=statistics.median(seconds),
        frame_joules=spent,
    )


def _joules() -> float | None:
    """What the counters of all packages stand at; None where the machine has none that may be read."""
    try:
        counters = [path / "energy_uj" for path in sorted(_RAPL.glob("intel-rapl:?"))]
        return sum(int(path.read_text()) for path in counters) / 1e6 if counters else None
    except OSError:
        return None


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
