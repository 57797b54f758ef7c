"""The reference page: as it is written now, complete, and with links that lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from reuse_compiler.backend.accelerator.assembler import assemble
from reuse_compiler.backend.accelerator.hazards import races
from reuse_compiler.backend.accelerator.isa import (
    INSTRUCTIONS,
    Binary,
    Choice,
    Element,
    Event,
    Instruction,
    Over,
    Pooling,
    Space,
    Special,
    Sync,
    Unit,
    fields,
)
from reuse_compiler.backend.accelerator.isa_page import page
from reuse_compiler.backend.accelerator.program import Program

DOCS = Path(__file__).parents[3] / "docs"


def section(heading: str) -> str:
    """The text under a heading, up to the next."""
    match = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", page(), re.MULTILINE | re.DOTALL)
    assert match, f"no heading {heading}"
    return match[1]


def test_the_page_in_docs_is_the_one_that_the_declarations_give() -> None:
    assert (DOCS / "isa.md").read_text() == page(), "docs/isa.md is out of date: run make docs"


@pytest.mark.parametrize("kind", INSTRUCTIONS.values(), ids=lambda kind: kind.MNEMONIC)
def test_an_instruction_has_its_semantics_and_all_its_fields(kind: type[Instruction]) -> None:
    text = section(kind.MNEMONIC)
    assert " ".join((kind.__doc__ or "").split()) in text
    assert f"Opcode `{kind.OPCODE:#04x}`, unit `{kind.UNIT.name}`." in text
    assert all(f"`{event.value}`" in text for event in kind.EVENTS)
    header = len(fields(Sync))
    rows = re.findall(r"^\| ([0-9.]+) \| `(\w+)` \| .* \| (.*) \|$", text, re.MULTILINE)
    assert [(name, doc) for _, name, doc in rows] == [(field.name, field.doc) for field in fields(kind)[header:]]


def test_bits_are_where_the_encoder_puts_them() -> None:
    rows = dict(re.findall(r"^\| ([0-9.]+) \| `(\w+)` \|", section("loop"), re.MULTILINE))
    assert rows == {"120": "over", "121..152": "length"}
    rows = dict(re.findall(r"^\| ([0-9.]+) \| `(\w+)` \|", section("The word"), re.MULTILINE))
    assert rows == {
        "0..7": "opcode",
        "8..23": "layer",
        "24..47": "after_data_master",
        "48..71": "after_compute",
        "72..95": "after_special",
        "96..119": "after_host",
    }


@pytest.mark.parametrize("choice", [Space, Over, Element, Special, Pooling, Binary])
def test_choices_are_listed(choice: type[Choice]) -> None:
    text = section(choice.__name__)
    assert all(f"| {member.value} | `{member.name}` | {member.doc} |" in text for member in choice)


def test_functions_say_what_an_element_passes_through() -> None:
    assert "| `CELU` | x where x > 0, else alpha * (exp(x / alpha) - 1) | divide, transcendental |" in section(
        "Special"
    )
    assert "| `POW` | a to the power of b | transcendental, simple, transcendental |" in section("Binary")


def test_every_kind_of_choice_in_a_field_is_listed() -> None:
    kinds = {field.kind for kind in INSTRUCTIONS.values() for field in fields(kind) if issubclass(field.kind, Choice)}
    assert all(section(kind.__name__) for kind in kinds)


def test_units_and_events_are_listed() -> None:
    assert all(f"| `{unit.name}` | {unit.doc} |" in section("Units") for unit in Unit)
    assert all(f"| `{event.value}` | {event.doc} |" in section("Events") for event in Event)


def test_every_link_leads_to_one_heading() -> None:
    headings = re.findall(r"^#+ (.*)$", page().partition("```")[0], re.MULTILINE)
    anchors = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
    links = re.findall(r"\]\(#([^)]*)\)", page())
    assert len(links) > len(INSTRUCTIONS)
    assert all(anchors.count(link) == 1 for link in links)


def test_tables_have_the_columns_of_their_heads() -> None:
    for table in re.findall(r"(?:^\|.*\|\n)+", page(), re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_the_example_is_a_program_without_races(program: Program) -> None:
    text = section("As text").split("```")[1]
    example = assemble(text, program)
    for code in (example.reuse, example.baseline):
        assert len(code.sections.frame) > 4
        assert races(code) == []
