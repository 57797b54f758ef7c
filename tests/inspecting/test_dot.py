"""The graph in the language of graphviz."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from reuse_compiler.frontend import Model
from reuse_compiler.inspecting import to_dot
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import Plan

# A statement of the subset that is written: identifiers, quoted strings with escapes, one attribute list.
_STRING = r'"(?:[^"\\]|\\.)*"'
_ATTRIBUTES = rf"\[(?:\w+=(?:\w+|{_STRING}) ?)+\]"
_STATEMENT = re.compile(rf"  \w+(?: -> \w+)?(?: {_ATTRIBUTES})?")


def test_every_line_is_a_statement(model: Model, plan: Plan) -> None:
    first, *lines, last = to_dot(rewrite(model, plan)).splitlines()
    assert re.fullmatch(rf"digraph {_STRING} {{", first)
    assert last == "}"
    for line in lines:
        assert _STATEMENT.fullmatch(line), line


def test_quotes_and_backslashes_in_names_are_escaped(model: Model, plan: Plan) -> None:
    assert 'label="say \\"conv\\\\1\\"\\nReuseConv, Clip(0, 6)\\nclusters=300' in to_dot(rewrite(model, plan))


def test_edges_follow_the_data(model: Model, plan: Plan) -> None:
    text = to_dot(rewrite(model, plan))
    edges = set(re.findall(r"^  (\w+) -> (\w+)", text, re.MULTILINE))
    chain = {("i0", "n0"), ("i0", "n1"), ("n0", "n2"), ("n1", "n2"), ("n2", "n3"), ("n3", "n4"), ("n4", "o0")}
    assert edges == chain | {("n0", "n0"), ("n1", "n1"), ("n4", "n4")}
    assert len(re.findall("style=dashed", text)) == 3


def test_the_plan_is_a_tooltip_and_dense_sites_say_so(model: Model, plan: Plan) -> None:
    first, *others = plan.sites
    [last] = [site for site in others if site.node == "fc"]
    dense = last.model_copy(update={"mode": "dense", "quantizer": None, "reason": "it\nloses"})
    sites = [first.model_copy(update={"reason": 'it "pays"'}), others[0], dense]
    text = to_dot(rewrite(model, plan.model_copy(update={"sites": sites})))
    assert 'reuse.reason: it \\"pays\\"' in text and 'label="fc\\nMatMul\\ndense" tooltip=' in text
    assert "reuse.reason: it\\\\nloses" in text  # a line break inside a reason is written out
    assert all(_STATEMENT.fullmatch(line) for line in text.splitlines()[1:-1])


def test_graphviz_renders_it(model: Model, plan: Plan) -> None:
    if shutil.which("dot") is None:
        pytest.skip("graphviz is not installed")
    done = subprocess.run(
        ["dot", "-Tsvg"], input=to_dot(rewrite(model, plan)), check=True, capture_output=True, text=True
    )
    assert "<svg" in done.stdout
