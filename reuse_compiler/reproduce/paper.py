"""What the paper says: "Computation Reuse in DNNs by Exploiting Input Similarity", Riera, Arnau and González, ISCA 2018.

Every figure has a tag that says how well it is known here. What is printed beside results of this project carries it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "AREA_MM2",
    "ENERGY_SAVING",
    "MEAN_REUSE",
    "MEAN_SIMILARITY",
    "NETWORKS",
    "REUSE",
    "REUSE_ORDER",
    "SIMILARITY",
    "SPEEDUP",
    "TAGS",
    "Fact",
    "PaperNetwork",
    "speedup_bound",
]

Tag = Literal["known", "fits", "memory", "unknown"]

TAGS: dict[Tag, str] = {
    "known": "read in the abstract, the authors' slides or a summary of the paper",
    "fits": "reconstructed from public model code, and checked by arithmetic against a known figure",
    "memory": "plausible, not verified",
    "unknown": "not known here",
}


@dataclass(frozen=True)
class Fact:
    """A figure of the paper, or several of which it is not known which belongs where, and how well it is known."""

    values: tuple[float, ...]
    tag: Tag


@dataclass(frozen=True)
class PaperNetwork:
    """A row of the paper's table of workloads: parameters (of the reconstruction, which the rounded figure of the paper
    agrees with), its accuracy in percent, the clusters of its quantizers, and the kind of network."""

    title: str
    kind: str
    task: str
    parameters: int
    accuracy: Fact
    clusters: int


NETWORKS: dict[str, PaperNetwork] = {
    "kaldi": PaperNetwork("Kaldi", "MLP", "acoustic scoring", 4_654_242, Fact((89.04,), "known"), 16),
    "eesen": PaperNetwork("EESEN", "bidirectional LSTM", "speech recognition", 11_001_650, Fact((68.85,), "known"), 16),
    "c3d": PaperNetwork("C3D", "3D CNN", "video classification", 78_409_573, Fact((93.48,), "known"), 32),
    "autopilot": PaperNetwork("AutoPilot", "CNN", "steering", 1_595_511, Fact((99.63,), "known"), 32),
}
"""The paper's four networks, in its order."""

SIMILARITY = Fact((0.77, 0.69, 0.52, 0.45), "known")
"""Input similarity of the four networks; which belongs to which is not known."""
MEAN_SIMILARITY = Fact((0.61,), "known")
REUSE = Fact((0.79, 0.74, 0.55, 0.53), "known")
"""Computation reuse of the four networks; which belongs to which is not known."""
MEAN_REUSE = Fact((0.66,), "known")
ENERGY_SAVING = Fact((0.63,), "known")
"""On average."""
SPEEDUP = Fact((3.5,), "memory")
"""On average; from about 1.9 to about 5.2."""
AREA_MM2 = Fact((52.0, 53.0), "known")
"""Without and with reuse."""

REUSE_ORDER: dict[str, float] = {"kaldi": 0.53, "eesen": 0.55, "c3d": 0.74, "autopilot": 0.79}
"""The paper's reuse rates given to networks, an assumption of this project: speech below video, in the order in which
speedups of about 1.9, 2.4, 4.5 and 4.9 would need them."""


def speedup_bound(reuse: float) -> float:
    """The most that avoiding the share `reuse` of the multiply-accumulates can speed up a machine bound by them."""
    return 1 / (1 - reuse)
