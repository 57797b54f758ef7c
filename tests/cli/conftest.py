"""A small model, its recordings, and the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from reuse_compiler.cli.app import app

FRAMES = 6


class Invoked:
    """What a command did."""

    def __init__(self, status: int, stdout: str, stderr: str) -> None:
        self.status, self.stdout, self.stderr = status, stdout, stderr

    @property
    def complaint(self) -> str:
        """The one line on stderr of a command that failed with status 1."""
        assert self.status == 1, (self.status, self.stdout, self.stderr)
        assert self.stdout == ""
        lines = self.stderr.splitlines()
        assert len(lines) == 1, self.stderr
        assert lines[0].startswith("reusec: ")
        return lines[0]


Invoke = Callable[..., Invoked]
Save = Callable[..., Path]


@pytest.fixture
def invoke() -> Invoke:
    """Run a command with these arguments in this process; what is no ReuseError of a user is raised."""

    def run(*arguments: object) -> Invoked:
        words = [str(argument) for argument in arguments]
        result = CliRunner(env={"COLUMNS": None}).invoke(app, words, catch_exceptions=False)  # as in a pipe
        return Invoked(result.exit_code, result.stdout, result.stderr)

    return run


def small_model() -> onnx.ModelProto:
    """image [1, 2, 6, 6] -> conv 3x3 -> relu -> flatten -> fc1 -> relu -> fc2 -> score [1, 2]; dyadic weights."""
    generator = np.random.default_rng(7)

    def weights(name: str, *shape: int) -> TensorProto:
        values = generator.integers(-8, 9, shape) / 16
        return numpy_helper.from_array(values.astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["image", "w0", "b0"], ["c"], "conv", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("Flatten", ["r"], ["f"], "flatten"),
        helper.make_node("Gemm", ["f", "w1", "b1"], ["h"], "fc1"),
        helper.make_node("Relu", ["h"], ["a"], "relu1"),
        helper.make_node("MatMul", ["a", "w2"], ["m"], "fc2"),
        helper.make_node("Add", ["m", "b2"], ["score"], "add2"),
    ]
    initializers = [
        weights("w0", 3, 2, 3, 3),
        weights("b0", 3),
        weights("w1", 108, 8),
        weights("b1", 8),
        weights("w2", 8, 2),
        weights("b2", 2),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 2, 6, 6])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [1, 2])],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def recording(frames: int = FRAMES) -> NDArray[np.float32]:
    """Images [frames, 2, 6, 6] of which a few pixels change from one to the next."""
    generator = np.random.default_rng(3)
    images = np.repeat(generator.uniform(-1, 1, (1, 2, 6, 6)).astype(np.float32), frames, axis=0)
    for number in range(1, frames):
        images[number:, 0, number % 6, :2] += np.float32(0.25)
    return images


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The file of the small model."""
    path = tmp_path / "small.onnx"
    onnx.save(small_model(), path)
    return path


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write a `.npz` of these arrays by input name."""

    def write(**arrays: NDArray[Any]) -> Path:
        path = tmp_path / "stream.npz"
        np.savez(path, **arrays)  # type: ignore[arg-type]
        return path

    return write


@pytest.fixture
def images() -> NDArray[np.float32]:
    """The frames of `stream`: float32 [6, 2, 6, 6]."""
    return recording()


@pytest.fixture
def stream(save: Save) -> Path:
    """A recording for the small model."""
    return save(image=recording())


@pytest.fixture(scope="session")
def compilation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small.onnx, stream.npz and what compile made of them in `compiled`; not to be changed."""
    folder = tmp_path_factory.mktemp("compilation")
    onnx.save(small_model(), folder / "small.onnx")
    np.savez(folder / "stream.npz", image=recording())
    arguments = ["compile", folder / "small.onnx", "--stream", folder / "stream.npz", "-o", folder / "compiled"]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return folder
