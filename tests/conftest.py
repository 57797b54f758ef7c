"""Fixtures for all tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import settings
from numpy.typing import NDArray

# The same cases in every run, and no time limit on one: a busy machine fails nothing.
settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")

Arrays = dict[str, NDArray[Any]]


@pytest.fixture(scope="session", autouse=True)
def nothing_in_the_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What was measured on this machine before changes no test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def evaluate() -> Callable[[onnx.ModelProto, Mapping[str, NDArray[Any]]], Arrays]:
    """Outputs by name of a model in onnxruntime, without graph optimization."""

    def run(model: onnx.ModelProto, feeds: Mapping[str, NDArray[Any]]) -> Arrays:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, dict(feeds)), strict=True))

    return run


@pytest.fixture(scope="session")
def random_feeds() -> Callable[[onnx.ModelProto, int], Arrays]:
    """Normal float inputs for a model of fixed input shapes; initializers among the inputs get none."""

    def draw(model: onnx.ModelProto, seed: int) -> Arrays:
        generator = np.random.default_rng(seed)
        fixed = {tensor.name for tensor in model.graph.initializer}
        feeds: Arrays = {}
        for value in model.graph.input:
            kind = value.type.tensor_type
            dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
            if value.name not in fixed:
                feeds[value.name] = generator.standard_normal([d.dim_value for d in kind.shape.dim]).astype(dtype)
        return feeds

    return draw
