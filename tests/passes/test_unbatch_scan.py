from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, parser

from reuse_compiler.passes.convert_version import ConvertVersion
from reuse_compiler.passes.unbatch_scan import UnbatchScan


def running_sums(batch: int = 1, lengths: str = "") -> ModelProto:
    """Last and all running sums of the Abs of a sequence: a graph input, and a tensor of no declared shape."""
    text = f"""<ir_version: 4, opset_import: ["": 8]>
    g (float[{batch}, 2] first, float[{batch}, 3, 2] x, int64[{batch}] n) => (float[{batch}, 2] last, float[{batch}, 3, 2] all)
    {{
        a = Abs (x)
        last, all = Scan <num_scan_inputs = 1, body = step (float[2] s, float[2] e) => (float[2] t, float[2] u)
            {{ t = Add (s, e) u = Identity (t) }}> ({lengths or '""'}, first, a)
    }}"""
    proto = parser.parse_model(text)
    proto.graph.node[1].name = "scan"
    return proto


def test_a_batch_of_one_is_taken_off_and_put_back(evaluate: Callable[..., dict[str, NDArray[Any]]]) -> None:
    proto = running_sums()
    model = ir.from_proto(proto)
    assert UnbatchScan()(model).modified
    ConvertVersion(18)(model)
    generator = np.random.default_rng(0)
    feeds = {"first": generator.standard_normal((1, 2)), "x": generator.standard_normal((1, 3, 2))}
    feeds = {name: value.astype(np.float32) for name, value in feeds.items()} | {"n": np.array([3])}
    found = evaluate(ir.to_proto(model), feeds)
    sums = feeds["first"][:, None] + np.abs(feeds["x"]).cumsum(axis=1)
    np.testing.assert_allclose(found["all"], sums, rtol=1e-6)
    np.testing.assert_allclose(found["last"], sums[:, -1], rtol=1e-6)
    for name, value in evaluate(proto, feeds).items():
        np.testing.assert_array_equal(found[name], value)


@pytest.mark.parametrize(("batch", "lengths"), [(2, ""), (1, "n")])
def test_another_batch_and_sequence_lengths_are_errors(batch: int, lengths: str) -> None:
    with pytest.raises(ValueError, match=r"node scan \(Scan\): opset 8.* export it with opset 9"):
        UnbatchScan()(ir.from_proto(running_sums(batch, lengths)))


def test_later_opsets_stay() -> None:
    proto = running_sums()
    proto.opset_import[0].version = 9
    assert not UnbatchScan()(ir.from_proto(proto)).modified
