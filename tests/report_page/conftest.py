"""A small network, compiled and run."""

from __future__ import annotations

import onnx
import pytest

from reuse_compiler.backend.accelerator.hardware import load_hardware
from reuse_compiler.compiling import compile_model
from reuse_compiler.directory import CompiledDirectory
from reuse_compiler.fitting import fit
from reuse_compiler.frontend import load
from reuse_compiler.profiling import profile
from reuse_compiler.streams import Stream, open_stream
from tests.small_network import small_model, walk

FRAMES = 9


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> CompiledDirectory:
    """The folder of the network of five sites, with profile and report; not to be changed."""
    folder = tmp_path_factory.mktemp("report_page")
    onnx.save(small_model().proto(), folder / "net.onnx")
    model = load(folder / "net.onnx")
    stream = open_stream([{"x": frame} for frame in walk(FRAMES)], model.inputs)
    observed = profile(model, stream, threads=1)
    plan = fit(model, observed, clusters=16, exclude=["d"])
    hardware = load_hardware("isca18")
    compile_model(model, plan, folder / "out", stream=stream, hardware=hardware, profile=observed, threads=1)
    return CompiledDirectory.open(folder / "out")


@pytest.fixture
def stream(compiled: CompiledDirectory) -> Stream:
    """The recording that the report is of."""
    return open_stream([{"x": frame} for frame in walk(FRAMES)], compiled.original().inputs)
