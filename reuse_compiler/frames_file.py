"""Write arrays of a stream to an `.npz` as they come: one array a name, frames first. Memory does not grow."""

from __future__ import annotations

import shutil
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

from reuse_compiler.errors import ReuseError, StreamError
from reuse_compiler.files import replacing

__all__ = ["FramesFile"]


class FramesFile(AbstractContextManager["FramesFile"]):
    """An `.npz` under construction. It takes its place when the block ends without an error, and else leaves nothing.

    Raises ReuseError where the place cannot be written, StreamError where an array changes its shape or type from one
    frame to the next, is missing, or holds no numbers.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._files: dict[str, IO[bytes]] = {}
        self._kinds: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
        self._frames = 0

    def __enter__(self) -> Self:
        try:
            self._folder = Path(tempfile.mkdtemp(prefix=f".{self._path.name}.", dir=self._path.parent))
        except OSError as error:
            raise ReuseError(f"{self._path}: cannot write: {error.strerror}: choose another folder") from error
        return self

    def append(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Add one frame."""
        if self._frames == 0:
            self._begin(arrays)
        if arrays.keys() != self._kinds.keys():
            name = min(arrays.keys() ^ self._kinds.keys())
            raise StreamError(f"{self._path}: {name} is not in every frame: frame {self._frames} differs")
        try:
            for name, array in arrays.items():
                if (array.shape, array.dtype) != self._kinds[name]:
                    raise StreamError(
                        f"{self._path}: {name} is {array.dtype} {list(array.shape)} in frame {self._frames}, not as before"
                    )
                self._files[name].write(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
        except OSError as error:
            raise ReuseError(f"{self._path}: cannot write: {error.strerror}: choose another folder") from error
        self._frames += 1

    def _begin(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        for name, array in arrays.items():
            if array.dtype.hasobject:
                raise StreamError(f"{self._path}: {name} is {array.dtype}: only arrays of numbers can be written")
            self._kinds[name] = (array.shape, array.dtype)
            self._files[name] = (self._folder / str(len(self._files))).open("w+b")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                with replacing(self._path) as temporary:
                    self._assemble(temporary)
        finally:
            for file in self._files.values():
                file.close()
            shutil.rmtree(self._folder)

    def _assemble(self, target: Path) -> None:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
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
                    shutil.copyfileobj(file, member, 1 << 16)
