"""Native kernels of the `ai.reuse` operators: an onnxruntime custom-op library.

The library is built when the package is installed, where a C++ compiler is found. Without one, reuse models run on their
function bodies.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["library"]

_NAME = "libreuse_kernels.so"


def library() -> Path | None:
    """The library to register in onnxruntime's session options, or None where it was not built."""
    paths = (Path(folder) / _NAME for folder in __path__)  # an editable install has it beside other packages, not here
    return next((path for path in paths if path.is_file()), None)
