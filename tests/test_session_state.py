"""Session state as a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reuse_compiler.errors import ReuseError
from reuse_compiler.session_state import SessionState

STATE = SessionState(
    "ab" * 32,
    {
        "past_index_/block/conv": np.array([[[1, 60_000]]], np.uint16),
        "past_linear_/block/conv": np.array([-0.5, 1e-45], np.float32),
        "h": np.zeros((1, 0), np.float32),
    },
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    STATE.to_file(tmp_path / "state")
    read = SessionState.from_file(tmp_path / "state")
    assert read.model_sha256 == STATE.model_sha256 and read.arrays.keys() == STATE.arrays.keys()
    for name, array in STATE.arrays.items():
        assert read.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(read.arrays[name], array)


def test_files_that_are_no_session_state_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(ReuseError, match="nothing: no such file"):
        SessionState.from_file(tmp_path / "nothing")
    path = tmp_path / "state"
    path.write_text("text that is long enough to hold a header")
    with pytest.raises(ReuseError, match="state: not a session state"):
        SessionState.from_file(path)
    STATE.to_file(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ReuseError, match="state: not a session state"):
        SessionState.from_file(path)


def test_other_formats_name_both(tmp_path: Path) -> None:
    path = tmp_path / "state"
    STATE.to_file(path)
    path.write_bytes(path.read_bytes().replace(b'"format_version":"1"', b'"format_version":"9"'))
    with pytest.raises(ReuseError, match=r"format 9 .* reads format 1"):
        SessionState.from_file(path)
