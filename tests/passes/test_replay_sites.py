"""Sites that read inputs of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler.frontend import Model
from reuse_compiler.passes.replay_sites import ReplaySites
from reuse_compiler.sites import find_sites

Arrays = dict[str, NDArray[Any]]

NETWORK = """
net (float[1, 4] x) => (float[1, 4] y, float[1, 4] b) {
    a = Gemm (x, W)
    b = Relu (a)
    c = MatMul (b, V)
    d = Add (c, B)
    e = Gemm (b, W)
    y = Add (d, e)
}"""
WEIGHTS = {"W": (4, 4), "V": (4, 4), "B": (4,)}


def test_each_site_reads_its_own_input_and_shows_what_it_would_have_read(
    load: Callable[..., Model], run: Callable[[ir.Model, Arrays], Arrays]
) -> None:
    model = load(NETWORK, **WEIGHTS)
    network = model.ir.clone()
    assert ReplaySites(tuple(find_sites(model)))(network).modified
    assert [value.name for value in network.graph.inputs] == ["x", "replayed_a", "replayed_c", "replayed_e"]
    assert [value.name for value in network.graph.outputs] == ["y", "b", "a", "d", "e"]
    generator = np.random.default_rng(0)
    x, a, c, e = generator.integers(-8, 9, (4, 1, 4)).astype(np.float32)
    result = run(network, {"x": x, "replayed_a": a, "replayed_c": c, "replayed_e": e})
    weights = {
        name: value.const_value.numpy() for name, value in model.ir.graph.initializers.items() if value.const_value
    }
    expected = {"a": a @ weights["W"], "d": c @ weights["V"] + weights["B"], "e": e @ weights["W"]}
    expected |= {"b": np.maximum(expected["a"], 0), "y": expected["d"] + expected["e"]}
    for name, value in expected.items():
        np.testing.assert_array_equal(result[name], value)


def test_without_sites_nothing_changes(load: Callable[..., Model]) -> None:
    model = load(NETWORK, **WEIGHTS)
    before = ir.to_proto(model.ir).SerializeToString(deterministic=True)
    assert not ReplaySites(())(model.ir).modified
    assert ir.to_proto(model.ir).SerializeToString(deterministic=True) == before
