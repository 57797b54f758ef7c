"""``reusec models``: the models that are built in, with their streams."""

from __future__ import annotations

import importlib
import pkgutil
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from reuse_compiler.cli.console import Column, print_json, print_line, print_table
from reuse_compiler.cli.options import Json, require_file_place
from reuse_compiler.errors import ModelError, ReuseError

__all__ = ["models"]


@dataclass(frozen=True)
class _BuiltIn:
    """A model of the package: what it is, its file if it is there, its stream, its model card and the facts in the card's
    table; `missing` says how to get the file."""

    name: str
    description: str
    path: str | None
    missing: str | None
    stream: str
    card: str
    facts: dict[str, str]


def models(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Show the model card of this one.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="MODEL", help="Write the ONNX file of NAME.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """List the built-in models with their streams."""
    packages = _packages()
    if name is not None and name not in packages:
        raise ModelError(f"model {name}: built in are {', '.join(packages)}: for a file of your own use reusec check")
    if output is not None:
        if name is None:
            raise ReuseError(f"{output}: of which model: give a name: {', '.join(packages)}")
        _write(packages[name], output)
        print_line(f"wrote {output}")
        return
    known = [_describe(known, package) for known, package in packages.items() if name in (None, known)]
    if name is None:
        _list(known, json)
    elif json:
        print_json(asdict(known[0]))
    else:
        _show(known[0])


def _packages() -> dict[str, Any]:
    """The packages that are a model, by what it is called."""
    package = importlib.import_module("reuse_compiler.models")
    names = [module.name for module in pkgutil.iter_modules(package.__path__) if module.ispkg]
    found = {name: importlib.import_module(f"{package.__name__}.{name}") for name in names}
    return {name.replace("_", "-"): module for name, module in found.items() if hasattr(module, "stream")}


def _write(package: Any, output: Path) -> None:
    """The file of a trained model is copied, that of a seeded one is made."""
    from reuse_compiler.files import replacing

    require_file_place(output)
    source = package.path() if hasattr(package, "path") else None
    with replacing(output) as temporary:
        if source is None:
            package.write(temporary)
        else:
            shutil.copyfile(source, temporary)


def _describe(name: str, package: Any) -> _BuiltIn:
    path, missing = None, None
    if hasattr(package, "path"):
        try:
            path = str(package.path())
        except ModelError as error:
            missing = str(error)
    else:
        missing = f"made on demand: reusec models {name} -o {name}.onnx"
    card = Path(package.__file__).with_name("README.md")
    return _BuiltIn(
        name=name,
        description=(package.__doc__ or "").partition("\n")[0],
        path=path,
        missing=missing,
        stream=f"{package.__name__}:stream",
        card=str(card),
        facts=_facts(card.read_text()) if card.is_file() else {},
    )


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
        print_line(f"{model.name}: {model.path or model.missing}")
        print_line(f"  reusec profile {model.path or f'{model.name}.onnx'} --stream {model.stream}")


def _show(model: _BuiltIn) -> None:
    print_line(f"{model.name}: {model.description}")
    print_line()
    place = {"path": model.path} if model.path else {"missing": model.missing or ""}
    facts = {**place, "stream": model.stream, **model.facts, "model card": model.card}
    print_table([Column("", "text"), Column("", "text")], list(facts.items()))
