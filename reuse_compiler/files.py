"""Files are written whole or not at all: under a temporary name in the same folder, then renamed."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reuse_compiler.errors import ReuseError

__all__ = ["check_file_place", "read_bytes", "read_text", "replacing", "sha256", "write_bytes", "write_text"]


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` when the block ends without an error.

    A link stays one: the file behind it is replaced. Raises ReuseError where the folder is missing or not writable, or
    `path` is there already and no regular file.
    """
    target, temporary = Path(path).resolve(), _made_beside(path)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(target)
    except OSError as error:
        raise ReuseError(f"{target}: cannot write: {error.strerror}: choose another place") from error
    finally:
        temporary.unlink(missing_ok=True)


def check_file_place(path: str | Path) -> None:
    """Raises ReuseError where :func:`replacing` would; leaves nothing."""
    _made_beside(path).unlink(missing_ok=True)


def _made_beside(path: str | Path) -> Path:
    """An empty file in the folder that `path`, or what it is a link to, lies in."""
    if Path(path).exists() and not Path(path).is_file():
        raise ReuseError(f"{path}: is no regular file: choose another place")
    target = Path(path).resolve()
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=target.suffix, dir=target.parent)
        os.close(handle)
    except OSError as error:
        raise ReuseError(f"{target}: cannot write: {error.strerror}: choose another folder") from error
    return Path(name)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write `data` to `path` whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 `text` to `path` whole or not at all."""
    write_bytes(path, text.encode())


def read_bytes(path: str | Path) -> bytes:
    """The bytes of a file. Raises ReuseError in one line where it cannot be read."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise ReuseError(f"{path}: no such file") from error
    except OSError as error:
        raise ReuseError(f"{path}: cannot read: {error.strerror}") from error


def read_text(path: str | Path) -> str:
    """The UTF-8 text of a file. Raises ReuseError in one line where it cannot be read."""
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise ReuseError(f"{path}: not a text file (byte {error.start} is not UTF-8)") from error


def sha256(data: bytes) -> str:
    """Hexadecimal SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()
