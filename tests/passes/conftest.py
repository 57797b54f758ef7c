"""Fixtures for the passes that rewrite a model by a plan: models from text, plans, and runs in stock onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from reuse_compiler import frontend
from reuse_compiler.frontend import Model
from reuse_compiler.operators import initial_index, initial_linear, reuse_nodes
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan
from reuse_compiler.sites import find_sites

Arrays = dict[str, NDArray[Any]]
STEP, ZERO, CLUSTERS = 0.25, 16, 32


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Model]:
    """`load(text, W=shape, ..)`: the model of that text, with random quarters for initializers of those shapes."""

    def build(text: str, **weights: tuple[int, ...]) -> Model:
        proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 13]> {text}')
        generator = np.random.default_rng(len(text))
        for name, shape in weights.items():
            array = (generator.integers(-8, 9, shape) / 4).astype(np.float32)
            proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
        path = tmp_path / "model.onnx"
        onnx.save(proto, path)
        return frontend.load(path)

    return build


@pytest.fixture(scope="session")
def plan_for() -> Callable[..., Plan]:
    """`plan_for(model, nodes=None, deadband=0)`: one quantizer at `nodes`, by default at all sites; the rest dense."""

    def plan(model: Model, nodes: Collection[str] | None = None, deadband: float | list[float] = 0.0) -> Plan:
        spec = QuantizerSpec(step=STEP, zero=ZERO, clusters=CLUSTERS, deadband=deadband)
        return Plan(
            model=ModelRef(path=str(model.path), sha256=model.sha256),
            sites=[
                SitePlan(node=site.node, input=site.input, op=site.op, mode="reuse", quantizer=spec)
                if nodes is None or site.node in nodes
                else SitePlan(node=site.node, input=site.input, op=site.op, mode="dense")
                for site in find_sites(model)
            ],
        )

    return plan


@pytest.fixture(scope="session")
def run() -> Callable[[ir.Model, Arrays], Arrays]:
    """Check a model fully and run it in stock onnxruntime; state that is not given is where a sequence starts."""

    def run(model: ir.Model, feed: Arrays) -> Arrays:
        proto = ir.to_proto(model)
        onnx.checker.check_model(proto, full_check=True)
        initial: Arrays = {}
        for node in reuse_nodes(model):
            past_index, past_linear = node.inputs[1:3]
            assert past_index is not None and past_linear is not None
            initial |= {str(past_index.name): initial_index(node), str(past_linear.name): initial_linear(node)}
        session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, initial | feed), strict=True))

    return run


@pytest.fixture(scope="session")
def assert_same_on_centroids(run: Callable[[ir.Model, Arrays], Arrays]) -> Callable[[Model, ir.Model], None]:
    """On two frames whose elements are centroids already, the reuse model gives exactly what the model gives."""

    def compare(model: Model, reuse: ir.Model) -> None:
        [spec] = model.inputs
        generator = np.random.default_rng(1)
        first, other = (
            (generator.integers(-ZERO, CLUSTERS - ZERO, spec.shape) * STEP).astype(np.float32) for _ in range(2)
        )
        state: Arrays = {}
        for frame in (first, np.where(generator.random(spec.shape) < 0.5, first, other)):
            expected, result = run(model.ir, {spec.name: frame}), run(reuse, {spec.name: frame} | state)
            for output, value in expected.items():
                np.testing.assert_array_equal(result[output], value)
            state = {name.replace("present_", "past_", 1): result[name] for name in result if name not in expected}

    return compare
