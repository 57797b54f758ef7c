"""Numbers, names and messages as they are printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Scale", "byte_size", "counted", "number", "one_line", "percent", "printable", "scale", "shorten", "times"]

_SIZES = (("bytes", 1), ("KB", 1 << 10), ("MB", 1 << 20), ("GB", 1 << 30))


def printable(text: str) -> str:
    """`text` with what a terminal would obey or not show written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def one_line(text: str) -> str:
    """`text` on one line that is safe to print."""
    return printable(" ".join(line.strip() for line in text.splitlines()))


def shorten(name: str, width: int) -> str:
    """`name` in at most `width` characters, the middle left out."""
    if len(name) <= width:
        return name
    tail = width // 2
    return f"{name[: width - 1 - tail]}…{name[len(name) - tail :]}"


def percent(share: float | None) -> str:
    """A share from 0 to 1 in percent, without the sign; empty for None."""
    if share is None:
        return ""
    text = f"{share * 100:.1f}"
    return "0.0" if text == "-0.0" else text


def counted(amount: int, noun: str) -> str:
    """``1 frame``, ``2 frames``."""
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {noun}s"


def times(ratio: float) -> str:
    """A speedup."""
    return f"{ratio:.2f}"


def number(value: float | None) -> str:
    """A number to four digits; empty for None."""
    return "" if value is None else f"{value:.4g}"


def byte_size(size: int) -> str:
    """A size in bytes with the unit that suits it; a KB is 1,024 bytes."""
    unit, factor = next(
        ((unit, factor) for unit, factor in _SIZES if size < 10_000 * factor),
        _SIZES[-1],
    )
    amount = size / factor
    return f"{amount:,.{0 if factor == 1 or amount >= 100 else 1}f} {unit}"


@dataclass(frozen=True)
class Scale:
    """How the figures of a column are written.

    Parameters
    ----------
    unit : str
        With its prefix, as in a header.
    factor : float
        What one of it is in the plain unit.
    digits : int
        Behind the point.
    """

    unit: str
    factor: float
    digits: int

    @property
    def smallest(self) -> float:
        """The least value that is not shown as 0, in the plain unit."""
        return float(self.factor * 0.5 * 10.0**-self.digits)

    def show(self, value: float) -> str:
        """`value`, given in the plain unit."""
        return f"{value / self.factor:,.{self.digits}f}"


def scale(largest: float, units: Sequence[tuple[str, float]], limit: float) -> Scale:
    """The first of `units` (name and factor, ascending) in which `largest` stays below `limit`, with five digits."""
    unit, factor = next((unit for unit in units if largest < limit * unit[1]), units[-1])
    digits = next((digits for digits in range(3) if largest / factor >= 10.0 ** (4 - digits)), 3)
    return Scale(unit, factor, digits)
