"""Open a stream for a model, and profile the model on it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from reuse_compiler.cli.console import progress_bar

if TYPE_CHECKING:
    from reuse_compiler.frontend import Model
    from reuse_compiler.model_profile import Profile
    from reuse_compiler.streams import Stream

__all__ = ["open_for", "profile_on"]


def open_for(
    model: Model, source: str, preprocess: Path | None, frames: str | None, state: Mapping[str, str]
) -> Stream:
    """The stream `source` for the inputs of `model` that `state` does not feed back."""
    from reuse_compiler.streams import open_stream

    return open_stream(source, model.inputs, preprocess=preprocess, frames=frames, state=state)


def profile_on(model: Model, stream: Stream, state: Mapping[str, str], threads: int | None) -> Profile:
    """The profile of `model` on `stream`, with progress on a terminal."""
    from reuse_compiler.profiling import profile

    with progress_bar() as progress:
        return profile(
            model,
            stream,
            state=state,
            progress=None if progress is None else lambda done: progress("profile", done, stream.frames),
            threads=threads,
        )
