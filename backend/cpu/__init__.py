"""Native kernels of the `ai.reuse` operators: an onnxruntime custom-op library.

The library is built when the package is installed, where a C++ compiler is found. Without one, reuse models run on their
function bodies.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

__all__ = ["has_kernel", "instruction_set", "library", "opened"]

_NAME = "libreuse_kernels.so"


def library() -> Path | None:
    """The library to register in onnxruntime's session options, or None where it was not built."""
    paths = (Path(folder) / _NAME for folder in __path__)  # an editable install has it beside other packages, not here
    return next((path for path in paths if path.is_file()), None)


@cache
def opened(path: Path) -> ctypes.CDLL:
    """The library at `path`, for the C functions that it has beside the operators."""
    opened = ctypes.CDLL(str(path))
    opened.reuse_has_kernel.argtypes = [ctypes.c_char_p]
    opened.reuse_has_kernel.restype = ctypes.c_int
    opened.reuse_kernels_name.restype = ctypes.c_char_p
    opened.reuse_watch.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    opened.reuse_watch.restype = None
    return opened


def has_kernel(path: Path, op_type: str) -> bool:
    """Whether the library at `path` has that operator of domain `ai.reuse`; the others run on their function bodies."""
    return bool(opened(path).reuse_has_kernel(op_type.encode()))


def instruction_set(path: Path) -> str:
    """What the kernels of the library at `path` use on this machine: "avx512", "avx2" or "baseline"."""
    name: bytes = opened(path).reuse_kernels_name()
    return name.decode()
