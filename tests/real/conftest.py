"""Trained models and recordings that lie beside the repository: they are no part of it, and may be absent."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "real"


@pytest.fixture(scope="session")
def real() -> ModuleType:
    """The module `sequences` of that folder: `PAIRS` of models and streams. Skips where it is absent."""
    path = FOLDER / "sequences.py"
    if not path.is_file():
        pytest.skip(f"no models and recordings in {FOLDER}")
    spec = importlib.util.spec_from_file_location("sequences", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["sequences"] = module
    spec.loader.exec_module(module)
    return module
