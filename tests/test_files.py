"""Files are written whole or not at all, and never over what is no regular file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from reuse_compiler.errors import ReuseError
from reuse_compiler.files import check_file_place, read_text, replacing, write_text


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    write_text(tmp_path / "a.txt", "new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.txt": "new"}


def test_a_block_that_fails_leaves_the_old_file_alone(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(KeyError), replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise KeyError
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.txt": "old"}


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    (tmp_path / "link").symlink_to(tmp_path / "a.txt")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "a.txt").read_text() == "new"


def test_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ReuseError, match="no regular file"):
        write_text(tmp_path / "pipe", "new")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_place_is_checked_and_left_as_it_is(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    check_file_place(tmp_path / "a.txt")
    check_file_place(tmp_path / "b.txt")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.txt": "old"}
    for place in (tmp_path, tmp_path / "none" / "a.txt", Path("/proc/a.txt")):
        with pytest.raises(ReuseError) as writing:
            write_text(place, "new")
        with pytest.raises(ReuseError) as checked:
            check_file_place(place)
        assert str(checked.value) == str(writing.value)


def test_errors_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ReuseError, match="no such file"):
        read_text(tmp_path / "none")
    with pytest.raises(ReuseError, match="choose another folder"):
        write_text(tmp_path / "none" / "a.txt", "new")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ReuseError, match="not a text file"):
        read_text(tmp_path / "binary")
