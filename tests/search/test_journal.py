"""A search that was stopped goes on where it was, and what is no journal is left alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from reuse_compiler.errors import BudgetError
from reuse_compiler.quantizers import LinearQuantizer
from reuse_compiler.search.journal import Journal
from reuse_compiler.search.search import search
from tests.small_search import Parts

QUANTIZERS = {"a": LinearQuantizer(0.25, 4, 9), "b": LinearQuantizer(0.5, 0, 9, (0.25, 0.5))}


def test_a_second_search_takes_the_same_way_and_runs_nothing(
    parts: Parts, runs: Callable[[], int], tmp_path: Path
) -> None:
    def found(path: Path | None) -> object:
        calibration = replace(parts.calibration, journal=Journal(path, "of"))
        return search(calibration, parts.profile, {}, rounds=1)

    first = found(tmp_path / "journal")
    tried = runs()
    assert first is not None and tried > 0
    assert found(tmp_path / "journal") == first
    assert runs() == tried
    assert found(None) == first
    assert runs() > tried


def test_a_search_that_was_cut_off_runs_the_rest(parts: Parts, runs: Callable[[], int], tmp_path: Path) -> None:
    path = tmp_path / "journal"
    candidates = [parts.uniform.scaled(-octave) for octave in range(4)]
    evaluator = replace(parts.calibration, exact=True, jobs=1)
    first = replace(evaluator, journal=Journal(path)).evaluate_all(candidates)
    assert runs() == 4
    path.write_text(path.read_text()[:-9])  # in the middle of the last line
    journal = Journal(path)
    assert replace(evaluator, journal=journal).evaluate_all(candidates) == first
    assert runs() == 5
    assert replace(evaluator, journal=Journal(path)).evaluate_all(candidates) == first
    assert runs() == 5


def test_what_is_known_is_known_of_these_quantizers_and_frames_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, "model")
    key = journal.key("all", QUANTIZERS)
    assert journal.known(key) is None
    journal.write(key, (0.5, float("inf"), 0.25))
    again = Journal(path, "model")
    assert again.known(again.key("all", dict(reversed(QUANTIZERS.items())))) == (0.5, float("inf"), 0.25)
    others = [
        again.key("first 9", QUANTIZERS),
        again.key("all", {"a": QUANTIZERS["a"]}),
        again.key("all", {**QUANTIZERS, "a": LinearQuantizer(0.25, 4, 10)}),
        Journal(path, "other").key("all", QUANTIZERS),
    ]
    assert {again.known(other) for other in others} == {None}


@pytest.mark.parametrize("kept", [0, 1, 2, 20, 40, None])
def test_a_last_line_that_was_cut_off_is_written_anew(tmp_path: Path, kept: int | None) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.write("ab" * 16, (0.5, 1.0, 0.25))
    whole = path.read_text()
    journal.write("cd" * 16, (0.75, 2.0, 0.5))
    path.write_text(whole + path.read_text()[len(whole) : -1][:kept])
    again = Journal(path)
    assert again.known("ab" * 16) == (0.5, 1.0, 0.25)
    assert again.known("cd" * 16) is None
    assert path.read_text() == whole


@pytest.mark.parametrize(
    "text",
    [
        "{}\n",
        "3\n",
        "notes\n",
        '["a", 1, 2]\n',
        '["a", 1, 2, null]\n',
        "notes",
        '{"plan": 1}',
        b"\x89PNG\xff",
        b"\xff\n",
    ],
)
def test_a_file_that_is_no_journal_is_one_line_and_stays(tmp_path: Path, text: str | bytes) -> None:
    path = tmp_path / "thesis"
    held = text.encode() if isinstance(text, str) else text
    path.write_bytes(held)
    with pytest.raises(BudgetError, match="thesis: no journal of a search: give another file, or remove it") as caught:
        Journal(path)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == held


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match="No such file or directory: give another file"):
        Journal(tmp_path / "missing" / "journal")
    with pytest.raises(BudgetError, match="Is a directory: give another file"):
        Journal(tmp_path)


def test_a_full_disk_ends_the_search_with_one_line(parts: Parts, tmp_path: Path) -> None:
    """Candidates are tried in threads."""
    path = tmp_path / "journal"
    full = replace(parts.calibration, journal=Journal(path), jobs=2)
    path.unlink()
    path.symlink_to("/dev/full")  # takes nothing
    message = "journal: cannot write the journal: No space left on device: make room there and start the fit again, "
    with pytest.raises(BudgetError, match=message) as caught:
        full.evaluate_all([parts.uniform, parts.uniform.scaled(-1)])
    assert "\n" not in str(caught.value)
