from __future__ import annotations

import numpy as np
import pytest

from reuse_compiler.errors import StreamError
from reuse_compiler.feedback import Feedback
from reuse_compiler.frontend import TensorSpec
from reuse_compiler.streams import Frame

F32 = np.dtype("float32")
INPUTS = [TensorSpec("x", (1, 2), F32), TensorSpec("h", (1, 3), F32), TensorSpec("c", (1, 1), np.dtype("int64"))]
OUTPUTS = [TensorSpec("y", (1, 2), F32), TensorSpec("hn", (1, 3), F32), TensorSpec("cn", (1, 1), np.dtype("int64"))]
STATE = {"h": "hn", "c": "cn"}


def _frame(start: bool) -> Frame:
    return Frame({"x": np.ones((1, 2), np.float32)}, start)


def _outputs(value: float) -> dict[str, np.ndarray]:
    return {spec.name: np.full(spec.shape, value, spec.dtype) for spec in OUTPUTS}


def test_state_is_zero_at_a_start_and_the_last_output_after_it() -> None:
    loop = Feedback(STATE, INPUTS, OUTPUTS)
    seen = []
    for number, start in enumerate([True, False, False, True, False], 1):
        feed = loop.feed(_frame(start))
        assert feed.keys() == {"x", "h", "c"}
        assert feed["h"].shape == (1, 3)
        assert feed["c"].dtype == np.int64
        seen.append((float(feed["h"][0, 0]), int(feed["c"][0, 0])))
        loop.take(_outputs(number))
    assert seen == [(0, 0), (1, 1), (2, 2), (0, 0), (4, 4)]


def test_state_is_zero_before_any_output() -> None:
    assert not Feedback(STATE, INPUTS).feed(_frame(False))["h"].any()


def test_state_does_not_change_with_the_outputs_buffer() -> None:
    loop = Feedback(STATE, INPUTS)
    outputs = _outputs(1)
    loop.take(outputs)
    outputs["hn"][:] = 9
    assert loop.feed(_frame(False))["h"].tolist() == [[1, 1, 1]]


def test_without_state_a_frame_passes_through() -> None:
    loop = Feedback({}, INPUTS[:1], OUTPUTS)
    frame = _frame(True)
    assert loop.feed(frame) == frame.inputs
    loop.take({})


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"k": "hn"}, "state k=hn: the model has no input k: it has c, h, x"),
        ({"h": "zz"}, "state h=zz: the model has no output zz: it has cn, hn, y"),
        ({"h": "y"}, r"state h=y: output y is float32 \[1, 2\], input h is float32 \[1, 3\]"),
        ({"c": "hn"}, r"state c=hn: output hn is float32 \[1, 3\], input c is int64 \[1, 1\]"),
    ],
)
def test_loops_that_do_not_close_are_refused(state: dict[str, str], said: str) -> None:
    with pytest.raises(StreamError, match=said):
        Feedback(state, INPUTS, OUTPUTS)
    if "k" not in state:
        with pytest.raises(StreamError, match=said):
            Feedback(state, INPUTS).take(_outputs(0))
