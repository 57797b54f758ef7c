"""A journal of what candidates came to, so that a search that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Mapping
from pathlib import Path

from reuse_compiler.errors import BudgetError
from reuse_compiler.quantizers import LinearQuantizer

__all__ = ["Journal"]

Known = tuple[float, float, float]
"""Reuse, loss and error."""

_CUT_OFF = re.compile(r'\[("[0-9a-f]*("[^"]*)?)?')
"""The beginning of a line."""


class Journal:
    """Outcomes by what they are of; a line of a file each, if there is a file.

    Evaluation is deterministic, so that a search with a journal takes the same way as one without.

    Parameters
    ----------
    path : Path or None
        Read if it is there, and appended to. A last line that was cut off is written anew.
    of : str
        What the outcomes belong to besides the quantizers: the hash of model, frames and budget.

    Raises BudgetError where the file is no journal or cannot be written.
    """

    def __init__(self, path: Path | None = None, of: str = "") -> None:
        self._of = of
        self._path = path
        self._lock = threading.Lock()
        self._known: dict[str, Known] = {}
        if path is not None:
            self._read(path)

    def _read(self, path: Path) -> None:
        try:
            text = path.read_text() if path.exists() else ""
            whole = text[: text.rfind("\n") + 1]
            if whole != text and not _CUT_OFF.fullmatch(text, len(whole)):
                raise ValueError
            for line in whole.splitlines():
                key, reuse, loss, error = json.loads(line)
                self._known[str(key)] = float(reuse), float(loss), float(error)
            if whole != text or not path.exists():
                path.write_text(whole)
        except OSError as error:
            raise BudgetError(f"{path}: {error.strerror or error}: give another file") from error
        except (ValueError, TypeError) as error:
            raise BudgetError(f"{path}: no journal of a search: give another file, or remove it") from error

    def key(self, cut: str, quantizers: Mapping[str, LinearQuantizer]) -> str:
        """What a candidate is known by, on some of the frames."""
        parts = [self._of, cut, *(f"{name}={quantizers[name]!r}" for name in sorted(quantizers))]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]

    def known(self, key: str) -> Known | None:
        """Reuse, loss and error, if they are known."""
        return self._known.get(key)

    def write(self, key: str, outcome: Known) -> None:
        """Take down an outcome. Raises BudgetError where the file cannot be written."""
        with self._lock:
            self._known[key] = outcome
            if self._path is not None:
                _append(self._path, json.dumps([key, *outcome]) + "\n")


def _append(path: Path, line: str) -> None:
    try:
        with path.open("a") as file:
            file.write(line)
    except OSError as error:
        raise BudgetError(
            f"{path}: cannot write the journal: {error.strerror or error}: make room there and start the fit again, which"
            " goes on from what it holds, or give another file"
        ) from error
