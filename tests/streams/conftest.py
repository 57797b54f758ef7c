"""Inputs of imaginary models, for the tests of streams."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from reuse_compiler.frontend import TensorSpec

MakeSpec = Callable[..., TensorSpec]


@pytest.fixture
def make_spec() -> MakeSpec:
    """An input by name and shape; float32 unless said otherwise."""

    def make(name: str, *shape: int, dtype: str = "float32") -> TensorSpec:
        return TensorSpec(name, shape, np.dtype(dtype))

    return make


@pytest.fixture
def preprocess(tmp_path: Path) -> Callable[[str], Path]:
    """Write a `--preprocess` file."""

    def write(text: str) -> Path:
        path = tmp_path / "preprocess.toml"
        path.write_text(text)
        return path

    return write
