"""Memory that native kernels write down in what a site did; see backend/cpu/src/watch.hpp."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.cpu import opened

__all__ = ["RECORD", "Taken", "Watch"]

RECORD = np.dtype(
    [
        ("totals", np.uint64),
        ("changed", np.int64),
        ("clipped", np.int64),
        ("clip_limit", np.int64),
        ("frames", np.int64),
        ("sparse", np.int64),
        ("nanoseconds", np.float64),
        ("squares", np.float64),
        ("row_largest", np.uint64),
        ("whole", np.int64),
    ]
)
"""One site: inputs that changed and inputs at an end of the range in the last frame; the most of the latter that the guard
allows, below 0 where it does not watch; frames, those of them with lists of changes, and nanoseconds since they were last
set to 0; the sum of :class:`~reuse_compiler.drift.Drift`; of CONVs, where the largest linear output of each row is kept; and
whether state was changed from outside, so that a kernel looks at all of it."""

_TOTALS = np.dtype([("changed", np.int64), ("overdue", np.int32), ("clipped", np.int32)])


class Taken(NamedTuple):
    """A frame, over all sites: inputs that changed, whether a linear output may have drifted too far, and whether a site had
    more inputs at an end of its range than the guard allows."""

    changed: int
    overdue: bool
    beyond: bool


class Watch:
    """Records of the sites of one stream.

    Parameters
    ----------
    library : Path
        The kernel library.
    sites : sequence of str
    linear : mapping of str to list of arrays
        By site, the buffers that its linear output is kept in.
    limits : mapping of str to int
        By site that the guard watches, the inputs at an end of the range that it allows.

    Attributes
    ----------
    records : array of RECORD, shape (sites,)
    totals : array, shape (1,)
        Where kernels add up what :meth:`taken` gives.
    """

    def __init__(
        self,
        library: Path,
        sites: Iterable[str],
        linear: Mapping[str, list[NDArray[Any]]],
        limits: Mapping[str, int],
    ) -> None:
        self._order = {site: number for number, site in enumerate(sites)}
        self.totals = np.zeros(1, _TOTALS)
        self.records = np.zeros(len(self._order), RECORD)
        self.records["totals"] = self.totals.ctypes.data
        self.records["clip_limit"] = -1
        for site, limit in limits.items():
            self.records["clip_limit"][self._order[site]] = limit
        self._words = self.totals.view(np.int64)
        rows = {site: np.zeros(math.prod(held[0].shape[:-2]), np.float32) for site, held in linear.items()}
        for site, largest in rows.items():
            self.records["row_largest"][self._order[site]] = largest.ctypes.data
        self.forget()
        lend = opened(library).reuse_watch
        addresses = []
        for site, number in self._order.items():
            record = self.records.ctypes.data + number * RECORD.itemsize
            for buffer in linear[site]:
                lend(buffer.ctypes.data, record)
                addresses.append(buffer.ctypes.data)
        # The arrays live as long as anybody may write to them.
        weakref.finalize(self, _take_back, lend, addresses, (self.totals, self.records, rows, dict(linear)))

    def forget(self, sites: Iterable[str] | None = None) -> None:
        """After state was changed from outside: the kernels of `sites`, by default of all, look at all of it in the next frame."""
        chosen = slice(None) if sites is None else [self._order[site] for site in sites]
        self.records["whole"][chosen] = 1

    def begin(self) -> None:
        """Before a frame."""
        self._words.fill(0)

    def taken(self) -> Taken:
        """What all sites did in the last frame."""
        changed, flags = self._words.tolist()
        return Taken(changed, bool(flags & 0xFFFFFFFF), bool(flags >> 32))

    def of(self, site: str) -> Any:
        """The record of `site`."""
        return self.records[self._order[site]]


def _take_back(lend: Any, addresses: list[int], arrays: object) -> None:
    for address in addresses:
        lend(address, None)
