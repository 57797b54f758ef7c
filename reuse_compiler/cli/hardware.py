"""``reusec hardware``: the hardware that is built in, and every constant of one."""

from __future__ import annotations

from typing import Annotated

import typer

from reuse_compiler.cli.console import Column, print_json, print_line, print_table
from reuse_compiler.cli.options import Json

__all__ = ["hardware"]

_SOURCES = "sources: P the paper; C CACTI 7.0; L literature; S scaled from literature; A an assumption of this project"


def hardware(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A built-in name, or a .toml file.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """List the built-in hardware, or all constants of one."""
    if name is None:
        _list(json)
    else:
        _show(name, json)


def _list(json: bool) -> None:
    from reuse_compiler.backend.accelerator.hardware import builtin_names, load_hardware

    known = [(name, load_hardware(name).description) for name in builtin_names()]
    if json:
        print_json([{"name": name, "description": description} for name, description in known])
        return
    print_table([Column("name", "name"), Column("what it is", "text")], known)
    print_line()
    print_line(f"reusec hardware {known[0][0]} shows its constants; --hardware takes a .toml file of this form too")


def _show(name: str, json: bool) -> None:
    from reuse_compiler.backend.accelerator.hardware import builtin_names, load_hardware

    loaded = load_hardware(name)
    constants = loaded.constants()
    if json:
        print_json(
            {
                "name": loaded.name,
                "description": loaded.description,
                "constants": [
                    {"name": constant, "value": value, "unit": unit, "source": source}
                    for constant, value, unit, source in constants
                ],
            }
        )
        return
    print_line(f"{loaded.name}: {loaded.description}")
    print_line()
    columns = [Column("constant", "name"), Column("value"), Column("unit", "text"), Column("source", "text")]
    print_table(columns, [(constant, _value(value), unit, source) for constant, value, unit, source in constants])
    if name in builtin_names():
        print_line()
        print_line(_SOURCES)


def _value(value: object) -> str:
    """A constant as text: whole numbers with separators, truth as yes or no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float) and float(value).is_integer():
        return f"{value:,.0f}"
    return str(value)
