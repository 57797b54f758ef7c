"""Plots of what a compilation or a fit left in its folder, with matplotlib (extra `plot`)."""

from __future__ import annotations

from reuse_compiler.plots.clusters import ClusterSweep, cluster_sweep, draw_clusters
from reuse_compiler.plots.energy import Energy, draw_energy, energy_of
from reuse_compiler.plots.figure import check_figure_place, new_figure, require_plot, save_figure
from reuse_compiler.plots.folder import read_front, read_measured, read_profile, read_report
from reuse_compiler.plots.pareto import ParetoCurve, draw_pareto, pareto_curve
from reuse_compiler.plots.similarity import Similarity, draw_similarity, similarity_of
from reuse_compiler.plots.speedup import Speedup, draw_speedup, speedup_of

__all__ = [
    "ClusterSweep",
    "Energy",
    "ParetoCurve",
    "Similarity",
    "Speedup",
    "check_figure_place",
    "cluster_sweep",
    "draw_clusters",
    "draw_energy",
    "draw_pareto",
    "draw_similarity",
    "draw_speedup",
    "energy_of",
    "new_figure",
    "pareto_curve",
    "read_front",
    "read_measured",
    "read_profile",
    "read_report",
    "require_plot",
    "save_figure",
    "similarity_of",
    "speedup_of",
]
