"""Fixtures for recurrent layers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from reuse_compiler.frontend import Model, load


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[[onnx.ModelProto], Model]:
    def read(proto: onnx.ModelProto) -> Model:
        path = tmp_path / "cell.onnx"
        onnx.save(proto, path)
        return load(path)

    return read
