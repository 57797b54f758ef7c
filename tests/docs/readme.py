"""The commands of README.md, which stand in indented blocks, and small files that they can run on."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import onnx

from tests.docs.blocks import Block, Mark, blocks

__all__ = ["NOT_RUN", "own_files", "readme_blocks"]

_INDENT = "    "
NOT_RUN = {
    "make ": "sets up an environment; tests/cli/test_demo.py runs the demo",
    "source ": "the tests run in such an environment",
    "reusec reproduce": "takes minutes: tests/cli/test_reproduce.py and make reproduce run it",
}
"""Commands that are not run, by how they begin, and why."""


def readme_blocks(readme: Path) -> list[Block]:
    """A block a command, and the Python blocks, in order."""
    found = [block for block in blocks(readme) if block.language == "python"]
    inside = {number for block in blocks(readme) for number in range(block.first - 1, block.last + 1)}
    for number, line in enumerate(readme.read_text().splitlines()):
        command = line.removeprefix(_INDENT)
        if number in inside or not line.startswith(_INDENT) or not command.startswith(("reusec ", *NOT_RUN)):
            continue
        reason = next((why for start, why in NOT_RUN.items() if command.startswith(start)), "")
        mark: Mark = "not run" if reason else "compared"
        found.append(Block("console", None, f"$ {command}\n", number, number + 1, mark, reason))
    return sorted(found, key=lambda block: block.first)


def own_files(folder: Path) -> None:
    """``model.onnx``, a small network of pictures, and what it sees: ``drive.mp4`` and ``other.mp4``."""
    generator = np.random.default_rng(0)
    _model(folder / "model.onnx", generator)
    for name, frames in (("drive.mp4", 36), ("other.mp4", 48)):
        _video(folder / name, frames, generator)


def _model(path: Path, generator: np.random.Generator) -> None:
    proto = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["": 18]>
        small (float[1, 3, 24, 32] image) => (float[1, 4] y) {
            [conv1] a = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (image, W1)
            [relu1] b = Relu (a)
            [conv2] c = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (b, W2)
            [relu2] d = Relu (c)
            [flatten] e = Flatten (d)
            [fc] y = MatMul (e, W3)
        }
    """)
    for name, shape in (("W1", (8, 3, 3, 3)), ("W2", (12, 8, 3, 3)), ("W3", (576, 4))):
        weight = generator.standard_normal(shape).astype(np.float32) / np.sqrt(np.prod(shape[1:] or shape))
        proto.graph.initializer.append(onnx.numpy_helper.from_array(weight.astype(np.float32), name))
    onnx.save(proto, path)


def _video(path: Path, frames: int, generator: np.random.Generator) -> None:
    """A bright box that moves over a still picture."""
    still = generator.integers(0, 128, (48, 64, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(frames):
            picture = still.copy()
            picture[10:30, number % 44 : number % 44 + 16] = 220
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
