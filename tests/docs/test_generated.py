"""The generated pages: as the code gives them now, and complete."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from reuse_compiler.backend.accelerator.energy import COMPONENTS
from reuse_compiler.backend.accelerator.hardware import builtin_names, load_hardware
from reuse_compiler.backend.accelerator.isa import INSTRUCTIONS, Event
from reuse_compiler.docs_pages import cost_model, report_keys
from reuse_compiler.docs_pages.__main__ import PAGES, main
from reuse_compiler.docs_pages.cost_model_text import BUSY
from reuse_compiler.docs_pages.hooks import on_page_content, on_page_markdown
from reuse_compiler.docs_pages.key_meanings import MEANINGS
from reuse_compiler.operators import DOMAIN, VERSION, function

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", PAGES)
def test_the_page_in_docs_is_the_one_that_the_code_gives(name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == PAGES[name](), f"docs/{name} is out of date: run make docs"


def test_the_command_writes_every_page(tmp_path: Path) -> None:
    main([str(tmp_path)])
    assert {path.name for path in tmp_path.iterdir()} == set(PAGES)


def test_the_cost_model_has_every_constant_with_value_unit_and_source() -> None:
    first, *others = (cost_model.page().partition(f"\n### {name}\n")[2] for name in ("isca18", "isca18-macro"))
    assert builtin_names() == ["isca18", "isca18-macro"], "give the page a section for it"
    default = load_hardware("isca18").constants()
    for name, _, unit, source in default:
        assert re.search(
            rf"^\| `{re.escape(name)}` \| \S.* \| {re.escape(unit)} \| {re.escape(source)} \|$", first, re.MULTILINE
        )
    changed = {name for (name, *_), other in zip(default, load_hardware("isca18-macro").constants(), strict=True)
               if other not in default}  # fmt: skip
    assert changed == set(re.findall(r"^\| `([\w.]+)` \|", others[0], re.MULTILINE))


def test_the_cost_model_names_every_instruction_event_and_component() -> None:
    page = cost_model.page()
    known = re.findall(r"`([^`]+)`", " ".join(instructions for instructions, _ in BUSY))
    for kind in INSTRUCTIONS.values():
        assert any(fnmatch(kind.MNEMONIC, name) for name in known), kind.MNEMONIC
    assert all(f"| `{event.value}` |" in page for event in Event)
    assert all(f"| `{name}` |" in page for name in COMPONENTS)


def test_every_constant_is_used_by_a_rule_or_known_to_decide_the_tiling() -> None:
    rules = cost_model.page().partition("## Constants")[0]
    tiling = {
        "compute.tiles",
        "compute.accumulators",
        "edram.bytes",
        "buffer.base.bytes",
        "buffer.reuse.bytes",
        "tables.bytes",
    }
    for name, *_ in load_hardware("isca18").constants():
        general = re.sub(r"^buffer\.(base|reuse)", "buffer.*", name)
        named = general in rules or name.startswith("special.passes") or name.endswith("area_mm2")
        assert named or name in tiling, name


def test_every_key_has_a_meaning_and_no_meaning_is_left_over() -> None:
    known = set()
    for root, _ in report_keys.documents().values():
        for model in report_keys.models(root):
            for name, meaning in report_keys.keys(model):
                assert meaning, (
                    f"{model.__name__}.{name}: say in reuse_compiler/docs_pages/key_meanings.py what it means"
                )
                known.add(f"{model.__name__}.{name}")
    assert set(MEANINGS) <= known


def test_links_between_keys_lead_to_one_heading() -> None:
    page = report_keys.page()
    anchors = re.findall(r"\{#(\w+)\}$", page, re.MULTILINE)
    assert len(anchors) == len(set(anchors))
    assert set(re.findall(r"\]\(#(\w+)\)", page)) <= set(anchors)


@pytest.mark.parametrize("op", ["ReuseGemm", "ReuseConv", "ReuseConvTranspose", "ReuseGemmTable"])
def test_the_specification_has_the_operands_and_attributes_of_an_operator(op: str) -> None:
    text = (ROOT / "docs/operators.md").read_text()
    body = function(op, 18)
    assert f"domain `{DOMAIN}`, version {VERSION}" in text
    assert f"`{op.removesuffix('Table')}`" in text
    names = [value.name for value in (*body.inputs, *body.outputs)] + list(body.attributes)
    assert all(f"`{name}`" in text for name in names)


def test_links_of_a_file_of_the_root_lead_to_pages() -> None:
    page = on_page_markdown("<!-- file: README.md -->")
    assert "](docs/" not in page
    assert "](isa.md)" in page
    assert "](architecture.md)" in page
    assert on_page_markdown("[a](docs/b.md)") == "[a](docs/b.md)"


def test_a_reference_in_a_docstring_becomes_the_name() -> None:
    html = "see :class:<code>~reuse_compiler.plan.Plan</code>"
    assert on_page_content(html) == "see <code>Plan</code>"
