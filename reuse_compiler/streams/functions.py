"""Python objects as streams: functions, iterables and calibration readers that give one dict of arrays a frame.

A dict may carry the key ``__start__``: true where the frame starts a sequence.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from reuse_compiler.errors import StreamError
from reuse_compiler.streams.source import Sample

__all__ = ["ObjectSource", "from_object", "import_object"]

START = "__start__"
_END = object()


@dataclass(frozen=True)
class ObjectSource:
    """Frames from a Python object. `begin` gives an iterator over dicts, anew for each pass."""

    name: str
    description: str
    frames: int | None
    begin: Callable[[], Iterator[object]]

    def read(self, first: int) -> Iterator[Sample]:
        with _user_code(self.name):
            items = self.begin()
        for number in count():
            with _user_code(f"{self.name}: frame {number}"):
                item = next(items, _END)
            if item is _END:
                return
            if number >= first:
                yield _sample(item, f"{self.name}: frame {number}")


def from_object(value: object, name: str | None = None) -> ObjectSource:
    """A function, a class or another callable, an iterable, or a reader with `get_next`, as a source.

    What can be called is called anew for each pass. A reader is read again if it has `rewind`. An iterator, or a reader
    without `rewind`, can be read once: the second pass raises StreamError.
    """
    name = name or getattr(value, "__qualname__", None) or type(value).__qualname__
    if isinstance(value, type) or (callable(value) and not _iterable(value)):
        function: Callable[[], object] = value
        return ObjectSource(name, f"{name}: called for each pass", None, lambda: _iterator(function(), name))
    if not _iterable(value):
        raise StreamError(
            f"{name}: not a stream: give a path, MODULE:FUNCTION, an iterable of dicts, a reader with get_next,"
            " or a function that gives one of these"
        )
    passes = count(1)

    def begin() -> Iterator[object]:
        if next(passes) > 1:
            _rewind(value, name)
        return _iterator(value, name)

    return ObjectSource(name, f"{name}: frames from Python", _length(value), begin)


def import_object(spec: str) -> object:
    """What `MODULE:NAME` or `FILE.py:NAME` names. Modules are looked for in the working folder too.

    Raises StreamError where the module or the name does not exist, or the import fails.
    """
    place, _, attribute = spec.rpartition(":")
    if place.endswith(".py"):
        module = _load_file(Path(place), spec)
    else:
        with _user_code(spec), _search_path(Path.cwd()):
            module = importlib.import_module(place)
    try:
        return reduce(getattr, attribute.split("."), module)
    except AttributeError as error:
        raise StreamError(f"{spec}: {place} has no {attribute}: check the name") from error


def _load_file(path: Path, spec: str) -> ModuleType:
    if not path.is_file():
        raise StreamError(f"{spec}: no such file: {path}")
    location = importlib.util.spec_from_file_location(f"_reuse_stream_{path.stem}", path)
    assert location is not None
    assert location.loader is not None
    module = importlib.util.module_from_spec(location)
    sys.modules[location.name] = module  # data classes look their module up there
    with _user_code(spec), _search_path(path.parent.resolve()):
        location.loader.exec_module(module)
    return module


@contextmanager
def _search_path(folder: Path) -> Iterator[None]:
    """Import from `folder` first, as `python FILE.py` and `python -m` do."""
    before = list(sys.path)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path[:] = before


@contextmanager
def _user_code(where: str) -> Iterator[None]:
    """Turn an exception of the user's code into a StreamError of one line; the cause stays attached."""
    try:
        yield
    except StreamError:
        raise
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise StreamError(f"{where}: raised {type(error).__name__}: {reason}") from error


def _iterable(value: object) -> bool:
    return any(hasattr(value, name) for name in ("get_next", "__iter__", "__getitem__"))


def _iterator(value: object, name: str) -> Iterator[object]:
    """An iterator over what a function gave: a reader's `get_next` until it gives None, or the items of an iterable."""
    if isinstance(value, Mapping):
        raise StreamError(f"{name}: one dict is not a stream: give an iterable of dicts, one a frame")
    get_next = getattr(value, "get_next", None)
    if get_next is not None:
        return iter(get_next, None)
    if not _iterable(value):
        raise StreamError(f"{name}: gave {type(value).__name__}: give an iterable of dicts or a reader with get_next")
    items: Iterator[object] = iter(value)  # type: ignore[call-overload]
    return items


def _length(value: object) -> int | None:
    return len(value) if isinstance(value, (list, tuple)) else None


def _rewind(value: object, name: str) -> None:
    rewind = getattr(value, "rewind", None)
    if hasattr(value, "get_next"):
        if rewind is None:
            raise StreamError(
                f"{name}: this reader can be read once, and was: give it `rewind`, or a function that makes it"
            )
        rewind()
    elif iter(value) is value:  # type: ignore[call-overload]
        raise StreamError(f"{name}: an iterator can be read once, and was: give a list, or a function that makes it")


def _sample(item: object, where: str) -> Sample:
    if not isinstance(item, Mapping):
        raise StreamError(f"{where}: is {type(item).__name__}: give a dict of arrays by input name")
    start = item.get(START, False)
    if not isinstance(start, (bool, np.bool_)):
        raise StreamError(f"{where}: {START} is {start!r}: give true or false")
    arrays = {str(key): _array(value, f"{where}: input {key}") for key, value in item.items() if key != START}
    return Sample(arrays, bool(start))


def _array(value: Any, where: str) -> np.ndarray[Any, np.dtype[Any]]:
    """A copy, so that a function may fill one buffer again and again."""
    try:
        return np.array(value, order="C")
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise StreamError(f"{where}: not an array ({reason}): give a numpy array") from error
