"""Quantizers in words, and how wide they are."""

from __future__ import annotations

import pytest

from reuse_compiler.inspecting import plan_rows
from reuse_compiler.plan import AnySpec, ModelRef, Plan, QuantizerSpec, SitePlan, TableSpec


def row_of(quantizer: AnySpec | None, mode: str = "reuse") -> tuple[str, float | None]:
    site = SitePlan.model_validate({"node": "a", "input": "x", "op": "Conv", "mode": mode, "quantizer": quantizer})
    (row,) = plan_rows(Plan(model=ModelRef(path="m", sha256="00"), sites=[site]))
    return row.words, row.width


@pytest.mark.parametrize(
    ("quantizer", "words", "width"),
    [
        (QuantizerSpec(step=0.5, zero=1, clusters=33), "33 clusters, step 0.5", 0.25),
        (QuantizerSpec(step=0.5, zero=1, clusters=5000, deadband=0.75), "5,000 clusters, step 0.5, stays within 0.75", 0.75),
        (QuantizerSpec(step=1, zero=1, clusters=9, deadband=[0, 2]), "9 clusters, step 1, stays within 0 to 2 by channel", 2),
        (QuantizerSpec(step=4, zero=1, clusters=9, deadband=[1, 1]), "9 clusters, step 4, stays within 1", 2),
        (TableSpec(kind="table", centroids=[-1, 0, 3]), "table of 3 centroids, -1 to 3", 1.5),
    ],
)  # fmt: skip
def test_a_quantizer_in_words(quantizer: AnySpec, words: str, width: float) -> None:
    assert row_of(quantizer) == (words, width)


def test_a_dense_site_has_no_quantizer() -> None:
    assert row_of(QuantizerSpec(step=0.5, zero=1, clusters=33), "dense") == ("dense", None)
