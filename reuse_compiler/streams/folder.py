"""A folder of pictures as a stream: one frame each, in the order of their names with numbers read as numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from reuse_compiler.errors import StreamError
from reuse_compiler.streams.resize import Picture
from reuse_compiler.streams.source import Sample

__all__ = ["SUFFIXES", "FolderSource", "natural_order", "open_folder"]

SUFFIXES = frozenset([".bmp", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"])
_DEEP = ("F", "I")  # Pillow's modes of more than 8 bits begin so


@dataclass(frozen=True)
class FolderSource:
    """Pictures, uint8 [rows, columns, 3] RGB, for the input `input`, one file open at a time."""

    name: str
    description: str
    input: str
    pictures: tuple[Path, ...]

    @property
    def frames(self) -> int:
        return len(self.pictures)

    def read(self, first: int) -> Iterator[Sample]:
        for path in self.pictures[first:]:
            yield Sample({self.input: _read_picture(path)})


def open_folder(folder: Path, input_name: str) -> FolderSource:
    """List the pictures of `folder`, subfolders left out. Raises StreamError where there is none."""
    files = [path for path in folder.iterdir() if path.is_file()]
    pictures = sorted((path for path in files if path.suffix.lower() in SUFFIXES), key=natural_order)
    if not pictures:
        raise StreamError(f"{folder}: holds no picture ({' '.join(sorted(SUFFIXES))}): give a folder that does")
    others = len(files) - len(pictures)
    note = f", {others} other files left out" if others else ""
    return FolderSource(str(folder), f"{folder}: {len(pictures)} pictures{note}", input_name, tuple(pictures))


def natural_order(path: Path) -> tuple[list[tuple[bool, int, str]], str]:
    """A key that sorts `f2.png` before `f10.png`, small and capital letters alike."""
    parts = re.findall(r"[0-9]+|[^0-9]+", path.name.casefold())
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts], path.name


def _read_picture(path: Path) -> Picture:
    try:
        with Image.open(path) as image:
            if image.mode.startswith(_DEEP):
                raise StreamError(f"{path}: pixels of more than 8 bits ({image.mode}): convert it to 8 bits a channel")
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = str(error).partition("\n")[0]
        raise StreamError(f"{path}: cannot read the picture: {reason}: replace or remove it") from error
