"""The layout of CONV state: one move of an axis, the same for arrays, shapes and Einsums of any rank."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from reuse_compiler.state_layout import (
    TO_CHANNELS_FIRST,
    TO_CHANNELS_LAST,
    channels_first,
    channels_last,
    channels_last_shape,
)

SHAPES = [(2, 5, 4), (2, 5, 4, 3), (2, 5, 4, 3, 2), (1, 1, 1)]


def numbered(shape: tuple[int, ...]) -> NDArray[np.float32]:
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    values.flat[0] = -0.0
    values.flat[-1] = np.nan
    return values


def bits(values: NDArray[np.float32]) -> NDArray[np.int32]:
    return np.ascontiguousarray(values).view(np.int32)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_channels_of_a_place_lie_side_by_side(shape: tuple[int, ...]) -> None:
    values = numbered(shape)
    state = channels_last(values)
    assert state.shape == channels_last_shape(shape) == (shape[0], *shape[2:], shape[1])
    place = (slice(None),) + (0,) * (len(shape) - 2)
    np.testing.assert_array_equal(state[place], values[(slice(None), slice(None), *place[1:])])
    np.testing.assert_array_equal(channels_first(state), values)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("equation", "move"), [(TO_CHANNELS_LAST, channels_last), (TO_CHANNELS_FIRST, channels_first)])
def test_an_einsum_moves_every_bit_as_numpy_does_and_its_shape_is_inferred(
    shape: tuple[int, ...], equation: str, move: Any
) -> None:
    values = numbered(shape)
    text = f"""<ir_version: 8, opset_import: ["": 18]>
        move (float{list(shape)} x) => (y) {{ y = Einsum <equation: string = "{equation}"> (x) }}"""
    model = onnx.shape_inference.infer_shapes(onnx.parser.parse_model(text), strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    [output] = model.graph.output
    assert tuple(dim.dim_value for dim in output.type.tensor_type.shape.dim) == move(values).shape
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for runtime in (session, ReferenceEvaluator(model)):
        [moved] = runtime.run(None, {"x": values})
        np.testing.assert_array_equal(bits(np.asarray(moved)), bits(move(values)))
