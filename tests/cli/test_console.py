"""Tables in narrow and wide terminals."""

from __future__ import annotations

import json
import math

import pytest

from reuse_compiler.cli.console import Column, print_json, print_table, progress_bar, status_line

_LONG = "backbone/stage3/block12/depthwise/conv"
_COLUMNS = (Column("layer", "name"), Column("note", "text", spare=1), Column("cycles\na frame"), Column("%"))


def _table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: str) -> list[str]:
    monkeypatch.setenv("COLUMNS", width)
    rows = [(_LONG, "dense on the accelerator", "1,234,567", "9.9"), ("fc", "", "8", "100.0")]
    print_table(_COLUMNS, rows, ("total", "", "1,234,575", "50.0"))
    return capsys.readouterr().out.splitlines()


def test_a_pipe_shows_everything(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = _table(capsys, monkeypatch, "")
    assert lines[3].split() == [_LONG, "dense", "on", "the", "accelerator", "1,234,567", "9.9"]
    assert len(lines) == 7


@pytest.mark.parametrize("width", [60, 70, 80, 100])
def test_no_line_is_wider_than_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    assert max(map(len, _table(capsys, monkeypatch, str(width)))) <= width


def test_texts_fold_before_a_name_of_usual_length_is_shortened(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    print_table((Column("name", "name"), Column("note", "text")), [("compute.latency_cycles_of_it", "word " * 9)])
    assert "compute.latency_cycles_of_it  word word" in capsys.readouterr().out


def test_a_long_name_loses_its_middle(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    name = _table(capsys, monkeypatch, "60")[3].split()[0]
    head, tail = name.split("…")
    assert _LONG.startswith(head) and _LONG.endswith(tail)
    assert abs(len(head) - len(tail)) <= 1


def test_spare_columns_go_before_a_number_does(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = _table(capsys, monkeypatch, "34")
    assert "note" not in lines[1]
    assert lines[3].split()[1:] == ["1,234,567", "9.9"]


def test_numbers_end_below_each_other(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = _table(capsys, monkeypatch, "100")
    assert len({len(lines[row].rstrip()) for row in (1, 3, 4, 6)}) == 1
    assert lines[4].index("8") == lines[3].index("1,234,567") + len("1,234,567") - 1


def test_no_number_is_cut_however_narrow(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert _table(capsys, monkeypatch, "10")[3].split()[1:] == ["1,234,567", "9.9"]


def test_there_is_no_progress_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar() as progress, status_line() as status:
        assert progress is None and status is None
    assert capsys.readouterr().err == ""


def test_json_has_no_number_that_json_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [math.inf, 1.5, (math.nan,)], "b": -math.inf, "c": "é"})
    shown = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert shown == {"a": [None, 1.5, [None]], "b": None, "c": "é"}
