from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import numpy_helper, parser

from reuse_compiler.passes.external_weights import chunks, outside, weight_bytes

ARRAYS: dict[str, NDArray[Any]] = {
    "w": np.arange(600, dtype=np.float32).reshape(1, 600),
    "v": np.arange(900, dtype=np.float16),
    "small": np.ones(4, np.float32),
    "brain": np.arange(700).astype(ml_dtypes.bfloat16),
}


def model() -> ir.Model:
    proto = parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 18]> g (float[1,600] x) => (float[] y) { y = Add(x, w) }'
    )
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in ARRAYS.items())
    return ir.from_proto(proto)


def test_large_weights_of_plain_types_are_declared_outside_and_the_rest_stays_inside() -> None:
    source = model()
    proto, weights = outside(source, "w.bin")
    assert [(weight.name, weight.offset) for weight in weights] == [("w", 0), ("v", 4096)]
    assert {tensor.name for tensor in proto.graph.initializer} == set(ARRAYS)
    assert [value.name for value in proto.graph.input] == ["x"]
    inside = {tensor.name: tensor for tensor in proto.graph.initializer}
    np.testing.assert_array_equal(numpy_helper.to_array(inside["brain"]), ARRAYS["brain"])
    assert inside["w"].data_location == onnx.TensorProto.EXTERNAL and proto.ByteSize() < 2600
    assert set(source.graph.initializers) == set(ARRAYS)


def test_the_bytes_are_those_that_the_declarations_say() -> None:
    proto, weights = outside(model(), "w.bin")
    data = b"".join(chunks(weights))
    declared = {tensor.name: {e.key: e.value for e in tensor.external_data} for tensor in proto.graph.initializer}
    for name in ("w", "v"):
        begin, length = int(declared[name]["offset"]), int(declared[name]["length"])
        assert declared[name]["location"] == "w.bin"
        assert data[begin : begin + length] == ARRAYS[name].tobytes()
    assert len(data) == begin + length


def test_the_size_is_that_of_all_initializers() -> None:
    assert weight_bytes(model()) == sum(array.nbytes for array in ARRAYS.values())
