"""Traces: written as rows come, whole or not at all, and read only with the program that made them."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from reuse_compiler.backend.accelerator.trace import TraceReader, TraceWriter
from reuse_compiler.errors import ProgramError, ReuseError

PROGRAM = "ab" * 32


def write(path: Path, rows: list[NDArray[np.int64]], columns: int, sequences: int = 1) -> None:
    with TraceWriter(path, PROGRAM, columns) as writer:
        for block in rows:
            writer.append(block)
        writer.sequences = sequences


@pytest.mark.parametrize("frames", [0, 1, 255, 256, 257, 1000])
def test_rows_come_back_in_blocks(frames: int, tmp_path: Path) -> None:
    rows = np.arange(frames * 3, dtype=np.int64).reshape(frames, 3) * 10**12
    write(tmp_path / "t", [rows[:7], rows[7:]], 3, sequences=min(frames, 2))
    reader = TraceReader.open(tmp_path / "t", PROGRAM, 3)
    assert (reader.frames, reader.columns, reader.sequences) == (frames, 3, min(frames, 2))
    blocks = list(reader.blocks())
    assert [len(block) for block in blocks] == [256] * (frames // 256) + [frames % 256] * (frames % 256 > 0)
    assert all(block.dtype == np.int64 for block in blocks)
    np.testing.assert_array_equal(np.concatenate([rows[:0], *blocks]), rows)


def test_a_program_without_columns_has_a_trace_too(tmp_path: Path) -> None:
    write(tmp_path / "t", [np.zeros((5, 0), np.int64)], 0)
    reader = TraceReader.open(tmp_path / "t", PROGRAM, 0)
    assert (reader.frames, [block.shape for block in reader.blocks()]) == (5, [(5, 0)])


def test_rows_may_be_a_view(tmp_path: Path) -> None:
    rows = np.arange(24, dtype=np.int64).reshape(4, 6)
    write(tmp_path / "t", [rows[::2, ::3]], 2)
    [block] = TraceReader.open(tmp_path / "t", PROGRAM, 2).blocks()
    np.testing.assert_array_equal(block, rows[::2, ::3])


def test_equal_traces_are_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, [np.ones((3, 2), np.int64)], 2)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_run_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_text("before")
    with pytest.raises(ZeroDivisionError), TraceWriter(path, PROGRAM, 1) as writer:
        writer.append(np.ones((1, 1), np.int64))
        raise ZeroDivisionError
    assert path.read_text() == "before"
    assert [item.name for item in tmp_path.iterdir()] == ["t"]


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReuseError, match="cannot write"), TraceWriter(tmp_path / "none" / "t", PROGRAM, 1):
        pass


def test_memory_does_not_grow_with_the_stream(tmp_path: Path) -> None:
    """A trace of 32 MB is written and read with less than 4 MB."""
    rows = np.ones((64, 1000), np.int64)
    tracemalloc.start()
    with TraceWriter(tmp_path / "t", PROGRAM, 1000) as writer:
        for _ in range(64):
            writer.append(rows)
        writer.sequences = 1
    total = sum(int(block.sum()) for block in TraceReader.open(tmp_path / "t", PROGRAM, 1000).blocks())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == 64 * 64 * 1000
    assert peak < 4 << 20


# ---------------------------------------------------------------------------------------------------------- refusals


def refuse(path: Path, message: str, program: str = PROGRAM, columns: int = 2) -> None:
    with pytest.raises(ProgramError) as caught:
        TraceReader.open(path, program, columns)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_trace_of_another_program_names_both(tmp_path: Path) -> None:
    write(tmp_path / "t", [np.ones((2, 2), np.int64)], 2)
    refuse(tmp_path / "t", f"it is of program {PROGRAM}, not of {'cd' * 32}: run it again", program="cd" * 32)
    refuse(tmp_path / "t", "it is I64 [2, 2], the program writes I64 [frames, 3]: run it again", columns=3)


@pytest.mark.parametrize("size", [0, 4, 100, -8, -1])
def test_a_truncated_trace_is_refused(size: int, tmp_path: Path) -> None:
    write(tmp_path / "t", [np.ones((2, 2), np.int64)], 2)
    data = (tmp_path / "t").read_bytes()
    (tmp_path / "t").write_bytes(data[:size])
    refuse(tmp_path / "t", "not a trace")


def test_what_is_no_trace_is_refused(tmp_path: Path) -> None:
    refuse(tmp_path / "none", "no such file")
    refuse(tmp_path, "not a trace")
    (tmp_path / "text").write_text("hello, hello, hello")
    refuse(tmp_path / "text", "not a trace")
    save_file({"other": np.ones(3)}, tmp_path / "tensors")
    refuse(tmp_path / "tensors", "not a trace")


@pytest.mark.parametrize(
    ("metadata", "rows", "message"),
    [
        ({"format_version": "2"}, np.ones((2, 2), np.int64), "trace format 2, this version reads 1: run it again"),
        ({"format_version": ""}, np.ones((2, 2), np.int64), "trace format , this version reads 1"),
        ({}, np.ones((2, 2)), "it is F64 [2, 2], the program writes I64"),
        ({}, np.ones(2, np.int64), "it is I64 [2], the program writes I64 [frames, 2]"),
        ({"sequences": "many"}, np.ones((2, 2), np.int64), "many sequences in 2 frames: it is damaged"),
        ({"sequences": "3"}, np.ones((2, 2), np.int64), "3 sequences in 2 frames: it is damaged"),
        ({"sequences": "0"}, np.ones((2, 2), np.int64), "0 sequences in 2 frames: it is damaged"),
    ],
)
def test_a_damaged_trace_is_refused(
    metadata: dict[str, str], rows: NDArray[np.int64], message: str, tmp_path: Path
) -> None:
    sound = {"format_version": "1", "program": PROGRAM, "sequences": "1"}
    save_file({"rows": rows}, tmp_path / "t", sound | metadata)
    refuse(tmp_path / "t", message)


def test_a_header_with_another_length_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "t", [np.ones((2, 2), np.int64)], 2)
    data = (tmp_path / "t").read_bytes()
    (tmp_path / "t").write_bytes(struct.pack("<Q", 1 << 60) + data[8:])
    refuse(tmp_path / "t", "not a trace")
