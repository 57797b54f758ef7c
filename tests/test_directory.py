"""The compiled folder: exchanged whole, opened or refused in one line, and its model found by path and hash."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from reuse_compiler.backend.accelerator.hardware import load_hardware
from reuse_compiler.compiling import compile_model
from reuse_compiler.directory import FILES, CompiledDirectory, check_directory_place, replacing_directory
from reuse_compiler.document import ModelRef
from reuse_compiler.errors import ModelError, PlanError, ProgramError, ReuseError
from reuse_compiler.frontend import load
from reuse_compiler.plan import Plan

PROGRAM = FILES[1]


class Stop(Exception):
    pass


def listed(folder: Path) -> dict[str, str]:
    return {str(item.relative_to(folder)): item.read_text() for item in folder.rglob("*") if item.is_file()}


# -------------------------------------------------------------------------------------------------------- replacing


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    with replacing_directory(tmp_path / "out") as folder:
        (folder / PROGRAM).write_text("new")
        assert not (tmp_path / "out").exists()
    assert listed(tmp_path) == {f"out/{PROGRAM}": "new"}


def test_one_that_compile_wrote_is_replaced(tmp_path: Path) -> None:
    last = f"{FILES[0]}.data"
    for name in (*FILES, last, last):
        with replacing_directory(tmp_path / "out") as folder:
            (folder / PROGRAM).write_text("x")
            (folder / name).write_text("x")
    assert listed(tmp_path) == {f"out/{PROGRAM}": "x", f"out/{last}": "x"}


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with replacing_directory(tmp_path / "link") as folder:
        (folder / PROGRAM).write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / PROGRAM).read_text() == "new"


@pytest.mark.parametrize("before", [None, "old"])
def test_a_block_that_fails_leaves_what_was_there(before: str | None, tmp_path: Path) -> None:
    out = tmp_path / "out"
    if before is not None:
        out.mkdir()
        (out / PROGRAM).write_text(before)
    with pytest.raises(Stop), replacing_directory(out) as folder:
        (folder / PROGRAM).write_text("new")
        raise Stop
    assert listed(tmp_path) == ({} if before is None else {f"out/{PROGRAM}": "old"})
    assert [item.name for item in tmp_path.iterdir()] == ([] if before is None else ["out"])


def test_an_exchange_that_fails_puts_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / PROGRAM).write_text("old")
    replace, calls = Path.replace, []

    def fail_second(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == 2:
            raise OSError("no more room")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fail_second)
    with pytest.raises(OSError, match="no more room"), replacing_directory(out) as folder:
        (folder / PROGRAM).write_text("new")
    monkeypatch.undo()
    assert listed(tmp_path) == {f"out/{PROGRAM}": "old"}
    assert [item.name for item in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("foreign", ["thesis.tex", ".hidden", "plan.json.bak"])
def test_a_folder_with_anything_else_is_untouched(foreign: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in (foreign, PROGRAM):
        (out / name).write_text("mine")
    with (
        pytest.raises(ReuseError, match=f"holds {foreign}, which compile did not write: choose another folder"),
        replacing_directory(out),
    ):
        pytest.fail("the block began")
    assert listed(tmp_path) == {f"out/{foreign}": "mine", f"out/{PROGRAM}": "mine"}


def test_a_place_that_cannot_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ReuseError, match="file: is a file: choose a folder"), replacing_directory(tmp_path / "file"):
        pytest.fail("the block began")
    with pytest.raises(ReuseError, match="cannot write: No such file"), replacing_directory(tmp_path / "a" / "b"):
        pytest.fail("the block began")
    assert listed(tmp_path) == {"file": "mine"}


def test_a_place_is_checked_and_left_as_it_is(tmp_path: Path) -> None:
    check_directory_place(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path, tmp_path / "file", tmp_path / "a" / "b"):
        with pytest.raises(ReuseError) as writing, replacing_directory(place):
            pytest.fail("the block began")
        with pytest.raises(ReuseError) as checked:
            check_directory_place(place)
        assert str(checked.value) == str(writing.value)
    assert listed(tmp_path) == {"file": "mine"}


# ------------------------------------------------------------------------------------------------------------ opening

NETWORK = '<ir_version: 8, opset_import: ["": 18]> net (float[N, 4] x) => (float[N, 4] y) { y = Relu (x) }'


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    onnx.save(onnx.parser.parse_model(NETWORK), path)
    return path


@pytest.fixture
def compiled(model: Path, tmp_path: Path) -> Path:
    """Compiled for inputs of two rows, and without a stream."""
    loaded = load(model, shapes={"x": (2, 4)})
    plan = Plan(model=ModelRef(path="elsewhere.onnx", sha256=loaded.sha256), sites=[])
    assert compile_model(loaded, plan, tmp_path / "out", stream=None, hardware=load_hardware("isca18")) is None
    return tmp_path / "out"


def test_what_was_not_written_is_none(compiled: Path) -> None:
    opened = CompiledDirectory.open(compiled)
    assert opened.profile is None and opened.report is None
    assert opened.reuse_model.is_file()
    assert opened.program.tiling.hardware == "isca18"


def test_the_original_is_found_by_its_path_with_the_shapes_that_it_was_compiled_for(
    compiled: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / "out")
    opened = CompiledDirectory.open(compiled)
    assert opened.plan.model.path == str(model)
    assert opened.original().inputs[0].shape == (2, 4)


def test_a_model_that_has_moved_is_given(compiled: Path, model: Path, tmp_path: Path) -> None:
    model.rename(tmp_path / "moved.onnx")
    with pytest.raises(
        ModelError, match=rf"{model}: the model that {compiled} was compiled from is gone: give its place with --model"
    ):
        CompiledDirectory.open(compiled).original()
    assert CompiledDirectory.open(compiled, tmp_path / "moved.onnx").original().inputs[0].shape == (2, 4)


def test_another_model_in_its_place_is_told_by_both_hashes(compiled: Path, model: Path) -> None:
    """Also one whose inputs do not even have the names that the program knows."""
    was = load(model).sha256
    onnx.save(onnx.parser.parse_model(NETWORK.replace("x)", "other)")), model)
    with pytest.raises(ModelError) as caught:
        CompiledDirectory.open(compiled).original()
    assert load(model).sha256 in str(caught.value) and was in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FILES[:3])
def test_a_folder_without_a_file_that_compile_writes_is_refused(name: str, compiled: Path) -> None:
    (compiled / name).unlink()
    with pytest.raises(ReuseError, match=rf"out: {name} is missing: give a folder that compile wrote"):
        CompiledDirectory.open(compiled)


def test_no_folder_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReuseError, match="nowhere: no such folder: give the one that compile wrote"):
        CompiledDirectory.open(tmp_path / "nowhere")


def test_damaged_files_are_refused_when_they_are_asked_for(compiled: Path) -> None:
    for name in ("program.safetensors", "plan.json", "report.json"):
        (compiled / name).write_text("{")
    opened = CompiledDirectory.open(compiled)
    with pytest.raises(ProgramError):
        _ = opened.program
    with pytest.raises(PlanError):
        _ = opened.plan
    with pytest.raises(ReuseError):
        _ = opened.report
