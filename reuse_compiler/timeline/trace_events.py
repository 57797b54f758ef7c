"""A file of trace events: the JSON that Perfetto and chrome://tracing read.

One microsecond of the file is one cycle, so that every number is whole and sums are exact.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from reuse_compiler.errors import ReuseError
from reuse_compiler.files import replacing

__all__ = ["Arguments", "TraceEventFile"]

Arguments = Mapping[str, int | float | str]


class TraceEventFile(AbstractContextManager["TraceEventFile"]):
    """Events are written as they come; memory does not grow with them. The file takes its place when the block ends
    without an error, and else leaves nothing.

    Raises ReuseError where the place cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._separator = ""
        self._about: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._files = ExitStack()
        temporary = self._files.enter_context(replacing(self._path))
        self._file = self._files.enter_context(temporary.open("w", encoding="utf-8"))
        self._write('{"displayTimeUnit":"ms","traceEvents":[')
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._files:
            if kind is None:
                self._write(f'\n],"otherData":{json.dumps(self._about)}}}\n')
            else:
                self._files.__exit__(kind, error, trace)

    def about(self, facts: Arguments) -> None:
        """What the file says of itself."""
        self._about |= facts

    def process(self, process: int, name: str, label: str) -> None:
        """Name a group of tracks; groups are shown in the order of their numbers."""
        self._metadata(process, 0, "process_name", {"name": name})
        self._metadata(process, 0, "process_labels", {"labels": label})
        self._metadata(process, 0, "process_sort_index", {"sort_index": process})

    def track(self, process: int, track: int, name: str) -> None:
        """Name a track of a group; they are shown in the order of their numbers."""
        self._metadata(process, track, "thread_name", {"name": name})
        self._metadata(process, track, "thread_sort_index", {"sort_index": track})

    def slice(
        self, process: int, track: int, name: str, kind: str, start: int, cycles: int, arguments: Arguments
    ) -> None:
        """Something that lasts `cycles` from `start`; slices of a track do not overlap."""
        self._event(
            {
                "ph": "X",
                "pid": process,
                "tid": track,
                "name": name,
                "cat": kind,
                "ts": start,
                "dur": cycles,
                "args": arguments,
            }
        )

    def counter(self, process: int, name: str, unit: str, at: int, value: float) -> None:
        """A figure that holds from cycle `at` on."""
        self._event({"ph": "C", "pid": process, "name": name, "ts": at, "args": {unit: value}})

    def _metadata(self, process: int, track: int, name: str, arguments: Arguments) -> None:
        self._event({"ph": "M", "pid": process, "tid": track, "name": name, "args": arguments})

    def _event(self, event: Mapping[str, Any]) -> None:
        self._write(f"{self._separator}\n{json.dumps(event, separators=(',', ':'))}")
        self._separator = ","

    def _write(self, text: str) -> None:
        try:
            self._file.write(text)
        except OSError as error:
            raise ReuseError(f"{self._path}: cannot write: {error.strerror}: choose another folder") from error
