"""The page ``SUPPORTED_OPS.md``, written by ``make docs`` from the rules that :func:`reuse_compiler.check.check` applies."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any

from reuse_compiler import rules
from reuse_compiler.backend.accelerator import supported
from reuse_compiler.check import BIAS, KERNEL, SITE

__all__ = ["page"]

Rules = Sequence[Callable[..., Any]]

_INTRODUCTION = f"""\
# Supported operators

<!-- Written by `make docs` from reuse_compiler/rules.py and backend/accelerator/supported: change the rules there, not this page. -->

Every ONNX model whose nodes stock onnxruntime can run compiles, and every node in it is computed. `reusec check MODEL`
says of each node by whom:

| verdict | what happens to the node |
|---|---|
| **reuse** | A *site*: it runs on the accelerator, compares its input with the one of the frame before, and computes only what changed. In onnxruntime it is a function of the domain `ai.reuse`. |
| **dense** | It runs on the accelerator, in full, in every frame. |
| **host** | The accelerator has no instruction for it, or not for this form of it. onnxruntime computes it on the host, its inputs and outputs pass through DRAM, and every report counts what that costs. The rule is the one that keeps it from the accelerator. |
| **rejected** | Nobody computes it, because onnxruntime does not: "{KERNEL}" does not hold. |

A rule below is what must hold. Where it does not, `reusec check` prints the rule in these words with the value that it
measured, for example

    host    every data tensor is float32    x is INT64

The rules of an operator are tried in order, and the first that does not hold decides. A node that breaks a rule of reuse
may still be dense on the accelerator; one that breaks a rule of the accelerator goes to the host.

The rules apply to the model as it is after loading. By then it is of opset {{opset}} or later, constants are folded, batch
normalization and scaling are folded into the layer before, `auto_pad` is written out as numbers, a Gemm or MatMul has
its weight second, and a bidirectional layer is one layer a direction: all this as far as weights and shapes are known.
So a rule that asks for explicit padding is broken only where the shape was not known, and so on. The bodies of If, Loop
and Scan go with their node: they are never sites."""

_REUSE = f"""\
## Reuse

A node of these operators is a site ("{SITE}") where all of its rules hold, and then it reuses as far as the plan says
so. An Add of a constant bias behind a MatMul goes with it ("{BIAS}"). All other operators are no sites."""

_ACCELERATOR = """\
## The accelerator

A node of these operators runs on the accelerator where all of its rules hold. A site has to keep the rules of reuse and
these."""

_HOST = f"""\
## The host

All other operators, of ONNX and of any other domain, run on the host as far as onnxruntime has them ("{supported.NO_INSTRUCTION}")."""


def page() -> str:
    """The whole page, in Markdown."""
    from reuse_compiler.frontend import OPSET

    parts = [
        _INTRODUCTION.format(opset=OPSET),
        _overview(),
        _REUSE,
        *_groups(rules.RULES),
        _ACCELERATOR,
    ]
    for family in _families():
        parts += [f"### {_title(family)}", *_groups(family.RULES)]
    return "\n\n".join([*parts, _HOST]) + "\n"


def _overview() -> str:
    """A row for every operator that is more than a call to the host, with the best that can become of it."""
    family_of = {op: family for family in _families() for op in family.RULES}
    rows = []
    for op in sorted({*rules.RULES, *family_of}):
        best = "reuse" if op in rules.RULES else "dense"
        where = _link(_title(family_of[op])) if op in family_of else "on the host"
        rows.append(f"| `{op}` | {best} | {'[rules](#reuse)' if op in rules.RULES else ''} | {where} |")
    head = "| operator | best verdict | as a site | on the accelerator |\n|---|---|---|---|"
    return "## Operators at a glance\n\n" + "\n".join([head, *rows, "| all others | host | | |"])


def _groups(table: Mapping[str, Rules]) -> Iterable[str]:
    """Operators that share their rules, and the rules."""
    operators: dict[tuple[str, ...], list[str]] = {}
    for op, applied in table.items():
        operators.setdefault(tuple(_text(rule) for rule in applied), []).append(op)
    for texts, ops in operators.items():
        names = ", ".join(f"`{op}`" for op in ops)
        yield f"**{names}**\n\n" + "\n".join(f"{number}. {text}" for number, text in enumerate(texts, 1))


def _families() -> list[ModuleType]:
    """The modules of the accelerator's rules, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(supported.__path__))
    modules = [importlib.import_module(f"{supported.__name__}.{name}") for name in names]
    return [module for module in modules if hasattr(module, "RULES")]


def _title(family: ModuleType) -> str:
    """From a docstring "Rules of X layers: more.": "X layers"."""
    first = (family.__doc__ or "").splitlines()[0].partition(":")[0].removeprefix("Rules of ").removesuffix(".")
    return first[:1].upper() + first[1:]


def _link(title: str) -> str:
    kept = "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -")
    return f"[{title}](#{kept.replace(' ', '-')})"


def _text(rule: Callable[..., Any]) -> str:
    return " ".join((rule.__doc__ or "").split())


if __name__ == "__main__":
    sys.stdout.write(page())
