"""A reproduction as a whole: what it holds, its page, its figures, and what it refuses."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from reuse_compiler.errors import ReuseError
from reuse_compiler.frontend import load
from reuse_compiler.models import autopilot
from reuse_compiler.reproduce import Reproduction, paper, reproduce, tables
from reuse_compiler.reproduce.deviations import deviations
from reuse_compiler.reproduce.figures import draw_figures
from reuse_compiler.reproduce.page import page
from reuse_compiler.reproduce.shapes import layer_shapes
from reuse_compiler.reproduce.workloads import WORKLOADS, workload


def test_autopilot_is_judged_and_costed(quick: Reproduction) -> None:
    (network,) = quick.networks
    assert network.parameters == paper.NETWORKS["autopilot"].parameters == 1_595_511
    assert network.macs == 28_218_470
    run = network.runs[0]
    assert network.score_fp32 is not None and run.score is not None
    assert 90 < run.score < network.score_fp32 < 100
    totals = run.report.totals
    assert 0 < totals.reuse_nonzero < totals.reuse < 1 and totals.speedup > 1
    assert sum(layer.macs for layer in network.layers) == network.macs
    assert {processor.name for processor in network.processors} == {"Intel i7-7700K", "NVIDIA GTX 1080"}


def test_shapes_are_those_of_the_network() -> None:
    shapes = layer_shapes(load(autopilot.path()))
    assert [(shape.name, shape.input, shape.output) for shape in shapes[:2]] == [
        ("conv1", (1, 3, 66, 200), (1, 24, 31, 98)),
        ("conv2", (1, 24, 31, 98), (1, 36, 14, 47)),
    ]
    assert sum(shape.parameters for shape in shapes) == 1_595_511


def test_json_comes_back_as_it_was(quick: Reproduction, tmp_path: Path) -> None:
    quick.save(tmp_path / "r.json")
    assert Reproduction.load(tmp_path / "r.json") == quick
    (tmp_path / "r.json").write_text('{"format_version": 99}')
    with pytest.raises(ReuseError, match="reproduction format 99, this version reads 1"):
        Reproduction.load(tmp_path / "r.json")


def test_the_page_has_every_table_and_every_row_all_of_its_cells(quick: Reproduction) -> None:
    text = page(quick, "reusec reproduce", {"energy": "page/energy.svg"})
    for title in ("What reuse brings", "Accuracy", "Memory and area", "Layers of autopilot", "Where this parts"):
        assert re.search(rf"^##+ {title}", text, re.MULTILINE), title
    assert "![Energy by component, baseline and reuse.](page/energy.svg)" in text
    assert "overview.svg" not in text
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        assert len({line.replace("\\|", "").count("|") for line in block.splitlines()}) == 1, block


def test_a_narrow_terminal_can_do_without_columns_that_are_there(quick: Reproduction) -> None:
    for table in (tables.overview(quick), tables.accuracy(quick), tables.energy(quick), tables.processors(quick)):
        assert table.spare and set(table.spare) < set(table.columns)
        assert table.columns[0] not in table.spare


def test_a_recording_of_ones_own_is_named(quick: Reproduction) -> None:
    text = page(quick.model_copy(update={"recording": "drive.mp4"}), "reusec reproduce", {})
    assert "run on the recording drive.mp4, of which nothing says what is right" in text


def test_the_levers_begin_where_the_same_input_check_is(quick: Reproduction) -> None:
    (drawn,), as_it_is = quick.same_input, quick.levers[0]
    assert as_it_is.speedup == {"autopilot": drawn.speedup}
    assert as_it_is.energy_saving == {"autopilot": drawn.energy_saving}


def test_what_is_the_papers_has_a_tag(quick: Reproduction) -> None:
    for table in (tables.overview(quick), tables.same_input(quick)):
        row = next(row for row in table.rows if row[0].startswith("paper"))
        assert all(re.search(r"\[(known|memory|fits)]", cell) for cell in row[1:] if cell not in ("", "–"))


def test_every_deviation_is_explained_or_says_that_it_is_not(quick: Reproduction) -> None:
    table = deviations(quick)
    status = table.columns.index("status")
    assert {row[status] for row in table.rows} <= {"explained", "unexplained"}
    assert all(all(row) for row in table.rows)
    assert any(row[0].startswith("area") for row in table.rows)


def test_a_loss_of_more_than_a_point_is_unexplained(quick: Reproduction) -> None:
    network = quick.networks[0]
    worse = network.model_copy(update={"score_fp32": (network.runs[0].score or 0) + 5})
    rows = deviations(quick.model_copy(update={"networks": [worse]})).rows
    (row,) = [row for row in rows if row[0].startswith("autopilot: lost")]
    assert row[2] == "+5.00" and row[3] == "unexplained"


def test_figures_are_drawn_and_the_same_again(quick: Reproduction, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, again = draw_figures(quick, tmp_path / "a"), draw_figures(quick, tmp_path / "b")
    assert set(first) == {"overview", "energy", "layers"}  # a quick run has no sensitivity
    for name, path in first.items():
        assert ET.parse(path).getroot().tag.endswith("svg")
        assert path.read_bytes() == again[name].read_bytes()


def test_every_workload_is_a_network_of_the_paper() -> None:
    assert {one.paper for one in WORKLOADS.values()} == set(paper.NETWORKS)
    assert [name for name, one in WORKLOADS.items() if one.counted] == list(paper.NETWORKS)
    with pytest.raises(ReuseError, match="reproduce knows"):
        workload("alexnet")


def test_reproduce_takes_names_and_refuses_others() -> None:
    with pytest.raises(ReuseError, match="lenet"):
        reproduce(["lenet"])
