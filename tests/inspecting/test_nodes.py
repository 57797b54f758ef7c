"""Rows of a reuse model."""

from __future__ import annotations

import pytest

from reuse_compiler.frontend import Model
from reuse_compiler.inspecting import node_rows
from reuse_compiler.inspecting.nodes import quantizer_text
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import Plan
from reuse_compiler.quantizers import LinearQuantizer


def test_a_row_says_what_the_node_was_and_keeps(model: Model, plan: Plan, quoted: str) -> None:
    rows = {row.node: row for row in node_rows(rewrite(model, plan), {"fc": "MatMul"})}
    first = rows[quoted]
    assert (first.before, first.after, first.shape) == ("Conv + Clip(0, 6)", "ReuseConv", (1, 2, 4, 4))
    assert (first.clusters, first.step, first.zero, first.deadband) == (300, 0.25, 7, (0.125, 0.5))
    assert (first.index_bytes, first.linear_bytes) == (2 * 4 * 4 * 2, 3 * 4 * 4 * 4)
    assert (rows["fc"].before, rows["fc"].index_bytes, rows["fc"].linear_bytes) == ("MatMul", 48, 20)
    assert rows["fc"].state_bytes == 68
    assert (rows["sum"].before, rows["sum"].after, rows["sum"].clusters, rows["sum"].state_bytes) == (
        "Add",
        "Add",
        None,
        0,
    )


def test_without_a_plan_the_row_says_what_it_may_have_been(model: Model, plan: Plan) -> None:
    assert {row.node: row.before for row in node_rows(rewrite(model, plan))}["fc"] == "Gemm or MatMul"


@pytest.mark.parametrize(
    ("deadband", "words"),
    [
        (0.0, ""),
        ((0.0, 0.0), ""),
        (0.25, " deadband=0.25"),
        ((0.25, 0.25), " deadband=0.25"),
        ((0.2, 0.01, 0.1), " deadband=0.01 to 0.2 by channel"),
        ((0.5, 0.0), " deadband=0 to 0.5 by channel"),
    ],
)
def test_deadbands_are_told_from_the_least_to_the_most(deadband: float | tuple[float, ...], words: str) -> None:
    assert quantizer_text(LinearQuantizer(0.5, 0, 16, deadband)) == f"clusters=16 step=0.5 zero=0{words}"


def test_rows_say_why(model: Model, plan: Plan) -> None:
    sites = [site.model_copy(update={"reason": f"because of {number}"}) for number, site in enumerate(plan.sites)]
    rows = node_rows(rewrite(model, plan.model_copy(update={"sites": sites})))
    reasons = {row.node: row.reason for row in rows}
    assert [reasons[site.node] for site in sites] == [site.reason for site in sites]
    assert reasons["sum"] == ""
