"""Compare what a page shows with what a command printed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest

__all__ = ["difference"]

_ANY = "..."
_SHARE = 0.02  # of a number: rounding differs between machines, and an index on an edge with it
_TIME = re.compile(r"\d[\d.,]* (?=(?:ns|µs|ms|s|GMAC/s|MMAC/s|seconds|frames/s)\b)")
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?(?!\w)")
_RULE = re.compile(r"─+")


def difference(shown: str, printed: str) -> str | None:
    """The first line that is shown and was not printed, with what was; None where all agree.

    White space and times do not count, and numbers may differ by 2 % or by one in their last place.
    """
    expected, found = _lines(shown), _lines(printed)
    position = 0
    groups = _groups(expected)
    for number, group in enumerate(groups):
        last = number == len(groups) - 1
        if number == 0:
            start: int | None = 0
        elif last:
            start = max(len(found) - len(group), position)
        else:
            start = _find(group, found, position)
        if start is None:
            return f"shown and not printed: {group[0]}"
        end = len(found) if last else start + len(group)
        for line, other in zip_longest(group, found[start:end], fillvalue=""):
            if not _alike(line, other):
                return f"shown:   {line}\nprinted: {other}"
        position = start + len(group)
    return None


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip("\n").splitlines()]


def _groups(lines: Sequence[str]) -> list[list[str]]:
    groups: list[list[str]] = [[]]
    for line in lines:
        if line.strip() == _ANY:
            groups.append([])
        else:
            groups[-1].append(line)
    return groups


def _find(group: Sequence[str], lines: Sequence[str], position: int) -> int | None:
    for start in range(position, len(lines) - len(group) + 1):
        if _alike(group[0], lines[start]):
            return start
    return None


def _alike(shown: str, printed: str) -> bool:
    first, second = _plain(shown), _plain(printed)
    if first == second:
        return True
    if _NUMBER.sub("#", first) != _NUMBER.sub("#", second):
        return False
    pairs = zip(_NUMBER.findall(first), _NUMBER.findall(second), strict=True)
    return all(_near(one, other) for one, other in pairs)


def _plain(line: str) -> str:
    return " ".join(_RULE.sub("─", _TIME.sub("# ", line)).split())


def _near(shown: str, printed: str) -> bool:
    one, other = (float(text.replace(",", "")) for text in (shown, printed))
    mantissa = shown.partition("e")[0]
    places = len(mantissa.partition(".")[2])
    exponent = int(shown.partition("e")[2] or 0)
    last_place = 10.0 ** (exponent - places) if places else 0.0
    return abs(one - other) <= max(_SHARE * abs(one), 1.001 * last_place)
