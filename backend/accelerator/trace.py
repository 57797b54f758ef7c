"""The trace: what an execution did, one row of counts a frame, and its file.

Columns follow the operations of the frame section in order (:class:`~.operations.Operation` says which columns an
operation writes). Together with the program a trace is all that costs need; it holds no values.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from reuse_compiler import __version__
from reuse_compiler.errors import ProgramError, ReuseError
from reuse_compiler.files import replacing

__all__ = ["FORMAT_VERSION", "TraceReader", "TraceWriter"]

FORMAT_VERSION = 1
_ROWS = "rows"
_BLOCK = 256


@dataclass(frozen=True)
class TraceReader:
    """A trace file. Rows are read block by block."""

    path: Path
    frames: int
    columns: int
    sequences: int

    @classmethod
    def open(cls, path: str | Path, program: str, columns: int) -> TraceReader:
        """Open a trace. Raises ProgramError where it is damaged, of another version, or of another program."""
        try:
            with safe_open(path, "numpy") as file:
                metadata = file.metadata() or {}
                rows = file.get_slice(_ROWS)
                kind, shape = rows.get_dtype(), rows.get_shape()
        except FileNotFoundError as error:
            raise ProgramError(f"{path}: no such file") from error
        except (SafetensorError, OSError) as error:
            raise ProgramError(f"{path}: not a trace: {error}") from error
        version = metadata.get("format_version", "none")
        if version != str(FORMAT_VERSION):
            raise ProgramError(f"{path}: trace format {version}, this version reads {FORMAT_VERSION}: run it again")
        if metadata.get("program") != program:
            raise ProgramError(f"{path}: it is of program {metadata.get('program')}, not of {program}: run it again")
        if kind != "I64" or len(shape) != 2 or shape[1] != columns:
            raise ProgramError(
                f"{path}: it is {kind} {shape}, the program writes I64 [frames, {columns}]: run it again"
            )
        sequences = metadata.get("sequences", "none")
        if not sequences.isdecimal() or not min(shape[0], 1) <= int(sequences) <= shape[0]:
            raise ProgramError(f"{path}: {sequences} sequences in {shape[0]} frames: it is damaged, run it again")
        return cls(Path(path), shape[0], shape[1], int(sequences))

    def blocks(self) -> Iterator[NDArray[np.int64]]:
        """The rows, int64 [at most 256, columns] at a time."""
        with safe_open(self.path, "numpy") as file:
            rows = file.get_slice(_ROWS)
            for start in range(0, self.frames, _BLOCK):
                yield np.asarray(rows[start : min(start + _BLOCK, self.frames)], np.int64)


class TraceWriter(AbstractContextManager["TraceWriter"]):
    """Writes rows as they come; memory does not grow with the stream. The file takes its place when the block ends
    without an error; `sequences` is to be set before."""

    def __init__(self, path: str | Path, program: str, columns: int) -> None:
        """`program` is the digest of the program that runs."""
        self._path, self._program, self._columns = Path(path), program, columns
        self._frames = self.sequences = 0

    def __enter__(self) -> Self:
        try:
            self._file = tempfile.TemporaryFile(dir=self._path.parent)
        except OSError as error:
            raise ReuseError(f"{self._path}: cannot write: {error.strerror}: choose another folder") from error
        return self

    def append(self, rows: NDArray[np.int64]) -> None:
        """Add rows: int64 [frames, columns]."""
        try:
            self._file.write(np.ascontiguousarray(rows, "<i8").data)
        except OSError as error:
            raise ReuseError(f"{self._path}: cannot write: {error.strerror}: choose another folder") from error
        self._frames += len(rows)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if kind is None:
                with replacing(self._path) as temporary:
                    self._assemble(temporary)

    def _assemble(self, path: Path) -> None:
        """A safetensors file: its header, then the rows."""
        header = {
            "__metadata__": {
                "format_version": str(FORMAT_VERSION),
                "tool_version": __version__,
                "program": self._program,
                "sequences": str(self.sequences),
            },
            _ROWS: {
                "dtype": "I64",
                "shape": [self._frames, self._columns],
                "data_offsets": [0, self._frames * self._columns * 8],
            },
        }
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        self._file.seek(0)
        with path.open("wb") as target:
            target.write(len(text).to_bytes(8, "little") + text)
            shutil.copyfileobj(self._file, target, 1 << 16)
