"""The page ``docs/report-keys.md``: every key of report.json, plan.json and ``bench --json``, from their models."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator

from pydantic import BaseModel

from reuse_compiler.bench.report import BenchReport
from reuse_compiler.docs_pages.key_meanings import MEANINGS
from reuse_compiler.docs_pages.markdown import code, table
from reuse_compiler.plan import Plan
from reuse_compiler.report import Report

__all__ = ["documents", "keys", "models", "page"]

_INTRODUCTION = """\
# Keys of reports and plans

<!-- Written by `make docs` from the models in reuse_compiler/report.py, plan.py and bench/report.py: change them, not this page. -->

Names end in their unit: `_pj` picojoules, `_mm2` square millimetres, `_ms` milliseconds. Shares are between 0 and 1. Counts, cycles and
energies are sums over all frames of the stream, so that layers add up to the totals. Keys that are marked optional may be left out, or be null.
JSON has no infinity and no NaN; they are written as `Infinity` and `NaN`, which Python's `json` reads."""

_PARAMETER = re.compile(r"^(\w[\w, ]*) : .*\n((?:    .*\n?)*)", re.MULTILINE)
_SCALARS = {"int": "whole number", "float": "number", "str": "text", "bool": "true or false", "NoneType": "null"}


def documents() -> dict[str, tuple[type[BaseModel], str]]:
    """The documents by title: the model, and what writes it."""
    return {
        "report.json": (
            Report,
            "`reusec compile` with a stream writes it, and `reusec run --json F`. There is [a JSON schema](report.schema.json).",
        ),
        "plan.json": (Plan, "`reusec fit` and `reusec compile` write it. It may be edited."),
        "bench --json": (BenchReport, "`reusec bench DIR --stream S --json` prints it."),
    }


def page() -> str:
    """The page as Markdown."""
    blocks = [_INTRODUCTION]
    seen: set[type[BaseModel]] = set()
    for title, (root, writer) in documents().items():
        blocks += [f"## {title}", writer]
        for model in models(root):
            if model not in seen:
                seen.add(model)
                blocks += list(_section(model, root))
    return "\n\n".join(blocks) + "\n"


def models(root: type[BaseModel]) -> list[type[BaseModel]]:
    """`root` and the models that its fields lead to, in the order of the fields."""
    found = [root]
    for model in found:
        for field in model.model_fields.values():
            found += [part for part in _parts(field.annotation) if part not in found]
    return found


def keys(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Each key of a model with what it means: from its docstring, else from :data:`~.key_meanings.MEANINGS`."""
    described = _parameters(model.__doc__ or "")
    for base in model.__mro__[1:]:
        described = {**_parameters(base.__doc__ or ""), **described}
    for name in model.model_fields:
        yield name, described.get(name) or MEANINGS.get(f"{model.__name__}.{name}", "")


def _section(model: type[BaseModel], root: type[BaseModel]) -> Iterator[str]:
    if model is not root:
        yield f"### {model.__name__} {{#{model.__name__.lower()}}}"
        yield _prose(model.__doc__ or "")
    meanings = dict(keys(model))
    yield table(
        ("key", "type", "meaning"),
        (
            (code(name), _type(field.annotation) + _default(field.is_required()), meanings[name])
            for name, field in model.model_fields.items()
        ),
    )


def _default(required: bool) -> str:
    return "" if required else "; optional"


def _parts(annotation: object) -> list[type[BaseModel]]:
    """Models inside an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _parts(part)]


def _type(annotation: object) -> str:
    """An annotation in words, with links to the models in it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin is typing.Literal:
        return " or ".join(code(str(choice)) for choice in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type(part) for part in arguments)
    if origin is list:
        return f"list of {_type(arguments[0])}"
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"object of {_type(arguments[1])}"
    return _SCALARS.get(getattr(annotation, "__name__", ""), str(annotation))


def _parameters(docstring: str) -> dict[str, str]:
    """Meanings by name, from the Parameters of a docstring."""
    text = "\n".join(line.removeprefix("    ") for line in docstring.splitlines())
    found = {}
    for names, meaning in _PARAMETER.findall(text):
        for name in names.split(","):
            found[name.strip()] = _plain(meaning)
    return {name: meaning for name, meaning in found.items() if meaning}


def _prose(docstring: str) -> str:
    """A docstring without its Parameters, a line a paragraph."""
    text = docstring.partition("Parameters\n")[0]
    return "\n\n".join(_plain(paragraph) for paragraph in text.split("\n\n") if paragraph.strip())


def _plain(text: str) -> str:
    """In one line, roles written as code."""
    return re.sub(r":\w+:`~?([^`]+)`", r"`\1`", " ".join(text.split())).replace("`~", "`")
