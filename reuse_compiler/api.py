"""The verbs of the Python API, in the order of the path: load, profile, fit (or fit_to_budget), rewrite, lower, simulate; and Session."""

from __future__ import annotations

import onnx_ir as ir

from reuse_compiler.backend.accelerator import lowering
from reuse_compiler.backend.accelerator.hardware import Hardware, load_hardware
from reuse_compiler.backend.accelerator.program import Program
from reuse_compiler.budget_fit import fit_to_budget
from reuse_compiler.errors import ReuseError
from reuse_compiler.fitting import fit
from reuse_compiler.frontend import load
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.profiling import profile
from reuse_compiler.session import Session
from reuse_compiler.simulation import simulate
from reuse_compiler.streams import open_stream

__all__ = [
    "ReuseError",
    "Session",
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


def lower(model: ir.Model, hardware: Hardware) -> Program:
    """Lower a reuse model, as :func:`rewrite` gives it, to a program for `hardware` and its baseline.

    Raises ModelError where a shape is not known, and HardwareError where a memory is too small for the smallest tile.
    """
    return lowering.lower(model, hardware.tiling, model.metadata_props["reuse.source_sha256"])
