"""A program of its own, because kernels are chosen once for a process: runs recorded cases with the native kernels.

``python native_run.py LIBRARY FOLDER`` takes each ``CASE.onnx`` of the folder with ``CASE.npz``, which holds ``FRAME/INPUT`` of
every frame and the state that frame 0 begins with, and writes ``CASE.out.npz`` with ``FRAME/OUTPUT``. Prints the name of the kernels.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


def open_model(model: bytes, library: Path | None, threads: int = 1) -> ort.InferenceSession:
    """A session of `model`, with the function bodies where `library` is None."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    if library is not None:
        options.register_custom_ops_library(str(library))
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run_frames(session: ort.InferenceSession, frames: list[Arrays], state: Arrays) -> list[Arrays]:
    """All outputs of all frames; what is called ``present_*`` becomes the ``past_*`` of the next frame."""
    names = [output.name for output in session.get_outputs()]
    found = []
    for frame in frames:
        outputs = dict(zip(names, session.run(names, {**frame, **state}), strict=True))
        state = {past: outputs[past.replace("past_", "present_", 1)] for past in state}
        found.append(outputs)
    return found


def _run_file(path: Path, library: Path) -> None:
    with np.load(path.with_suffix(".npz")) as file:
        given: Arrays = dict(file)
    state = {name: array for name, array in given.items() if name.startswith("past_")}
    frames: list[Arrays] = []
    for name, array in given.items():
        if name in state:
            continue
        number, value = name.split("/", 1)
        frames += [{} for _ in range(int(number) + 1 - len(frames))]
        frames[int(number)][value] = array
    outputs = run_frames(open_model(path.read_bytes(), library), frames, state)
    flat = {f"{number}/{name}": array for number, frame in enumerate(outputs) for name, array in frame.items()}
    np.savez(path.with_suffix(".out.npz"), **flat)  # type: ignore[arg-type]


if __name__ == "__main__":
    own, folder = Path(sys.argv[1]), Path(sys.argv[2])
    for case in sorted(folder.glob("*.onnx")):
        _run_file(case, own)
    name = ctypes.CDLL(str(own)).reuse_kernels_name
    name.restype = ctypes.c_char_p
    print(name().decode())
