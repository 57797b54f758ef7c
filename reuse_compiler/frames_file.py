"""Write arrays of a stream to an `.npz` as they come: one array a name, frames first. Memory does not grow."""

from __future__ import annotations

import shutil
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from reuse_compiler.errors import StreamError
from reuse_compiler.files import replacing

__all__ = ["FramesFile"]


class FramesFile(AbstractContextManager["FramesFile"]):
    """An `.npz` under construction. It takes its place when the block ends without an error, and else leaves nothing.

    Raises StreamError where an array changes its shape or type from one frame to the next.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)

    def __enter__(self) -> Self:
        self._target = replacing(self._path)
        self._temporary = self._target.__enter__()
        self._folder = Path(tempfile.mkdtemp(prefix=f".{self._path.name}.", dir=self._path.parent))
        self._files: dict[str, IO[bytes]] = {}
        self._kinds: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
        self._frames = 0
        return self

    def append(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Add one frame."""
        for name, array in arrays.items():
            kind = (array.shape, array.dtype)
            if self._frames == 0:
                self._kinds[name] = kind
                self._files[name] = (self._folder / str(len(self._files))).open("w+b")
            if self._kinds.get(name) != kind:
                raise StreamError(
                    f"{self._path}: {name} is {kind[1]} {list(kind[0])} in frame {self._frames}, not as before"
                )
            self._files[name].write(np.ascontiguousarray(array).data)
        self._frames += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._assemble()
        except BaseException:
            self._target.__exit__(*sys.exc_info())
            raise
        else:
            self._target.__exit__(kind, error, trace)
        finally:
            for file in self._files.values():
                file.close()
            shutil.rmtree(self._folder)

    def _assemble(self) -> None:
        with zipfile.ZipFile(self._temporary, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            for name, file in self._files.items():
                shape, dtype = self._kinds[name]
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    header = {
                        "descr": npy.dtype_to_descr(dtype),
                        "fortran_order": False,
                        "shape": (self._frames, *shape),
                    }
                    npy.write_array_header_2_0(member, header)
                    file.seek(0)
                    shutil.copyfileobj(file, member, 1 << 20)
