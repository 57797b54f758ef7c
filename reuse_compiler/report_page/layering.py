"""Layered drawing of a directed graph without cycles (Sugiyama, Tagawa, Toda, IEEE SMC 1981): ranks, and the order in
each rank.

An edge over several ranks passes a bend in each rank between. All edges that leave one vertex share its bends, so that
there are never more than vertices times ranks of them.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

__all__ = ["Layering", "layered"]

_SWEEPS = 6


@dataclass(frozen=True)
class Layering:
    """Vertices, those of the graph first, then the bends.

    `ranks` has the vertices of each rank from left to right, `rank_of` the rank of each vertex, `above` and `below` its
    neighbours one rank up and down, and `paths` the vertices that each edge of the graph passes, ends included.
    """

    ranks: list[list[int]]
    rank_of: list[int]
    above: list[list[int]]
    below: list[list[int]]
    paths: list[list[int]]


def layered(count: int, edges: Sequence[tuple[int, int]], inputs: Collection[int] = ()) -> Layering:
    """Rank and order `count` vertices, numbered in topological order; `edges` are pairs of them, each once.

    What no one of `inputs` leads to, as what makes constants, stands as low as it may, close to its readers.
    """
    rank_of = _longest_paths(count, edges, inputs)
    paths, bends = _with_bends(rank_of, edges)
    above: list[list[int]] = [[] for _ in rank_of]
    below: list[list[int]] = [[] for _ in rank_of]
    for upper, lower in dict.fromkeys(pair for path in paths for pair in itertools.pairwise(path)):
        below[upper].append(lower)
        above[lower].append(upper)
    ranks: list[list[int]] = [[] for _ in range(max(rank_of, default=-1) + 1)]
    for vertex in (*range(count), *bends):
        ranks[rank_of[vertex]].append(vertex)
    return Layering(_ordered(ranks, above, below), rank_of, above, below, paths)


def _longest_paths(count: int, edges: Sequence[tuple[int, int]], inputs: Collection[int]) -> list[int]:
    """The rank of a vertex is the longest path to it; of one that no input leads to, as low as its readers allow."""
    readers: dict[int, list[int]] = defaultdict(list)
    rank_of, led = [0] * count, [False] * count
    for source, target in sorted(edges):
        readers[source].append(target)
    for vertex in range(count):
        for target in readers[vertex]:
            rank_of[target] = max(rank_of[target], rank_of[vertex] + 1)
            led[target] |= led[vertex] or vertex in inputs
    for vertex in reversed(range(count)):
        if not led[vertex] and readers[vertex]:
            rank_of[vertex] = min(rank_of[target] for target in readers[vertex]) - 1
    return rank_of


def _with_bends(rank_of: list[int], edges: Sequence[tuple[int, int]]) -> tuple[list[list[int]], list[int]]:
    """The path of each edge, and the bends, whose ranks are added to `rank_of`."""
    shared: dict[tuple[int, int], int] = {}
    paths = []
    for source, target in edges:
        path = [source]
        for rank in range(rank_of[source] + 1, rank_of[target]):
            bend = shared.setdefault((source, rank), len(rank_of))
            if bend == len(rank_of):
                rank_of.append(rank)
            path.append(bend)
        paths.append([*path, target])
    return paths, list(shared.values())


def _ordered(ranks: list[list[int]], above: list[list[int]], below: list[list[int]]) -> list[list[int]]:
    """Order every rank by the barycenters of its neighbours, down and up in turns; the order with the fewest crossings."""
    place = {vertex: i for rank in ranks for i, vertex in enumerate(rank)}
    best, fewest = [list(rank) for rank in ranks], _crossings(ranks, below, place)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        neighbours = below if sweep % 2 else above
        for rank in reversed(ranks) if sweep % 2 else ranks:
            centre = {
                vertex: sum(place[other] for other in neighbours[vertex]) / len(neighbours[vertex])
                if neighbours[vertex]
                else place[vertex]
                for vertex in rank
            }
            rank.sort(key=lambda vertex: centre[vertex])
            place |= {vertex: i for i, vertex in enumerate(rank)}
        crossings = _crossings(ranks, below, place)
        if crossings < fewest:
            best, fewest = [list(rank) for rank in ranks], crossings
    return best


def _crossings(ranks: list[list[int]], below: list[list[int]], place: dict[int, int]) -> int:
    crossings = 0
    for rank in ranks:
        seen: list[int] = []
        for vertex in rank:
            ends = [place[other] for other in below[vertex]]
            crossings += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return crossings
