"""Find the strided boxes that a map of element numbers is made of.

A map is separable where its numbers are a sum of one line along each axis. A line is a few affine runs, which may repeat
with a period. What is not separable is cut where two neighbouring slices do not differ by one number.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.movement.moves import Axis, BoxMove

__all__ = ["COPIED_AXES", "copies", "find_boxes", "merged"]

Numbers = NDArray[np.int32]
Line = NDArray[np.int64]

COPIED_AXES = 4
"""Axes that one copy goes along."""

_PERIODS = 64  # changes of the step of a line whose distance from its begin is tried as its period
_CHUNK = 1 << 20


@dataclass(frozen=True)
class _Run:
    """A part of a line: the position and number of its first element, and axes whose `target` counts positions."""

    start: int
    first: int
    axes: tuple[Axis, ...]


def copies(move: BoxMove) -> int:
    """How many copies of at most four axes a box takes: one for each element along the shortest of its other axes."""
    sizes = sorted(axis.size for axis in move.axes)
    return math.prod(sizes[: max(len(sizes) - COPIED_AXES, 0)])


def find_boxes(numbers: Numbers, bases: Sequence[int], most: int) -> list[BoxMove] | None:
    """The boxes of `numbers`, int32 in the shape of the output, in the order of the output; None for more than `most`.

    `bases` are the first numbers of the operands in ascending order; below them are constants. Every box is of one
    source, and `first` counts from the source's begin.
    """
    numbers = numbers.reshape([size for size in numbers.shape if size > 1] or [1])
    strides = [math.prod(numbers.shape[axis + 1 :]) for axis in range(numbers.ndim)]
    starts = np.array([0, *bases])
    found: list[BoxMove] = []
    pending = [(numbers, 0)]
    while pending:
        part, target = pending.pop()
        lines = _lines(part)
        separable = _is_separable(part, lines)
        if separable and _is_of_one_source(lines, starts):
            found += itertools.islice(_boxes(lines, strides, target, starts, most), most + 1 - len(found))
        else:
            axis, edges = _cuts(part, bases, separable=separable)
            if len(edges) > most:
                return None
            limits = itertools.pairwise([0, *edges, part.shape[axis]])
            before = (slice(None),) * axis
            pieces = [(part[(*before, slice(*pair))], target + pair[0] * strides[axis]) for pair in limits]
            pending += reversed(pieces)
        if len(found) + len(pending) > most:
            return None
    return found


def merged(axes: Sequence[Axis]) -> tuple[Axis, ...]:
    """The same elements along fewer axes: those of size 1 are dropped, neighbours that continue each other joined."""
    result: list[Axis] = []
    for axis in axes:
        if axis.size == 1:
            continue
        last = result[-1] if result else None
        if last and (last.source, last.target) == (axis.source * axis.size, axis.target * axis.size):
            result[-1] = Axis(last.size * axis.size, axis.source, axis.target)
        else:
            result.append(axis)
    return tuple(result)


def _lines(part: Numbers) -> list[Line]:
    """The numbers along each axis from the first element on."""
    return [
        part[tuple(slice(None) if other == axis else 0 for other in range(part.ndim))].astype(np.int64)
        for axis in range(part.ndim)
    ]


def _is_separable(part: Numbers, lines: Sequence[Line]) -> bool:
    """Whether every number is the sum of those of its lines. Works in pieces, so that memory stays small."""
    if part.ndim < 2:
        return True
    slab = part[0]
    first = lines[0][0]
    expected: NDArray[np.int64] = np.full((1,) * slab.ndim, first, np.int64)
    for axis, line in enumerate(lines[1:]):
        expected = expected + (line - first).reshape([-1 if other == axis else 1 for other in range(slab.ndim)])
    inner = expected.astype(np.int32)
    rows = max(_CHUNK // max(slab.size, 1), 1)
    steps = (lines[0] - first).astype(np.int32).reshape(-1, *(1,) * slab.ndim)
    return all(
        bool((part[start : start + rows] == inner + steps[start : start + rows]).all())
        for start in range(0, len(part), rows)
    )


def _source(number: int, starts: Line) -> int:
    """Which source a number belongs to: 0 the constants, then the operands."""
    return int(np.searchsorted(starts, number, "right")) - 1


def _is_of_one_source(lines: Sequence[Line], starts: Line) -> bool:
    """Whether the least and the greatest number of a separable part have one source."""
    first = int(lines[0][0])
    low, high = (first + sum(int(end(line)) - first for line in lines) for end in (np.min, np.max))
    return _source(low, starts) == _source(high, starts)


def _cuts(part: Numbers, bases: Sequence[int], *, separable: bool) -> tuple[int, list[int]]:
    """The axis that needs the fewest cuts, and the positions along it: where the sources of neighbouring slices differ,
    or else their elements by more than one number."""
    sources = np.zeros(part.shape, np.int16)
    for base in bases:
        sources += part >= base
    edges = [_changes(sources, axis) for axis in range(part.ndim)]
    if not separable and not any(edges):
        edges = [_irregularities(part, axis) for axis in range(part.ndim)]
    axis = min((axis for axis in range(part.ndim) if edges[axis]), key=lambda a: (len(edges[a]), -part.shape[a]))
    return axis, edges[axis]


def _changes(sources: NDArray[np.int16], axis: int) -> list[int]:
    """The positions of slices along `axis` that are not like the one before."""
    others = tuple(other for other in range(sources.ndim) if other != axis)
    here, behind = np.moveaxis(sources, axis, 0)[1:], np.moveaxis(sources, axis, 0)[:-1]
    changed = np.moveaxis(here != behind, 0, axis).any(axis=others)
    return (np.flatnonzero(changed) + 1).tolist()


def _irregularities(part: Numbers, axis: int) -> list[int]:
    """The positions of slices along `axis` that are not the one before plus one number."""
    others = tuple(other for other in range(part.ndim) if other != axis)
    steps = np.diff(part, axis=axis)
    return (np.flatnonzero(steps.min(axis=others) != steps.max(axis=others)) + 1).tolist()


def _boxes(lines: Sequence[Line], strides: Sequence[int], target: int, starts: Line, most: int) -> Iterator[BoxMove]:
    """The boxes of a separable part of one source: each combination of runs of its lines. Of more than `most` only the
    first."""
    first = int(lines[0][0])
    for runs in itertools.product(*(_runs(line, most) for line in lines)):
        begin = first + sum(run.first - first for run in runs)
        source = _source(begin, starts)
        place = target + sum(run.start * stride for run, stride in zip(runs, strides, strict=True))
        axes = [
            Axis(axis.size, axis.source, axis.target * stride)
            for run, stride in zip(runs, strides, strict=True)
            for axis in run.axes
        ]
        yield BoxMove(source - 1, begin - int(starts[source]), place, merged(axes))


def _runs(line: Line, most: int) -> list[_Run]:
    """The fewest affine runs found: the plain ones, or those of one period where the line repeats. Of more than `most` it
    gives the first, one too many."""
    steps = np.diff(line)
    if line.size == 1 or bool((steps == steps[0]).all()):
        step = int(steps[0]) if line.size > 1 else 0
        return [_Run(0, int(line[0]), (Axis(line.size, step, 1),))]
    changes = np.flatnonzero(np.diff(steps))[:_PERIODS] + 1
    best = _plain_runs(line, steps, most)
    for period in sorted({int(p) for change in changes for p in (change, change + 1)}):
        if period < 2 or 2 * period > line.size or not _repeats(steps, period):
            continue
        whole = line.size // period
        outer = Axis(whole, int(line[period] - line[0]), period)
        runs = [_Run(run.start, run.first, (outer, *run.axes)) for run in _runs(line[:period], most)]
        if line.size % period:
            behind = whole * period
            runs += [_Run(run.start + behind, run.first, run.axes) for run in _runs(line[behind:], most)]
        best = min(best, runs, key=len)[: most + 1]
    return best


def _repeats(steps: Line, period: int) -> bool:
    front = min(steps.size - period, 4 * _PERIODS)
    return bool((steps[period : period + front] == steps[:front]).all()) and bool(
        (steps[period:] == steps[:-period]).all()
    )


def _plain_runs(line: Line, steps: Line, most: int) -> list[_Run]:
    """One affine run after the other, each as long as it goes; `most` + 1 where there are more."""
    changes = np.flatnonzero(np.diff(steps)) + 1  # positions of steps unlike the one before
    runs: list[_Run] = []
    start = 0
    while start < line.size and len(runs) <= most:
        if start == line.size - 1:
            end = line.size
        else:
            behind = int(np.searchsorted(changes, start, "right"))
            end = int(changes[behind]) + 1 if behind < changes.size else line.size
        step = int(steps[start]) if end - start > 1 else 0
        runs.append(_Run(start, int(line[start]), (Axis(end - start, step, 1),)))
        start = end
    return runs
