"""Arguments and options that several commands share, and what their text means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from reuse_compiler.errors import PlanError, ReuseError
from reuse_compiler.files import check_file_place

__all__ = [
    "DEFAULT_HARDWARE",
    "CentroidChoice",
    "Centroids",
    "ClipChoice",
    "Clusters",
    "Deadband",
    "Directory",
    "Exclude",
    "Frames",
    "HardwareName",
    "Json",
    "ModelFile",
    "Preprocess",
    "RangeClip",
    "Shapes",
    "SiteClusters",
    "State",
    "StreamSource",
    "Threads",
    "parse_shapes",
    "parse_sites",
    "parse_state",
    "require_append_place",
    "require_different",
    "require_file_place",
    "require_outside",
    "require_parent",
    "require_state",
    "require_threads",
]


DEFAULT_HARDWARE = "isca18"


class ClipChoice(StrEnum):
    """The values of `--clip`."""

    MINMAX = "minmax"
    MSE = "mse"


class CentroidChoice(StrEnum):
    """The values of `--centroids`."""

    LINEAR = "linear"
    KMEANS = "kmeans"


def _frames(text: str | None) -> str | None:
    if text is not None and re.fullmatch(r"\s*[0-9]*\s*:\s*[0-9]*\s*", text) is None:
        raise typer.BadParameter(f"{text} is not A:B with whole numbers of 0 or more, either of which may be left out")
    return text


ModelFile = Annotated[Path, typer.Argument(metavar="MODEL", help="The ONNX file.", show_default=False)]
Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The folder that compile wrote.", show_default=False)]
Shapes = Annotated[
    list[str] | None,
    typer.Option(
        "--shape",
        metavar="NAME=1,3,224,224",
        help="Shape of an input with open dimensions; once for each such input.",
    ),
]
StreamSource = Annotated[
    str,
    typer.Option(
        "--stream",
        metavar="S",
        help="Recording of the inputs: a .npz, a folder of pictures, a video, a sound file, or MODULE:FUNCTION.",
        show_default=False,
    ),
]
Preprocess = Annotated[
    Path | None,
    typer.Option("--preprocess", metavar="F.toml", help="How pictures or sound of the stream become inputs."),
]
Frames = Annotated[
    str | None,
    typer.Option("--frames", metavar="A:B", callback=_frames, help="Take frames A to B - 1 of the stream alone."),
]
State = Annotated[
    list[str] | None,
    typer.Option(
        "--state",
        metavar="IN=OUT",
        help="Feed output OUT back as input IN in the next frame, zero at a sequence's start; separate several by commas"
        " or repeat the option.",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        help="Threads of the arithmetic; with a budget, candidates tried at once. Default: all cores.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
HardwareName = Annotated[
    str, typer.Option("--hardware", metavar="H", help="A hardware that `reusec hardware` lists, or a .toml file.")
]
Clusters = Annotated[int, typer.Option("--clusters", metavar="N", help="Centroids of a site, 2 to 65,535.")]
SiteClusters = Annotated[
    list[str] | None,
    typer.Option("--site", metavar="NODE=N", help="Another number of clusters for one site; may be repeated."),
]
RangeClip = Annotated[
    ClipChoice,
    typer.Option(
        "--clip",
        help="Range of the centroids: all that the profile saw, or the part of it with the least squared error.",
    ),
]
Centroids = Annotated[
    CentroidChoice,
    typer.Option(
        "--centroids",
        help="Equidistant centroids, or a table of those that k-means finds, at most 256; a recurrent layer has"
        " equidistant ones in any case.",
    ),
]
Deadband = Annotated[
    float,
    typer.Option(
        "--deadband",
        metavar="SHARE",
        help="Keep an index while the input is within this distance of its centroid, as a share of the step; up to 0.5"
        " changes nothing.",
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="NODE", help="Leave this site dense; may be repeated."),
]


def parse_shapes(given: Sequence[str] | None) -> dict[str, tuple[int, ...]]:
    """``NAME=1,3,224,224`` by name; usage error where one is something else."""
    shapes: dict[str, tuple[int, ...]] = {}
    for text in given or ():
        name, _, sizes = text.rpartition("=")
        if not name or re.fullmatch(r"[0-9]+(,[0-9]+)*", sizes) is None:
            raise typer.BadParameter(f"{text} is not NAME=1,3,224,224", param_hint="--shape")
        shapes[name] = tuple(int(size) for size in sizes.split(","))
    return shapes


def parse_state(given: Sequence[str] | None) -> dict[str, str]:
    """``in=out`` pairs, separated by commas or given one by one; usage error where one is something else."""
    state: dict[str, str] = {}
    for pair in (pair.strip() for text in given or () for pair in text.split(",")):
        name, _, output = (part.strip() for part in pair.partition("="))
        if not name or not output:
            raise typer.BadParameter(f"{pair or 'nothing'} is not IN=OUT", param_hint="--state")
        if state.setdefault(name, output) != output:
            raise typer.BadParameter(f"{name} is given {state[name]} and {output}: choose one", param_hint="--state")
    return state


def parse_sites(given: Sequence[str] | None) -> dict[str, int]:
    """``NODE=CLUSTERS`` by node; usage error where one is something else."""
    sites: dict[str, int] = {}
    for text in given or ():
        node, _, clusters = text.rpartition("=")
        if not node or re.fullmatch(r"-?[0-9]+", clusters) is None:
            raise typer.BadParameter(f"{text} is not NODE=CLUSTERS", param_hint="--site")
        sites[node] = int(clusters)
    return sites


def require_threads(threads: int | None) -> int | None:
    """`threads`, which is at least 1 where it is given; else ReuseError."""
    if threads is not None and threads < 1:
        raise ReuseError(f"threads is {threads}: give 1 or more")
    return threads


def require_parent(path: Path) -> None:
    """ReuseError, before any work is done, where the folder that `path` is to lie in does not exist."""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise ReuseError(f"{path}: there is no folder {folder}: make it first")


def require_file_place(path: Path | None, *read: Path | str | None) -> None:
    """ReuseError, before any work is done, where `path`, if there is one, cannot be written as a file, or is one that the
    command reads."""
    if path is None:
        return
    _require_file_name(path, *read)
    check_file_place(path)


def require_append_place(path: Path | None, *read: Path | str | None) -> None:
    """The same of a file that is appended to."""
    if path is None:
        return
    _require_file_name(path, *read)
    if not path.exists():
        check_file_place(path)
        return
    try:
        path.open("ab").close()
    except OSError as error:
        raise ReuseError(f"{path}: cannot write: {error.strerror}: choose another file") from error


def _require_file_name(path: Path, *read: Path | str | None) -> None:
    require_parent(path)
    if path.is_dir():
        raise ReuseError(f"{path}: is a folder: give the name of a file")
    for source in read:
        if source is not None and path.exists() and Path(source).exists() and path.samefile(source):
            raise ReuseError(f"{path}: this command reads it: write to another file")


def require_outside(folder: Path | None, *written: Path | None) -> None:
    """ReuseError where one of the files that are `written` lies in a folder that a command writes as a whole."""
    if folder is None:
        return
    whole = folder.resolve()
    for path in written:
        if path is not None and whole in path.resolve().parents:
            raise ReuseError(f"{path}: lies in {folder}, which is written as a whole: write it elsewhere")


def require_different(*paths: Path | None) -> None:
    """ReuseError where two results are to go to one file."""
    given = [path.absolute() for path in paths if path is not None]
    for path in given:
        if given.count(path) > 1:
            raise ReuseError(f"{path}: two results are to go there: give each a file of its own")


def require_state(given: dict[str, str], planned: dict[str, str]) -> None:
    """PlanError where `given`, if anything, differs from what the plan feeds back."""
    if given and given != planned:
        shown = ",".join(f"{name}={output}" for name, output in planned.items()) or "none"
        raise PlanError(f"--state is not that of the plan, which is {shown}: leave it out, or profile and fit with it")
