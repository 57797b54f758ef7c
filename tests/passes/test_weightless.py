from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from onnx import numpy_helper, parser

from reuse_compiler.passes.weightless import LARGE_BYTES, without_weights

TEXT = '<ir_version: 3, opset_import: ["" : 9]> g (float[1,600] x) => (float[1,600] y) { t = Mul(x, big) y = Add(t, small) }'


def model() -> ir.Model:
    proto = parser.parse_model(TEXT)
    for name, size in (("big", 600), ("small", 1)):
        proto.graph.initializer.append(numpy_helper.from_array(np.ones(size, np.float32), name))
    return ir.from_proto(proto)


def test_large_initializers_become_the_last_inputs_and_small_ones_stay() -> None:
    with without_weights(model()) as proto:
        assert [value.name for value in proto.graph.input] == ["x", "big"]
        assert [tensor.name for tensor in proto.graph.initializer] == ["small"]
        assert proto.ByteSize() < LARGE_BYTES


def test_the_model_is_as_before_even_after_an_error() -> None:
    source = model()
    before = ir.to_proto(source)
    with pytest.raises(RuntimeError), without_weights(source):
        raise RuntimeError
    after = ir.to_proto(source)
    assert [t.name for t in after.graph.initializer] == [t.name for t in before.graph.initializer]
    assert [value.name for value in source.graph.inputs] == ["x"]
    assert source.ir_version == 3
