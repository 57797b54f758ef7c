"""Where boxes and edges of a layered graph are drawn, in pixels.

In a rank, vertices stand as near to the mean of their neighbours as the distances between boxes allow, which is an
isotonic regression. A graph of many ranks is broken into columns like a newspaper, since a network of four hundred
layers would be a hair in any window.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from reuse_compiler.report_page.layering import Layering, layered

__all__ = ["BOX_HEIGHT", "BOX_WIDTH", "Drawing", "isotonic", "place"]

BOX_WIDTH, BOX_HEIGHT = 136, 36
_BOX_GAP, _BEND_WIDTH, _RANK_HEIGHT = 14, 18, 62
_GUTTER, _MARGIN, _TURN = 40, 24, 14
_SWEEPS = 8
_UPRIGHT = 0.6
"""How much vertices with several equal neighbours are drawn to the middle, so that no side of many branches leans."""
_LONGEST_COLUMN = 9
_TALL = 1.3
"""Height over width that columns aim at."""


@dataclass(frozen=True)
class Drawing:
    """Size of the whole, centre of each box, and the path of each edge in the language of SVG."""

    width: int
    height: int
    centres: list[tuple[int, int]]
    paths: list[str]


@dataclass(frozen=True)
class _Columns:
    """The column that each rank lies in; per column its first rank, what to add to places in it, and its right edge."""

    of_rank: list[int]
    first: list[int]
    shift: list[float]
    right: list[float]


def place(count: int, edges: Sequence[tuple[int, int]], inputs: Collection[int] = ()) -> Drawing:
    """Draw `count` boxes, numbered in topological order, and the `edges` between them, each once; `inputs` are those of
    the model."""
    graph = layered(count, edges, inputs)
    if not graph.ranks:
        return Drawing(2 * _MARGIN, 2 * _MARGIN, [], [])
    half = [BOX_WIDTH / 2 if vertex < count else _BEND_WIDTH / 2 for vertex in range(len(graph.rank_of))]
    across = _across(graph, half)
    columns = _columns(graph, across, half)
    centres = []
    for vertex, rank in enumerate(graph.rank_of):
        column = columns.of_rank[rank]
        x = across[vertex] + columns.shift[column]
        y = _MARGIN + BOX_HEIGHT / 2 + _RANK_HEIGHT * (rank - columns.first[column])
        centres.append((round(x), round(y)))
    longest = max(columns.of_rank.count(column) for column in range(len(columns.first)))
    bottom = _MARGIN + _RANK_HEIGHT * (longest - 1) + BOX_HEIGHT
    turning = [column for path in graph.paths for column in _turns(path, graph, columns)]
    gutter = {column: columns.right[column] + _GUTTER / 2 for column in turning}
    paths = [_path(path, graph, columns, centres, gutter) for path in graph.paths]
    width = round(columns.right[-1] + _MARGIN)
    return Drawing(width, bottom + _MARGIN, centres[:count], paths)


def _across(graph: Layering, half: list[float]) -> list[float]:
    """The horizontal place of every vertex; the order of each rank stays.

    On the way down a vertex is drawn to those above by how long the paths to them are, and resists by how long its own
    way down is; on the way up the other way round. So the trunk of a network is straight, and what is short stands beside.
    """
    x = [0.0] * len(half)
    for rank in graph.ranks:
        for vertex, offset in zip(rank, _offsets(rank, half), strict=True):
            x[vertex] = offset
    over, under = _lengths(graph.ranks, graph.above), _lengths(graph.ranks[::-1], graph.below)
    for sweep in range(_SWEEPS):
        neighbours, length, other = (graph.below, under, over) if sweep % 2 else (graph.above, over, under)
        for rank in reversed(graph.ranks) if sweep % 2 else graph.ranks:
            offsets = _offsets(rank, half)
            wanted = [_drawn_to(vertex, neighbours[vertex], x, length) for vertex in rank]
            free = [want - offset for want, offset in zip(wanted, offsets, strict=True)]
            stiff = [float((other[vertex] + 1) ** 3) for vertex in rank]
            for vertex, offset, base in zip(rank, offsets, isotonic(free, stiff), strict=True):
                x[vertex] = offset + base
    return x


def _lengths(ranks: list[list[int]], neighbours: list[list[int]]) -> list[int]:
    """The longest path to each vertex along `neighbours`, which lie in the ranks before."""
    length = [0] * len(neighbours)
    for rank in ranks:
        for vertex in rank:
            length[vertex] = max((length[other] + 1 for other in neighbours[vertex]), default=0)
    return length


def _drawn_to(vertex: int, near: list[int], x: list[float], length: list[int]) -> float:
    """Where the neighbours on one side would have a vertex."""
    if not near:
        return x[vertex]
    weights = [length[other] ** 2 + 1e-3 for other in near]
    mean = sum(weight * x[other] for weight, other in zip(weights, near, strict=True)) / sum(weights)
    return mean * (1 - _UPRIGHT * (1 - max(weights) / sum(weights)))


def _offsets(rank: list[int], half: list[float]) -> list[float]:
    """Places of the vertices of a rank that stand as close as they may."""
    offsets = [0.0]
    for left, right in itertools.pairwise(rank):
        offsets.append(offsets[-1] + half[left] + _BOX_GAP + half[right])
    return offsets


def isotonic(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The non-decreasing sequence with the least weighted squared distance from `values`, by pooling adjacent violators
    (Barlow, Bartholomew, Bremner, Brunk 1972). `weights` are above 0."""
    blocks: list[tuple[float, float, int]] = []
    for value, given in zip(values, weights, strict=True):
        total, weight, size = value * given, given, 1
        while blocks and blocks[-1][0] / blocks[-1][1] > total / weight:
            before, heavy, many = blocks.pop()
            total, weight, size = total + before, weight + heavy, size + many
        blocks.append((total, weight, size))
    return [total / weight for total, weight, size in blocks for _ in range(size)]


def _columns(graph: Layering, across: list[float], half: list[float]) -> _Columns:
    """Break the ranks into columns so that the whole is about as high and wide as the windows that show it."""
    spans = [(min(across[v] - half[v] for v in rank), max(across[v] + half[v] for v in rank)) for rank in graph.ranks]
    ranks = len(spans)
    usual = sorted(high - low for low, high in spans)[ranks * 9 // 10] + _GUTTER
    count = 1 if ranks <= _LONGEST_COLUMN else max(round(math.sqrt(ranks * _RANK_HEIGHT / usual / _TALL)), 1)
    length = math.ceil(ranks / count)
    first = list(range(0, ranks, length))
    shift, right, edge = [], [], float(_MARGIN)
    for start in first:
        low = min(low for low, _ in spans[start : start + length])
        high = max(high for _, high in spans[start : start + length])
        shift.append(edge - low)
        right.append(edge + high - low)
        edge = right[-1] + _GUTTER
    return _Columns([rank // length for rank in range(ranks)], first, shift, right)


def _turns(path: list[int], graph: Layering, columns: _Columns) -> list[int]:
    """The columns that a path leaves at their end."""
    of = [columns.of_rank[graph.rank_of[vertex]] for vertex in path]
    return [here for here, there in itertools.pairwise(of) if here != there]


def _path(
    path: list[int],
    graph: Layering,
    columns: _Columns,
    centres: list[tuple[int, int]],
    gutter: dict[int, float],
) -> str:
    """Curves between ranks; at the end of a column down, up the gutter, and into the next one from above."""
    x, y = centres[path[0]]
    y += BOX_HEIGHT // 2
    text = [f"M{x} {y}"]
    for number, (here, there) in enumerate(itertools.pairwise(path)):
        to_x, to_y = centres[there]
        if number == len(path) - 2:
            to_y -= BOX_HEIGHT // 2
        column = columns.of_rank[graph.rank_of[here]]
        if columns.of_rank[graph.rank_of[there]] != column:
            top = centres[there][1] - BOX_HEIGHT // 2 - _TURN
            bottom = centres[here][1] + BOX_HEIGHT // 2 + _TURN
            text.append(f"V{bottom}H{round(gutter[column])}V{top}H{to_x}V{to_y}")
        elif x == to_x:
            text.append(f"V{to_y}")
        else:
            middle = (y + to_y) // 2
            text.append(f"C{x} {middle} {to_x} {middle} {to_x} {to_y}")
        x, y = to_x, to_y
    return "".join(text)
