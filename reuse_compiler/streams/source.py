"""What every source of frames gives, before the frames are checked against the model."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from reuse_compiler.errors import StreamError

__all__ = ["Sample", "Source", "import_extra"]


@dataclass(frozen=True)
class Sample:
    """One frame as the source holds it: arrays by input name, labels among them, and whether the source says that a
    sequence starts."""

    arrays: dict[str, NDArray[Any]]
    start: bool = False


class Source(Protocol):
    """Frames from one place. Reading begins anew with every call of `read` and holds a few frames at a time."""

    @property
    def name(self) -> str:
        """What messages call it: the path or function that the user gave."""

    @property
    def description(self) -> str:
        """One line: what kind of source, and how its frames become inputs."""

    @property
    def frames(self) -> int | None:
        """Number of frames, where the source declares it."""

    def read(self, first: int) -> Iterator[Sample]:
        """The frames from number `first` on; none where there are not so many."""


def import_extra(module: str, extra: str, purpose: str, where: str) -> Any:
    """The optional `module`. Raises StreamError that says which `extra` to install where it cannot be imported."""
    try:
        return importlib.import_module(module)
    except (ImportError, OSError) as error:  # soundfile raises OSError where its native library is missing
        raise StreamError(
            f"{where}: {purpose} needs the package {module}: pip install 'reuse-compiler[{extra}]'"
        ) from error
