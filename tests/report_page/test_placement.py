"""Where boxes and edges are drawn."""

from __future__ import annotations

import itertools
import re
from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from reuse_compiler.report_page.placement import BOX_HEIGHT, BOX_WIDTH, isotonic, place
from tests.report_page.test_layering import Edges, graphs


@given(graphs())
@settings(max_examples=40)
def test_boxes_lie_inside_and_beside_each_other(graph: tuple[int, Edges]) -> None:
    drawing = place(*graph)
    for x, y in drawing.centres:
        assert BOX_WIDTH / 2 <= x <= drawing.width - BOX_WIDTH / 2
        assert BOX_HEIGHT / 2 <= y <= drawing.height - BOX_HEIGHT / 2
    for (x, y), (other_x, other_y) in combinations(drawing.centres, 2):
        assert abs(x - other_x) >= BOX_WIDTH or abs(y - other_y) >= BOX_HEIGHT


@given(graphs())
@settings(max_examples=40)
def test_edges_begin_below_one_box_and_end_above_the_other(graph: tuple[int, Edges]) -> None:
    count, edges = graph
    drawing = place(count, edges)
    for (source, target), path in zip(edges, drawing.paths, strict=True):
        (x, y), (to_x, to_y) = drawing.centres[source], drawing.centres[target]
        assert path.startswith(f"M{x} {y + BOX_HEIGHT // 2}")
        last = re.findall(r"-?[0-9]+", path)[-1]
        assert int(last) == to_y - BOX_HEIGHT // 2
        assert "V" in path or path.endswith(f" {to_x} {last}")


@given(st.lists(st.tuples(st.floats(-100, 100), st.floats(0.1, 10)), min_size=1, max_size=12))
@settings(max_examples=40)
def test_isotonic_regression_is_that_of_scikit_learn(pairs: list[tuple[float, float]]) -> None:
    values, weights = zip(*pairs, strict=True)
    expected = IsotonicRegression().fit_transform(np.arange(len(values)), values, sample_weight=weights)
    np.testing.assert_allclose(isotonic(values, weights), expected, atol=1e-6)


def test_a_trunk_is_straight_and_what_is_short_stands_beside_it() -> None:
    leaves, trunk, sink = range(3), range(3, 11), 11
    edges = [*itertools.pairwise(trunk), *zip(leaves, (6, 7, 8), strict=True), (7, sink)]
    drawing = place(12, edges, {trunk[0]})
    places = [drawing.centres[vertex][0] for vertex in trunk]
    assert max(places) - min(places) < BOX_WIDTH / 2


def test_a_chain_is_straight() -> None:
    drawing = place(5, [(vertex, vertex + 1) for vertex in range(4)])
    assert len({x for x, _ in drawing.centres}) == 1


def test_a_long_chain_is_broken_into_columns() -> None:
    count = 400
    drawing = place(count, [(vertex, vertex + 1) for vertex in range(count - 1)])
    columns = sorted({x for x, _ in drawing.centres})
    assert len(columns) > 5
    assert 0.7 < drawing.height / drawing.width < 2
    assert sum("H" in path for path in drawing.paths) == len(columns) - 1


def test_nothing_is_drawn_of_nothing() -> None:
    assert place(0, []).paths == []
