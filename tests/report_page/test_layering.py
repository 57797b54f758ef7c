"""Ranks and their order."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from reuse_compiler.report_page.layering import layered

Edges = list[tuple[int, int]]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, Edges]:
    """Vertices in topological order, and edges, each once."""
    count = draw(st.integers(1, 14))
    pairs = [(a, b) for b in range(count) for a in range(b)]
    return count, draw(st.lists(st.sampled_from(pairs), unique=True, max_size=30)) if pairs else []


@given(graphs())
@settings(max_examples=40)
def test_edges_go_down_one_rank_at_a_time(graph: tuple[int, Edges]) -> None:
    count, edges = graph
    found = layered(count, edges)
    assert [(path[0], path[-1]) for path in found.paths] == edges
    for path in found.paths:
        assert all(found.rank_of[lower] == found.rank_of[upper] + 1 for upper, lower in pairwise(path))


@given(graphs())
@settings(max_examples=40)
def test_every_vertex_stands_once_and_in_its_rank(graph: tuple[int, Edges]) -> None:
    found = layered(*graph)
    places = [(vertex, rank) for rank, vertices in enumerate(found.ranks) for vertex in vertices]
    assert sorted(places) == list(enumerate(found.rank_of))


def test_a_chain_has_a_rank_each() -> None:
    assert layered(4, [(0, 1), (1, 2), (2, 3)]).ranks == [[0], [1], [2], [3]]


def test_what_no_input_leads_to_stands_above_its_reader() -> None:
    edges = [(0, 1), (1, 2), (2, 3), (4, 5), (3, 6), (5, 6)]
    assert layered(7, edges, {0}).rank_of[:7] == [0, 1, 2, 3, 2, 3, 4]


def test_readers_of_one_vertex_share_its_bends() -> None:
    chain = [(vertex, vertex + 1) for vertex in range(5)]
    found = layered(6, [*chain, (0, 4), (0, 5)])
    assert len(found.rank_of) == 6 + 4


def test_crossings_that_need_not_be_are_undone() -> None:
    found = layered(4, [(0, 3), (1, 2)])
    upper, lower = found.ranks
    assert [upper.index(0), upper.index(1)] == [lower.index(3), lower.index(2)]


def test_a_graph_without_vertices_has_no_ranks() -> None:
    assert layered(0, []).ranks == []
