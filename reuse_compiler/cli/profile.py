"""``reusec profile``: similarity and reuse of every site on a stream."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reuse_compiler.cli.console import Column, print_json, print_line, print_table
from reuse_compiler.cli.options import (
    Frames,
    Json,
    ModelFile,
    Preprocess,
    Shapes,
    State,
    StreamSource,
    Threads,
    parse_shapes,
    parse_state,
    require_file_place,
    require_threads,
)
from reuse_compiler.cli.recording import open_for, profile_on
from reuse_compiler.cli.text import counted, number, percent

if TYPE_CHECKING:
    from reuse_compiler.inspecting import SiteReadings
    from reuse_compiler.model_profile import Profile

__all__ = ["print_profile", "profile"]

_CLUSTERS = (16, 32, 64, 256)


def profile(
    model: ModelFile,
    stream: StreamSource,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="F.json", help="Write the profile.")] = None,
    preprocess: Preprocess = None,
    frames: Frames = None,
    state: State = None,
    shape: Shapes = None,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Show how much repeats from frame to frame, site by site.

    similarity: the share of inputs that keep their index. reuse: the share of multiply-accumulates that need not be
    done. Both are given for several numbers of clusters.
    """
    from reuse_compiler.frontend import load

    require_threads(threads)
    require_file_place(output, model, stream, preprocess)
    fed_back = parse_state(state)
    loaded = load(model, shapes=parse_shapes(shape))
    recording = open_for(loaded, stream, preprocess, frames, fed_back)
    observed = profile_on(loaded, recording, fed_back, threads)
    if output is not None:
        observed.save(output)
    if json:
        print_json(_as_json(observed, output))
        return
    print_profile(observed)
    print_line()
    print_line(
        f"stream: {counted(observed.stream.frames, 'frame')} in {counted(observed.stream.sequences, 'sequence')};"
        f" {recording.description}"
    )
    if output is not None:
        print_line(f"wrote {output}")


def print_profile(observed: Profile) -> None:
    """The table: a row a site, and the model."""
    from reuse_compiler.inspecting import at_clusters

    *sites, model = at_clusters(observed, _CLUSTERS)
    if not sites:
        print_line("the model has no site where reuse can apply: reusec check says why")
        return
    columns = [
        Column("site", "name"),
        Column("smallest\ninput", spare=3),
        Column("largest\ninput", spare=2),
        Column("zeros\n%", spare=1),
        *(Column(f"similar\n% at {n}" if n == _CLUSTERS[0] else f"\n{n}") for n in _CLUSTERS),
        *(Column(f"reuse\n% at {n}" if n == _CLUSTERS[0] else f"\n{n}") for n in _CLUSTERS),
    ]
    print_table(columns, [_row(site) for site in sites], _row(model))
    if any(reading.interpolated for reading in (*model.similarity, *model.reuse)):
        numbers = ", ".join(str(n) for n in _CLUSTERS)
        print_line(f"at {numbers} clusters over the whole range; interpolated between steps that are powers of two")


def _row(site: SiteReadings) -> tuple[str, ...]:
    low, high = site.value_range or (None, None)
    shares = (percent(reading.value) for reading in (*site.similarity, *site.reuse))
    return site.node or "model", number(low), number(high), percent(site.zeros), *shares


def _as_json(observed: Profile, output: Path | None) -> dict[str, Any]:
    from reuse_compiler.inspecting import at_clusters

    *sites, model = at_clusters(observed, _CLUSTERS)
    return {
        "model": observed.model.model_dump(),
        "stream": observed.stream.model_dump(),
        "output": None if output is None else str(output),
        "totals": _site_json(model),
        "sites": [_site_json(site) for site in sites],
    }


def _site_json(site: SiteReadings) -> dict[str, Any]:
    known = {key: value for key, value in asdict(site).items() if value is not None}
    return {
        **known,
        "similarity": {str(n): reading.value for n, reading in zip(_CLUSTERS, site.similarity, strict=True)},
        "reuse": {str(n): reading.value for n, reading in zip(_CLUSTERS, site.reuse, strict=True)},
        "interpolated": {str(n): reading.interpolated for n, reading in zip(_CLUSTERS, site.reuse, strict=True)},
    }
