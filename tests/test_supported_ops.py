"""SUPPORTED_OPS.md says what `reusec check` says: both come from the rules."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
import pytest

from reuse_compiler import rules
from reuse_compiler.backend.accelerator import supported
from reuse_compiler.check import check
from reuse_compiler.frontend import load
from reuse_compiler.supported_ops import page

PAGE = Path(__file__).resolve().parent.parent / "SUPPORTED_OPS.md"
HEAD = '<ir_version: 8, opset_import: ["": 18]>'


def test_the_page_is_what_the_rules_say() -> None:
    assert PAGE.read_text() == page(), "run `make docs`"


def test_every_operator_with_rules_has_one_row() -> None:
    names = Counter(line.split("`")[1] for line in page().splitlines() if line.startswith("| `"))
    assert set(names) == {*rules.RULES, *supported.RULES}
    assert set(names.values()) == {1}


def test_every_rule_has_a_text_of_its_own() -> None:
    for table in (rules.RULES, supported.RULES):
        for op, applied in table.items():
            texts = [rule.__doc__ or "" for rule in applied]
            assert all(texts), op
            assert len({*texts}) == len(texts), f"{op}: a rule twice"


@pytest.mark.parametrize(
    "body",
    [
        "(float[2, 3] x, float[3, 4] w) => (float[2, 4] y) { y = MatMul (x, w) }",
        "(int64[2, 3] x) => (int64[2, 3] y) { y = Abs (x) }",
        "(float[2, 3] x) => (int64[2, N] y) { y = NonZero (x) }",
        "(float[1, 3] x) => (float[1, 2] y) <float[3, 2] w = {1, 2, 3, 4, 5, 6}> { y = MatMul (x, w) }",
        "(float[1, 1, 5] x) => (float[1, 1, 1] y) { y = MaxPool <kernel_shape = [2], pads = [2, 0], strides = [6]> (x) }",
    ],
    ids=["variable weight", "integers", "no instruction", "site", "padding"],
)
def test_what_a_check_says_is_on_the_page(tmp_path: Path, body: str) -> None:
    onnx.save(onnx.parser.parse_model(f"{HEAD} g {body}"), tmp_path / "m.onnx")
    text = page()
    for verdict in check(load(tmp_path / "m.onnx")):
        assert verdict.rule in text or verdict.rule == "has an instruction"
