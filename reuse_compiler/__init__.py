"""Compile ONNX models so that work repeated between consecutive inputs is done once.

The verbs, in order: `load` a model, `profile` it on a stream, `fit` a plan or `fit_to_budget`, `rewrite` the model, run it
with `Session`, or `lower` it to a program for the accelerator and `simulate` that. They are imported when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reuse_compiler.api import (
        ReuseError,
        Session,
        fit,
        fit_to_budget,
        load,
        load_hardware,
        lower,
        open_stream,
        profile,
        rewrite,
        simulate,
    )

__version__ = "0.1.0"

__all__ = [
    "ReuseError",
    "Session",
    "__version__",
    "fit",
    "fit_to_budget",
    "load",
    "load_hardware",
    "lower",
    "open_stream",
    "profile",
    "rewrite",
    "simulate",
]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> object:
    if name in __all__:
        return getattr(importlib.import_module("reuse_compiler.api"), name)
    raise AttributeError(f"module {__name__} has no attribute {name}")
