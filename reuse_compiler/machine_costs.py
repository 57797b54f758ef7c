"""The costs of this machine, where they were measured, in a file of the user's cache."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from reuse_compiler.backend.cpu import instruction_set, library
from reuse_compiler.cpu_costs import CpuCosts
from reuse_compiler.document import Strict

__all__ = ["Calibration", "calibration_path", "machine_costs", "machine_name"]


class Calibration(Strict):
    """Costs and what they were measured on."""

    machine: str
    instruction_set: str
    costs: CpuCosts


def calibration_path() -> Path:
    """Where this machine's costs are kept: in ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "reuse-compiler" / "cpu.json"


def machine_costs() -> CpuCosts:
    """The costs measured on this machine, else those that the package comes with."""
    try:
        kept = Calibration.model_validate_json(calibration_path().read_text())
    except (OSError, ValueError):  # missing, damaged, or of another version
        return CpuCosts()
    path = library()
    here = path is not None and (kept.machine, kept.instruction_set) == (machine_name(), instruction_set(path))
    return kept.costs if here else CpuCosts()


def machine_name() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
