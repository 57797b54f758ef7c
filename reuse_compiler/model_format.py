"""The format of reuse models: which one this version writes, and that it runs no other."""

from __future__ import annotations

from collections.abc import Mapping

from reuse_compiler import __version__
from reuse_compiler.errors import ModelError

__all__ = ["FORMAT_VERSION", "check_format", "format_properties"]

FORMAT_VERSION = 2
"""1 kept the state of CONV with its channels second; 2 keeps them last."""

_FORMAT, _TOOL = "reuse.format_version", "reuse.tool_version"


def format_properties() -> dict[str, str]:
    """What a reuse model of this version says of itself in its `metadata_props`."""
    return {_FORMAT: str(FORMAT_VERSION), _TOOL: __version__}


def check_format(name: str, properties: Mapping[str, str]) -> None:
    """Raise ModelError where `properties`, the `metadata_props` of the reuse model `name`, are not of this format."""
    found, tool = (properties.get(key, "unknown") for key in (_FORMAT, _TOOL))
    if found != str(FORMAT_VERSION):
        raise ModelError(
            f"{name}: reuse model of format {found} by version {tool}; version {__version__} runs format"
            f" {FORMAT_VERSION}: compile the model again"
        )
