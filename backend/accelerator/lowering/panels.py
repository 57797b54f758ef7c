"""Panels: matrices in the I/O buffer, and parts of them."""

from __future__ import annotations

from dataclasses import dataclass

from reuse_compiler.backend.accelerator.lowering.emitter import Region
from reuse_compiler.backend.accelerator.lowering.work import Block

__all__ = ["Panel", "Range"]

Range = tuple[int, int]  # start, count


@dataclass(frozen=True)
class Panel:
    """Rows and columns of a matrix in the I/O buffer.

    Parameters
    ----------
    address : int
        Byte address of the first element.
    rows, columns, stride, itemsize : int
        Extents, elements between rows, bytes of an element.
    region : Region
        The bytes that instructions wait for.
    origin : tuple of int
        Row and column of the first element in the whole matrix.
    solid : bool
        Parts are waited for like the whole: for matrices that one step writes and later ones read, of which there would
        be too many parts to keep apart.
    """

    address: int
    rows: int
    columns: int
    stride: int
    itemsize: int
    region: Region
    origin: tuple[int, int] = (0, 0)
    solid: bool = False

    @classmethod
    def of(cls, block: Block, rows: int, columns: int, itemsize: int = 4, *, solid: bool = False) -> Panel:
        """The panel of a whole block."""
        start, stride = block.address, block.strides[0]
        region = block.region
        if not solid:
            box = ((0, rows), (0, columns))
            stop = start + ((rows - 1) * stride + columns) * itemsize
            region = Region(region.area, start, stop, (start, stride, itemsize), box)
        return cls(start, rows, columns, stride, itemsize, region, solid=solid)

    def part(self, rows: Range, columns: Range) -> Panel:
        """Some of its rows and columns."""
        address = self.address + (rows[0] * self.stride + columns[0]) * self.itemsize
        origin = (self.origin[0] + rows[0], self.origin[1] + columns[0])
        region = self.region
        if not self.solid:
            stop = address + ((rows[1] - 1) * self.stride + columns[1]) * self.itemsize
            box = ((origin[0], rows[1]), (origin[1], columns[1]))
            region = Region(region.area, address, stop, region.key, box)
        return Panel(address, rows[1], columns[1], self.stride, self.itemsize, region, origin, self.solid)

    def some_rows(self, start: int, count: int) -> Panel:
        """`count` rows from `start` on."""
        return self if (start, count) == (0, self.rows) else self.part((start, count), (0, self.columns))

    def some_columns(self, start: int, count: int) -> Panel:
        """`count` columns from `start` on."""
        return self if (start, count) == (0, self.columns) else self.part((0, self.rows), (start, count))

    @property
    def block(self) -> Block:
        """As an operand of an instruction."""
        return Block(self.address, (self.stride, 1), self.region)
