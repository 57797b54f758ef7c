"""Histograms and quantizers."""

from __future__ import annotations

import pytest

from reuse_compiler.directory import CompiledDirectory
from reuse_compiler.plan import ModelRef, Plan, SitePlan, TableSpec
from reuse_compiler.report_page.distributions import distributions, site_quantizers


def test_shares_add_up_and_cover_the_values(compiled: CompiledDirectory) -> None:
    assert compiled.profile is not None
    found = distributions(compiled.profile)
    assert set(found) == {site.input for site in compiled.plan.sites}
    for distribution in found.values():
        assert sum(distribution.shares) == pytest.approx(1, abs=1e-2)
        assert 0 < len(distribution.shares) <= 160
        assert distribution.low <= distribution.minimum
        assert distribution.low + distribution.width * len(distribution.shares) >= distribution.maximum


def test_quantizers_are_those_of_the_plan(compiled: CompiledDirectory) -> None:
    rows = {row.site: row for row in site_quantizers(compiled.plan)}
    assert (rows["a"].kind, rows["a"].clusters, rows["a"].deadband) == ("linear", 16, (0.0, 0.0))
    assert rows["d"].mode == "dense"
    assert rows["d"].clusters is None


def test_a_table_lists_its_centroids_and_deadbands_their_ends() -> None:
    spec = TableSpec(kind="table", centroids=[-1.0, 0.0, 2.0], deadband=[0.5, 0.25, 1.0])
    site = SitePlan(node="n", input="x", op="Conv", mode="reuse", quantizer=spec, reason="k-means")
    [row] = site_quantizers(Plan(model=ModelRef(path="m.onnx", sha256="0"), sites=[site]))
    assert (row.centroids, row.step, row.deadband, row.reason) == ([-1.0, 0.0, 2.0], None, (0.25, 1.0), "k-means")
