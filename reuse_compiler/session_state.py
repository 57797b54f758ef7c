"""The state of a session as data: taken, put back, written to a file and read from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from reuse_compiler import __version__
from reuse_compiler.errors import ReuseError
from reuse_compiler.files import read_bytes, write_bytes

__all__ = ["FORMAT_VERSION", "SessionState"]

FORMAT_VERSION = 1
_KIND = "session state"


@dataclass(frozen=True)
class SessionState:
    """What a session holds between two frames.

    Parameters
    ----------
    model_sha256 : str
        Hexadecimal SHA-256 of the reuse model.
    arrays : mapping of str to array
        By model input: ``past_index_<node>`` (uint8 or uint16, shape of the node's input), ``past_linear_<node>``
        (float32, shape of its output), of CONV both with the channels last (:mod:`reuse_compiler.state_layout`), and the
        inputs that the model's own outputs are fed back to.
    """

    model_sha256: str
    arrays: Mapping[str, NDArray[Any]]

    def to_file(self, path: str | Path) -> None:
        """Write a safetensors file, under a temporary name first."""
        metadata = {
            "kind": _KIND,
            "format_version": str(FORMAT_VERSION),
            "tool_version": __version__,
            "model_sha256": self.model_sha256,
        }
        write_bytes(path, safetensors.numpy.save(dict(self.arrays), metadata))

    @classmethod
    def from_file(cls, path: str | Path) -> SessionState:
        """Read a state. Raises ReuseError where the file is no session state, or of a format this version cannot read."""
        read_bytes(path)
        try:
            with safetensors.safe_open(path, framework="np") as file:
                metadata = file.metadata() or {}
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except safetensors.SafetensorError as error:
            raise ReuseError(f"{path}: not a session state: {error}: give a file that a session saved") from error
        if metadata.get("kind") != _KIND or "model_sha256" not in metadata:
            raise ReuseError(f"{path}: not a session state: give a file that a session saved")
        version = metadata.get("format_version")
        if version != str(FORMAT_VERSION):
            raise ReuseError(
                f"{path}: session state of format {version} by version {metadata.get('tool_version')}; version"
                f" {__version__} reads format {FORMAT_VERSION}: run the stream again"
            )
        return cls(metadata["model_sha256"], arrays)
