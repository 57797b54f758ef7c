"""The page ``docs/cost-model.md``: the rules of timing and energy, and every constant of the built-in hardware."""

from __future__ import annotations

from collections.abc import Iterator

from reuse_compiler.backend.accelerator.energy import COMPONENTS
from reuse_compiler.backend.accelerator.hardware import builtin_names, load_hardware
from reuse_compiler.backend.accelerator.isa import Event
from reuse_compiler.docs_pages import cost_model_text as text
from reuse_compiler.docs_pages.markdown import code, table

__all__ = ["page"]

_SECTIONS = {
    "clock": "Clock and control unit",
    "compute": "Compute engine",
    "quantizer": "Quantize and compare",
    "special": "Special function unit",
    "edram": "eDRAM",
    "buffer": "I/O buffer",
    "tables": "Centroid tables",
    "data_master": "Data master",
    "dram": "DRAM",
}
"""Titles of the tables of a hardware file."""


def page() -> str:
    """The page as Markdown."""
    events = table(("event", "what is counted"), ((code(event.value), event.doc) for event in Event))
    busy = table(("instruction", "busy cycles"), text.BUSY)
    energy = table(("component", "energy in pJ"), ((code(name), text.ENERGY[name]) for name in COMPONENTS))
    blocks = [
        text.INTRODUCTION,
        events,
        text.TIMING,
        busy,
        text.BEHIND_TIMING,
        energy,
        text.BEHIND_ENERGY,
        text.CONSTANTS,
    ]
    return "\n\n".join(block.strip("\n") for block in (*blocks, *_hardware())) + "\n"


def _hardware() -> Iterator[str]:
    """A section a hardware: the first one in full, and of the others what is different."""
    first, *others = sorted(builtin_names(), key=lambda name: (len(name), name))
    known = {name: constant for name, *constant in load_hardware(first).constants()}
    yield f"### {first}\n\n{load_hardware(first).description}."
    for section, title in _SECTIONS.items():
        rows = [(name, *constant) for name, constant in known.items() if name.split(".")[0] == section]
        yield f"#### {title}\n\n{_constants(rows)}"
    for name in others:
        hardware = load_hardware(name)
        rows = [(key, *constant) for key, *constant in hardware.constants() if known[key] != constant]
        yield f"### {name}\n\n{hardware.description}. All constants are those of {code(first)} but these:\n\n{_constants(rows)}"


def _constants(rows: list[tuple[object, ...]]) -> str:
    return table(
        ("constant", "value:", "unit", "source"),
        ((code(str(name)), _value(value), str(unit), str(source)) for name, value, unit, source in rows),
    )


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"{value:,}" if isinstance(value, int | float) else str(value)
