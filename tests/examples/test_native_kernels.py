"""The examples of using the kernel library in an onnxruntime of one's own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from reuse_compiler.backend.cpu import library
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.session import Session
from reuse_compiler.slots import model_slots
from tests.small_network import small_model, small_plan, walk

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = small_model()
    ir.save(rewrite(model, small_plan(model)), tmp_path / "model.reuse.onnx")
    return tmp_path


@pytest.mark.skipif(library() is None, reason="the native kernels are not built")
def test_the_python_example_gives_what_a_session_gives(folder: Path) -> None:
    frames = walk(20)
    np.savez(folder / "frames.npz", x=np.stack(frames))
    results = folder / "outputs.npz"
    command = [
        sys.executable,
        str(EXAMPLES / "native_kernels.py"),
        str(folder),
        str(folder / "frames.npz"),
        str(results),
    ]
    subprocess.run(command, cwd=folder, check=True)
    session = Session(folder / "model.reuse.onnx", threads=1)
    with np.load(results) as found:
        assert list(found) == ["y"]
        for frame, y in zip(frames, found["y"], strict=True):
            np.testing.assert_array_equal(y, session.run({"x": frame})["y"])


def test_the_state_for_the_cpp_example_is_that_of_a_sequence_that_begins(folder: Path) -> None:
    subprocess.run([sys.executable, str(EXAMPLES / "initial_state.py"), str(folder)], cwd=folder, check=True)
    reuse = ir.from_proto(onnx.load(folder / "model.reuse.onnx"))
    names = [str(value.name) for value in reuse.graph.inputs]
    for slot in model_slots(reuse):
        for value, start in ((slot.past_index, slot.initial_index), (slot.past_linear, slot.initial_linear)):
            written = (folder / "state" / f"{names.index(str(value.name))}.bin").read_bytes()
            np.testing.assert_array_equal(np.frombuffer(written, start.dtype).reshape(start.shape), start)


def test_the_cpp_example_compiles(tmp_path: Path) -> None:
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("there is no C++ compiler")
    source = tmp_path / "headers.cpp"
    source.write_text("#include <onnxruntime_cxx_api.h>\n")
    command = [compiler, "-std=c++17", "-fsyntax-only", "-Wall"]
    if subprocess.run([*command, str(source)], capture_output=True, check=False).returncode:
        pytest.skip("there are no headers of onnxruntime")
    subprocess.run([*command, str(EXAMPLES / "native_kernels.cpp")], check=True)
