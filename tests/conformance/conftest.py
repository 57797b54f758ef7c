"""Fixtures of the conformance suite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def data_of_the_light_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """onnx's runner writes the inputs that it makes for the light models into a folder: not the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONNX_HOME", str(tmp_path_factory.mktemp("onnx")))
        patch.delenv("ONNX_MODELS", raising=False)
        yield
