"""What all plots share: where they are written, how they look, and bars by layer."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.errors import ReuseError
from reuse_compiler.files import check_file_place, replacing

__all__ = [
    "BLUE",
    "COMPONENTS",
    "CYAN",
    "GREEN",
    "GREY",
    "PURPLE",
    "SITES",
    "bars_by_layer",
    "check_figure_place",
    "head",
    "is_tall",
    "model_name",
    "name_values",
    "new_figure",
    "places_with_model",
    "require_plot",
    "save_figure",
    "shorten",
    "size_by_layer",
    "stream_name",
]

BLUE, CYAN, GREEN, PURPLE, GREY = "#4477aa", "#66ccee", "#228833", "#aa3377", "#999999"
SITES = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#ee7733", "#332288", "#44aa99", "#882255")
"""Told apart by people who see colours differently, too (Paul Tol's palettes)."""
COMPONENTS: Mapping[str, tuple[str, str]] = {
    "compute": (BLUE, "multiply-accumulates"),
    "quantizer": ("#ccbb44", "quantizer"),
    "special": (PURPLE, "special functions"),
    "edram": (GREEN, "eDRAM (weights)"),
    "buffer": (CYAN, "I/O buffer"),
    "tables": ("#ee7733", "centroid tables"),
    "dram": ("#332288", "DRAM"),
    "host": ("#882255", "host"),
}
"""Colour and name of each component of the energy."""

_FORMATS = (".svg", ".png")
_DPI = 150
_WIDE = 16  # layers beside each other; more stand below each other
_NAME = 26
_LETTERS_AN_INCH = 15  # of an explanation

Axes = Any
Figure = Any


def require_plot() -> None:
    """ReuseError that says what to install where matplotlib is not."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ReuseError("plot: matplotlib is not installed: pip install 'reuse-compiler[plot]'") from error


def check_figure_place(path: Path) -> None:
    """ReuseError where a figure cannot be written to `path`, or its suffix is neither .svg nor .png."""
    if path.suffix.lower() not in _FORMATS:
        raise ReuseError(f"{path}: {path.suffix or 'no suffix'} is no format of a plot: give a .svg or a .png")
    check_file_place(path)


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1, **layout: Any) -> tuple[Figure, Axes]:
    """A white figure of `width` by `height` inches, and its axes: an array [rows, columns]."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    axes = figure.subplots(rows, columns, squeeze=False, **layout)
    for one in axes.flat:
        one.spines[["top", "right"]].set_visible(False)
        one.set_axisbelow(True)
        one.tick_params(labelsize=8)
    return figure, axes


def head(figure: Figure, title: str, explanation: str) -> None:
    """A title, and below it in small what the plot shows."""
    width, height = figure.get_size_inches()
    lines = textwrap.wrap(explanation, int(_LETTERS_AN_INCH * width))
    figure.suptitle(title + "\n" * len(lines), fontsize=11, x=0.01, ha="left", weight="bold")
    top = 1 - 0.27 / height
    figure.text(0.01, top, "\n".join(lines), fontsize=8, color="#555555", ha="left", va="top", linespacing=1.3)


def save_figure(figure: Figure, path: Path) -> None:
    """Write it as its suffix says; the same data gives the same file. Raises ReuseError where it cannot be written."""
    import matplotlib as mpl

    kind = path.suffix.lower().removeprefix(".")
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    with mpl.rc_context({"svg.hashsalt": "reuse", "svg.fonttype": "path"}), replacing(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=_DPI, metadata=metadata)


# --------------------------------------------------------------------------------------------------------------- bars


def is_tall(layers: int) -> bool:
    """Whether bars of so many layers stand below each other, and not beside each other."""
    return layers > _WIDE


def size_by_layer(layers: int, panels: int = 1) -> tuple[float, float]:
    """Width and height in inches of a figure with bars of so many layers, panels below or beside each other."""
    if is_tall(layers):
        return 4.6 * panels + 1.8, 1.4 + 0.22 * layers
    return max(6.0, 2.0 + 0.5 * layers), 1.2 + 2.5 * panels


def places_with_model(layers: int) -> NDArray[np.float64]:
    """Where the bars of each layer are centred: float64 [layers]; the last, which is the model, stands apart."""
    places = np.arange(layers, dtype=float)
    places[-1] += 0.4
    return places


def bars_by_layer(
    axes: Axes,
    names: Sequence[str],
    series: Sequence[tuple[str, str, Sequence[float]]],
    places: NDArray[np.float64],
) -> None:
    """Bars of one or two series, (label, colour, value of each layer), grouped by layer; a line before one that stands
    apart.

    Many layers stand below each other, few beside each other.
    """
    tall, width = is_tall(len(names)), 0.8 / len(series)
    for number, (label, colour, found) in enumerate(series):
        at = places + (number - (len(series) - 1) / 2) * width
        (axes.barh if tall else axes.bar)(at, found, width, color=colour, label=label)
    shown = [shorten(name) for name in names]
    axes.grid(axis="x" if tall else "y", color="#dddddd", linewidth=0.6)
    if tall:
        axes.set_yticks(places, shown, fontsize=7)
        axes.set_ylim(places[-1] + 0.7, -0.7)
    else:
        turned = sum(map(len, shown)) > 60
        axes.set_xticks(places, shown, fontsize=8, rotation=30 if turned else 0, ha="right" if turned else "center")
        axes.set_xlim(-0.7, places[-1] + 0.7)
    if places[-1] > len(names) - 1:
        (axes.axhline if tall else axes.axvline)(places[-1] - 0.7, color="#bbbbbb", linewidth=0.8)


def name_values(axes: Axes, layers: int, label: str, most: float | None = None) -> None:
    """Say what the values of bars are, and show them up to `most` where it is given."""
    side: Literal["x", "y"] = "x" if is_tall(layers) else "y"
    getattr(axes, f"set_{side}label")(label, fontsize=8)
    if most is not None:
        getattr(axes, f"set_{side}lim")(0, most)


def shorten(name: str, most: int = _NAME) -> str:
    """`name` in at most `most` characters, the middle left out."""
    return name if len(name) <= most else f"{name[: most // 2 - 1]}…{name[-(most // 2) :]}"


def model_name(path: str) -> str:
    """The name of a model's file without its folder and suffix, not too long for a title."""
    return shorten(PurePath(path).stem, 2 * _NAME)


def stream_name(name: str) -> str:
    """What a stream is called, without the folder where it is a file."""
    return PurePath(name).name if "/" in name else name
