"""Keep something of every part of a stream whose length nobody knows, in memory that does not grow with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["FrameSums", "Kept"]

Item = TypeVar("Item")


@dataclass
class Kept(Generic[Item]):
    """Every `every`-th item; twice as sparse whenever there would be more than `most`."""

    most: int
    every: int = 1
    items: list[Item] = field(default_factory=list)

    def wants(self, number: int) -> bool:
        """Whether item `number`, which comes next, is to be added."""
        return number % self.every == 0

    def add(self, item: Item) -> None:
        """Add an item that is wanted."""
        self.items.append(item)
        if len(self.items) > self.most:
            del self.items[1::2]
            self.every *= 2


class FrameSums:
    """Sums of rows of numbers over `every` frames; over twice as many whenever there would be more than `most`.

    Parameters
    ----------
    columns : int
        Numbers in a row.
    most : int
        Sums kept; even.
    """

    def __init__(self, columns: int, most: int) -> None:
        self.every, self.frames = 1, 0
        self._sums = np.zeros((most, columns), np.float64)

    def add(self, row: NDArray[np.float64]) -> None:
        """Add the row of the next frame: [columns]."""
        if self.frames == len(self._sums) * self.every:
            half = len(self._sums) // 2
            self._sums[:half] = self._sums[::2] + self._sums[1::2]
            self._sums[half:] = 0
            self.every *= 2
        self._sums[self.frames // self.every] += row
        self.frames += 1

    def means(self) -> NDArray[np.float64]:
        """The mean row of each stretch of `every` frames: [stretches, columns]."""
        used = -(-self.frames // self.every)
        lengths = np.full(used, self.every)
        if used:
            lengths[-1] = self.frames - (used - 1) * self.every
        means: NDArray[np.float64] = self._sums[:used] / np.maximum(lengths, 1)[:, None]
        return means
