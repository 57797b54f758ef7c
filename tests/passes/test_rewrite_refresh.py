"""Linear outputs anew from held indices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler.frontend import Model
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.passes.rewrite_refresh import LinearFromIndex
from reuse_compiler.plan import Plan

Arrays = dict[str, NDArray[Any]]

NETWORK = """
net (float[1, 2, 6, 6] x) => (float[1, 3] y) {
    a = Conv <pads = [1, 0, 0, 1], strides = [2, 1], dilations = [1, 2]> (x, W1, B1)
    b = Relu (a)
    c = Conv <group = 2> (b, W2)
    t = ConvTranspose <strides = [2, 1], pads = [1, 0, 0, 0], output_padding = [1, 0]> (c, W4, B4)
    d = Flatten (t)
    y = Gemm <alpha = 0.5> (d, W3, B3)
}"""
WEIGHTS = {
    "W1": (4, 2, 3, 3),
    "B1": (4,),
    "W2": (4, 2, 1, 1),
    "W3": (36, 3),
    "B3": (3,),
    "W4": (4, 2, 2, 1),
    "B4": (2,),
}


def test_it_computes_from_the_indices_what_the_reuse_model_holds(
    load: Callable[..., Model], plan_for: Callable[..., Plan], run: Callable[[ir.Model, Arrays], Arrays]
) -> None:
    model = load(NETWORK, **WEIGHTS)
    reuse = rewrite(model, plan_for(model))
    generator = np.random.default_rng(0)
    held = run(reuse, {"x": generator.standard_normal((1, 2, 6, 6)).astype(np.float32)})
    network = reuse.clone()
    assert LinearFromIndex()(network).modified
    assert [value.name for value in network.graph.inputs] == [f"past_index_{node}" for node in "acty"]
    assert [value.name for value in network.graph.outputs] == [f"past_linear_{node}" for node in "acty"]
    assert not network.functions
    indices = {f"past_index_{node}": held[f"present_index_{node}"] for node in "acty"}
    for name, linear in run(network, indices).items():
        np.testing.assert_array_equal(linear, held[name.replace("past", "present")])
