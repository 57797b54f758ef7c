"""Documents: data that is kept as JSON, with its format version, and read back or refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from reuse_compiler import __version__
from reuse_compiler.errors import ReuseError
from reuse_compiler.files import read_text, write_text

__all__ = ["Document", "ModelRef", "Strict", "ToolRef"]


class Strict(BaseModel):
    """A part of a document: unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")


class ModelRef(Strict):
    """The model that a file was made from."""

    path: str
    sha256: str


class ToolRef(Strict):
    """The program that wrote a file."""

    name: str = "reuse-compiler"
    version: str = __version__


class Document(BaseModel):
    """Base of plan, profile and report; each declares a field `format_version` with its number as the only value."""

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")

    KIND: ClassVar[str]
    """What messages call it."""
    REMEDY: ClassVar[str]
    """What to do where the file is of another version."""
    ERROR: ClassVar[type[ReuseError]] = ReuseError
    INDENT: ClassVar[int | None] = 2

    def save(self, path: str | Path) -> None:
        """Write JSON, under a temporary name first."""
        write_text(path, self.model_dump_json(indent=self.INDENT) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a file. Raises an error of this kind that names the field where it is not one, or its version."""
        text = read_text(path)
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise cls.ERROR(f"{path}: {cls._refusal(error)}") from error

    @classmethod
    def _refusal(cls, error: ValidationError) -> str:
        expected: Any = cls.model_fields["format_version"].default
        for found in error.errors():
            if found["loc"] == ("format_version",) and isinstance(found["input"], int):
                return f"{cls.KIND} format {found['input']}, this version reads {expected}: {cls.REMEDY}"
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        return f"not a {cls.KIND}: {where}: {first['msg']}"
