"""Plots show what the documents say, and are files that others open."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image

from reuse_compiler import plots
from reuse_compiler.errors import ReuseError
from reuse_compiler.model_profile import Profile
from reuse_compiler.profiling import profile
from reuse_compiler.report import LayerReport, Pair, Report
from reuse_compiler.streams import open_stream
from tests.plots.front import front
from tests.small_network import small_model, walk
from tests.watched_run import watched_run


@pytest.fixture(scope="module")
def report() -> Report:
    return watched_run().run(frames=12)


@pytest.fixture(scope="module")
def observed() -> Profile:
    model = small_model()
    samples = [{"x": x} for x in walk(8)]
    return profile(model, open_stream(samples, model.inputs))


def many_layers(report: Report, count: int) -> Report:
    """`report` with `count` layers, each heavier than the one before."""
    template = next(layer for layer in report.layers if layer.similarity is not None)
    layers = [_heavier(template, number) for number in range(count)]
    return report.model_copy(update={"layers": layers})


def _heavier(layer: LayerReport, number: int) -> LayerReport:
    cycles, energy = 1000.0 * (number + 50), 1e6 * (number + 50)
    return layer.model_copy(
        update={
            "name": f"stage/block_{number}/a_convolution_with_a_long_name",
            "macs": 10_000 * (number + 50),
            "cycles": Pair(baseline=cycles, reuse=cycles / 2),
            "energy_pj": Pair(baseline=energy, reuse=energy / 2),
        }
    )


def legend(figure: Any) -> list[str]:
    """The labels of all legends."""
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())]
    return [text.get_text() for one in legends for text in one.get_texts()]


def title(figure: Any) -> str:
    return str(figure.get_suptitle()).strip()


# --------------------------------------------------------------------------------------------------------------- data


def test_similarity_is_the_reports(report: Report) -> None:
    found = plots.similarity_of(report)
    layers = {layer.name: layer for layer in report.layers}
    assert found.names == ["a", "c", "d", "g", "model"]
    for name, similarity, reuse in list(zip(found.names, found.similarity, found.reuse, strict=True))[:-1]:
        assert (similarity, reuse) == (layers[name].similarity, layers[name].reuse)
    assert (found.similarity[-1], found.reuse[-1]) == (report.totals.similarity, report.totals.reuse)
    assert (found.model, found.frames, found.left_out) == ("model", 12, 0)


def test_energies_are_shares_of_the_baselines(report: Report) -> None:
    found, totals = plots.energy_of(report), report.totals.energy_pj
    whole = sum(totals.baseline.values())
    assert found.baseline_pj == pytest.approx(whole / 12)
    assert sum(found.components_baseline.values()) == pytest.approx(1)
    assert found.components_reuse["dram"] == pytest.approx(totals.reuse["dram"] / whole)
    assert sum(found.reuse[:-1]) == pytest.approx(found.reuse[-1]) == pytest.approx(1 - report.totals.energy_saving)
    assert sum(found.baseline[:-1]) == pytest.approx(1) and found.names[-1] == "model"


def test_speedups_are_the_reports_with_their_bounds(report: Report) -> None:
    found = plots.speedup_of(report)
    layers = {layer.name: layer for layer in report.layers}
    rows = zip(found.speedup, found.bound, found.baseline, strict=True)
    at: dict[str, tuple[Any, ...]] = dict(zip(found.names, rows, strict=True))
    assert at["model"] == (report.totals.speedup, pytest.approx(1 / (1 - report.totals.reuse)), 1.0)
    conv = layers["a"]
    share = conv.cycles.baseline / report.totals.cycles.baseline
    assert at["a"] == (conv.cycles.baseline / conv.cycles.reuse, pytest.approx(1 / (1 - conv.reuse)), share)
    assert at["y"][1] is None  # an addition has no multiply-accumulates
    assert found.cycles_reuse == report.totals.cycles.reuse / 12


def test_a_sweep_reads_the_profile_at_each_number_of_clusters(observed: Profile) -> None:
    found = plots.cluster_sweep(observed)
    steps = {site.node: observed.tensors[site.input].step(32) for site in observed.sites}
    at = found.clusters.index(32)
    totals = observed.totals(steps)
    assert (found.reuse[at], found.similarity[at]) == (totals.reuse.value, totals.similarity.value)
    assert found.sites["a"][at] == observed.reuse("a", steps["a"]).value
    assert set(found.sites) == {"a", "c", "d", "g", "y"} and found.measured is None


def test_a_sweep_shows_a_run_of_the_same_model_at_one_number_of_clusters(observed: Profile, report: Report) -> None:
    def measured(sha256: str, *clusters: int) -> tuple[int, float] | None:
        reusing = [layer for layer in report.layers if layer.backend == "reuse"]
        layers = [layer.model_copy(update={"clusters": n}) for layer, n in zip(reusing, clusters, strict=False)]
        model = report.model.model_copy(update={"sha256": sha256})
        run = report.model_copy(update={"layers": layers, "model": model})
        return plots.cluster_sweep(observed, run).measured

    assert measured(observed.model.sha256, 32, 32) == (32, report.totals.reuse)
    assert measured(observed.model.sha256, 32, 64) is None
    assert measured("another", 32, 32) is None


def test_a_front_is_in_the_unit_of_its_bound_or_in_shares_of_the_budget() -> None:
    one = plots.pareto_curve(front("rmse:y<=0.1"))
    assert (one.metric, one.limit) == ("rmse:y of y", 0.1)
    assert one.chosen_loss == [0.025, 0.05, 0.1] and one.chosen_reuse == [0.55, 0.6, 0.7]
    both = plots.pareto_curve(front("rmse:y<=0.1", "argmax<=0.1"))
    assert (both.metric, both.limit) == ("% of the budget", 1.0)
    assert both.chosen_loss == pytest.approx([0.5, 1.0, 2.0])
    assert both.verified_loss == pytest.approx([0.45, 0.9, 1.8])
    assert (both.model, both.chosen_frames, both.verified_frames) == ("net", 30, 15)


# ------------------------------------------------------------------------------------------------------------ figures


def test_every_plot_says_what_it_shows(report: Report, observed: Profile) -> None:
    similarity = plots.draw_similarity(plots.similarity_of(report))
    assert title(similarity) == "model: what repeats from frame to frame"
    assert legend(similarity) == ["similarity: inputs that keep their centroid", "reuse: multiply-accumulates skipped"]
    energy = plots.draw_energy(plots.energy_of(report))
    assert title(energy).endswith("% of the accelerator's energy saved")
    assert {"eDRAM (weights)", "I/O buffer", "baseline", "with reuse"} <= set(legend(energy))
    speedup = plots.draw_speedup(plots.speedup_of(report))
    assert f"{report.totals.speedup:.2f} times as fast" in title(speedup)
    assert {"speedup", "cycles of the baseline", "cycles with reuse"} < set(legend(speedup))
    clusters = plots.draw_clusters(plots.cluster_sweep(observed))
    assert legend(clusters)[:2] == ["similarity, model", "reuse, model"] and len(legend(clusters)) == 7
    pareto = plots.draw_pareto(plots.pareto_curve(front("relrmse<=0.1")))
    assert legend(pareto) == ["chosen on 30 frames", "verified on 15 others", "the budget: relrmse<=0.1"]
    for figure in (similarity, energy, speedup, clusters, pareto):
        assert all(
            axes.get_xlabel() or axes.get_ylabel() for axes in figure.axes if "component" not in axes.get_title("left")
        )


def test_bars_are_as_high_as_the_shares(report: Report) -> None:
    found = plots.similarity_of(report)
    [axes] = plots.draw_similarity(found).axes
    similarity, reuse = ([bar.get_height() for bar in series] for series in axes.containers)
    assert similarity == [100 * share for share in found.similarity]
    assert reuse == [100 * share for share in found.reuse]
    assert [text.get_text() for text in axes.get_xticklabels()] == found.names
    stacked, by_layer = plots.draw_energy(plots.energy_of(report)).axes
    tops = [max(bar.get_y() + bar.get_height() for bar in bars) for bars in zip(*stacked.containers, strict=True)]
    assert tops == [pytest.approx(100), pytest.approx(100 * (1 - report.totals.energy_saving))]
    assert "model" not in [text.get_text() for text in by_layer.get_xticklabels()]


def test_many_layers_stand_below_each_other_and_the_lightest_are_left_out(report: Report) -> None:
    large = many_layers(report, 75)
    similarity, energy, speedup = plots.similarity_of(large), plots.energy_of(large), plots.speedup_of(large)
    drawn = [plots.draw_similarity(similarity), plots.draw_energy(energy), plots.draw_speedup(speedup)]
    assert {similarity.left_out, energy.left_out, speedup.left_out} == {15}
    for names, figure in zip((similarity.names, energy.names, speedup.names), drawn, strict=True):
        assert len(names) == 61 and names[0] == "stage/block_15/a_convolution_with_a_long_name"
        width, height = figure.get_size_inches()
        assert height > width
        shown = [text.get_text() for text in figure.axes[-1].get_yticklabels()]
        assert shown[0] == "stage/block_…h_a_long_name"
        assert any("the 15 lightest layers" in " ".join(text.get_text().split()) for text in figure.texts)


def test_a_loss_of_none_is_drawn(report: Report) -> None:
    exact = front("relrmse<=0.1")
    part = exact.points[0].calibration
    part.bounds[0].loss = 0.0
    [axes] = plots.draw_pareto(plots.pareto_curve(exact)).axes
    assert axes.get_xscale() == "linear"


# -------------------------------------------------------------------------------------------------------------- files


def test_a_file_is_what_its_suffix_says_and_always_the_same(report: Report, tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg", "a.png", "b.PNG"):
        plots.save_figure(plots.draw_speedup(plots.speedup_of(report)), tmp_path / name)
    root = ElementTree.parse(tmp_path / "a.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.format == "PNG" and picture.width > 600
        extremes = picture.convert("L").getextrema()
    assert extremes == (0, 255)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.PNG").read_bytes()


def test_nothing_but_svg_and_png(tmp_path: Path) -> None:
    for name in ("a.pdf", "a"):
        with pytest.raises(ReuseError, match=r"give a \.svg or a \.png"):
            plots.check_figure_place(tmp_path / name)
    with pytest.raises(ReuseError, match="cannot write"):
        plots.check_figure_place(tmp_path / "none/a.svg")


def test_where_matplotlib_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    plots.require_plot()
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(ReuseError, match=r"pip install 'reuse-compiler\[plot\]'"):
        plots.require_plot()
