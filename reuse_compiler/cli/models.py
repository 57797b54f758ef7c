"""``reusec models``: the models that are built in, with their streams."""

from __future__ import annotations

import importlib
import pkgutil
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from reuse_compiler.cli.console import Column, print_json, print_line, print_table
from reuse_compiler.cli.options import Json
from reuse_compiler.errors import ModelError

__all__ = ["models"]


@dataclass(frozen=True)
class _BuiltIn:
    """A model of the package: what it is, its file, its stream, its model card and the facts in the card's table."""

    name: str
    description: str
    path: str
    stream: str
    card: str
    facts: dict[str, str]


def models(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Show the model card of this one.", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """List the built-in models with their streams."""
    known = {model.name: model for model in _built_in()}
    if name is None:
        _list(list(known.values()), json)
        return
    if name not in known:
        raise ModelError(f"model {name}: built in are {', '.join(known)}: for a file of your own use reusec check")
    if json:
        print_json(asdict(known[name]))
        return
    _show(known[name])


def _built_in() -> list[_BuiltIn]:
    package = importlib.import_module("reuse_compiler.models")
    found = []
    for module in pkgutil.iter_modules(package.__path__):
        if not module.ispkg:
            continue
        imported = importlib.import_module(f"{package.__name__}.{module.name}")
        path = Path(imported.path())
        card = path.with_name("README.md")
        found.append(
            _BuiltIn(
                name=module.name,
                description=(imported.__doc__ or "").partition("\n")[0],
                path=str(path),
                stream=f"{imported.__name__}:stream",
                card=str(card),
                facts=_facts(card.read_text()) if card.is_file() else {},
            )
        )
    return found


def _facts(card: str) -> dict[str, str]:
    """The rows of the first table of a model card, markup of code removed."""
    table = re.search(r"(?:^\|.*\|\n)+", card, re.MULTILINE)
    lines = table[0].splitlines() if table else []
    cells = [[cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1] for row in cells if len(row) == 2 and row[0].strip(" -:")}


def _list(known: list[_BuiltIn], json: bool) -> None:
    if json:
        print_json([asdict(model) for model in known])
        return
    print_table([Column("name", "name"), Column("what it is", "text")], [(m.name, m.description) for m in known])
    for model in known:
        print_line()
        print_line(f"{model.name}: {model.path}")
        print_line(f"  reusec profile {model.path} --stream {model.stream}")


def _show(model: _BuiltIn) -> None:
    print_line(f"{model.name}: {model.description}")
    print_line()
    facts = {"path": model.path, "stream": model.stream, **model.facts, "model card": model.card}
    print_table([Column("", "text"), Column("", "text")], list(facts.items()))
