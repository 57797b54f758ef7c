"""Bad input: one line on stderr, exit status 1, nothing half-written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tests.cli.conftest import Invoke, Save

Break = Callable[[Path], str]
Images = NDArray[np.float32]

_CONSUMERS = ("check", "profile", "fit", "compile")


@pytest.fixture
def attempt(invoke: Invoke, tmp_path: Path) -> Callable[..., str]:
    """The complaint of a command that writes to a place where an older result lies, which must survive."""

    def run(command: str, *arguments: object) -> str:
        older = tmp_path / "older"
        older.mkdir(exist_ok=True)
        if command == "compile":
            place = older / "compiled"
            place.mkdir(exist_ok=True)
            kept = place / "program.safetensors"
        else:
            place = kept = older / "result.json"
        kept.write_text("older")
        output = () if command == "check" else ("-o", place)
        complaint = invoke(command, *arguments, *output).complaint
        assert kept.read_text() == "older"
        assert len([path for path in older.rglob("*") if path.is_file()]) == 1
        fresh = tmp_path / "fresh"
        assert invoke(command, *arguments, *(("-o", fresh) if output else ())).complaint == complaint
        assert not fresh.exists()
        kept.unlink()
        return complaint

    return run


# ------------------------------------------------------------------------------------------------------------- models


def _not_onnx(path: Path) -> str:
    path.write_text("I am a text.")
    return "not an ONNX"


def _truncated(path: Path) -> str:
    path.write_bytes(path.read_bytes()[:-200])
    return "truncated"


def _empty(path: Path) -> str:
    path.write_bytes(b"")
    return "empty"


def _missing(path: Path) -> str:
    path.unlink()
    return "no such file"


def _save_external(path: Path) -> Path:
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path.with_name("weights.bin")


def _external_data_missing(path: Path) -> str:
    _save_external(path).unlink()
    return "weights.bin: no such file"


def _external_data_truncated(path: Path) -> str:
    data = _save_external(path)
    data.write_bytes(data.read_bytes()[:100])
    return "too short"


def _external_data_outside(path: Path) -> str:
    data = _save_external(path)
    outside = path.parent.parent / "outside.bin"
    data.rename(outside)
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../outside.bin"
    path.write_bytes(model.SerializeToString())
    return "outside the model's folder"


@pytest.mark.parametrize("command", _CONSUMERS)
@pytest.mark.parametrize(
    "damage",
    [
        _not_onnx,
        _truncated,
        _empty,
        _missing,
        _external_data_missing,
        _external_data_truncated,
        _external_data_outside,
    ],
)
def test_a_model_that_cannot_be_read(
    attempt: Callable[..., str], model: Path, stream: Path, command: str, damage: Break
) -> None:
    expected = damage(model)
    source = () if command == "check" else ("--stream", stream)
    complaint = attempt(command, model, *source)
    assert expected in complaint
    assert str(model) in complaint


_HEAD = '<ir_version: 8, opset_import: ["" : {opset}, "own" : 1]> g (float[5,1,2] image) => (float[] score)'
_MALFORMED = {
    "a cycle": (
        "a = Add(image, b) b = Relu(a) score = Neg(b)",
        r"node [ab] \((Add|Relu)\): it depends on its own output",
    ),
    "nothing produces an input": ("score = Add(image, b)", r"node score \(Add\): nothing produces its input b"),
    "an operator that came later": (
        "score = Gelu(image)",
        r"node score \(Gelu\): no such operator in opset 18 .* came with 20",
    ),
    "an operator that nobody knows": (
        "score = Unheard(image)",
        r"node score \(Unheard\): no such operator in opset 18",
    ),
    "a domain that nobody knows": (
        "score = own.Thing(image)",
        r"node score \(own.Thing\): neither onnx nor onnxruntime",
    ),
    "a sequence length beyond the time axis": (
        (
            "w, r = Split<axis = 0, num_outputs = 2>(weights) n = Constant<value = int32[1] {6}>()"
            " score = RNN<hidden_size = 2>(image, w, r, , n)"
        ),
        r"node score \(RNN\): sequence_lens n has 6, its input has 5 time steps",
    ),
    "a shape that the operator does not take": (
        "score = MatMul(image, weights)",
        r"node score \(MatMul\): .*[Ii]ncompatible",
    ),
}


@pytest.mark.parametrize("command", ["check", "compile"])
@pytest.mark.parametrize("name", _MALFORMED)
def test_a_malformed_graph_names_node_and_operator(
    attempt: Callable[..., str], stream: Path, tmp_path: Path, command: str, name: str
) -> None:
    body, expected = _MALFORMED[name]
    proto = onnx.parser.parse_model(f"{_HEAD.format(opset=18)} {{ {body} }}")
    rows = 3 if "MatMul" in body else 2
    weights = onnx.numpy_helper.from_array(np.zeros((2, rows, 2), np.float32), "weights")
    proto.graph.initializer.append(weights)
    path = tmp_path / "malformed.onnx"
    path.write_bytes(proto.SerializeToString())
    complaint = attempt(command, path, *(() if command == "check" else ("--stream", stream)))
    assert str(path) in complaint and re.search(expected, complaint), complaint


def test_an_opset_later_than_the_installed_onnx(attempt: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "later.onnx"
    path.write_bytes(
        onnx.parser.parse_model(f"{_HEAD.format(opset=99)} {{ score = Unheard(image) }}").SerializeToString()
    )
    complaint = attempt("check", path)
    assert "node score (Unheard): no such operator" in complaint and "the model has 99" in complaint


def test_a_reuse_model_is_not_compiled_again(attempt: Callable[..., str], compilation: Path) -> None:
    again = attempt("compile", compilation / "compiled/model.reuse.onnx", "--stream", compilation / "stream.npz")
    assert "reuse model already" in again


# ------------------------------------------------------------------------------------------------------------ streams


def _other_name(images: Images) -> dict[str, NDArray[Any]]:
    return {"picture": images}


def _two_names(images: Images) -> dict[str, NDArray[Any]]:
    return {"image": images, "other": images}


def _other_shape(images: Images) -> dict[str, NDArray[Any]]:
    return {"image": images[:, :, :5]}


def _other_type(images: Images) -> dict[str, NDArray[Any]]:
    return {"image": images.astype(np.int32)}


def _no_frames(images: Images) -> dict[str, NDArray[Any]]:
    return {"image": images[:0]}


def _with(value: float) -> Callable[[Images], dict[str, NDArray[Any]]]:
    def change(images: Images) -> dict[str, NDArray[Any]]:
        images[4, 1, 2, 3] = value
        return {"image": images}

    return change


@pytest.mark.parametrize("command", ["profile", "fit", "compile"])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_other_name, "image"),
        (_two_names, "other"),
        (_other_shape, "[2, 5, 6]"),
        (_other_type, "int32"),
        (_no_frames, "empty"),
        (_with(np.nan), "frame 4: input image is nan"),
        (_with(np.inf), "frame 4: input image is inf"),
    ],
)
def test_a_stream_that_does_not_fit(
    attempt: Callable[..., str],
    model: Path,
    save: Save,
    images: Images,
    command: str,
    change: Callable[[Images], dict[str, NDArray[Any]]],
    expected: str,
) -> None:
    stream = save(**change(images))
    complaint = attempt(command, model, "--stream", stream)
    assert expected in complaint
    assert str(stream) in complaint


@pytest.mark.parametrize("command", ["profile", "fit", "compile"])
def test_a_stream_that_is_not_there(attempt: Callable[..., str], model: Path, tmp_path: Path, command: str) -> None:
    assert "no such file" in attempt(command, model, "--stream", tmp_path / "none.npz")
    assert "no.such.module" in attempt(command, model, "--stream", "no.such.module:frames")


@pytest.mark.parametrize("state", ["image=nothing", "nothing=score", "image=score"])
def test_a_state_that_the_model_does_not_have(
    attempt: Callable[..., str], model: Path, stream: Path, state: str
) -> None:
    assert f"state {state}" in attempt("profile", model, "--stream", stream, "--state", state)


@pytest.mark.parametrize("text", ["[picture", "[picture]\nsize = 3", "[sound]\nrate = 1"])
def test_a_preprocess_file_that_does_not_fit(
    attempt: Callable[..., str], model: Path, stream: Path, tmp_path: Path, text: str
) -> None:
    (tmp_path / "p.toml").write_text(text)
    assert "p.toml" in attempt("profile", model, "--stream", stream, "--preprocess", tmp_path / "p.toml")


# -------------------------------------------------------------------------------------------------- profiles and plans


@pytest.fixture
def plan(invoke: Invoke, model: Path, stream: Path, tmp_path: Path) -> Path:
    """A plan for the small model."""
    path = tmp_path / "plan.json"
    assert invoke("fit", model, "--stream", stream, "-o", path).status == 0
    return path


@pytest.fixture
def other(model: Path, tmp_path: Path) -> Path:
    """The small model with another weight."""
    changed = onnx.load(model)
    changed.graph.initializer[1].raw_data = np.ones(3, np.float32).tobytes()
    path = tmp_path / "other.onnx"
    onnx.save(changed, path)
    return path


def test_a_plan_for_another_model_names_both_hashes(attempt: Callable[..., str], plan: Path, other: Path) -> None:
    complaint = attempt("compile", other, "--plan", plan)
    assert json.loads(plan.read_text())["model"]["sha256"] in complaint
    assert str(other) in complaint


def test_a_profile_of_another_model_names_both_hashes(
    invoke: Invoke, attempt: Callable[..., str], model: Path, other: Path, stream: Path, tmp_path: Path
) -> None:
    invoke("profile", model, "--stream", stream, "-o", tmp_path / "profile.json")
    complaint = attempt("fit", other, "--profile", tmp_path / "profile.json")
    assert json.loads((tmp_path / "profile.json").read_text())["model"]["sha256"] in complaint


@pytest.mark.parametrize("command", ["fit", "compile"])
def test_a_constant_layer(attempt: Callable[..., str], model: Path, save: Save, images: Images, command: str) -> None:
    stream = save(image=np.ones_like(images) * np.float32(0.5))
    complaint = attempt(command, model, "--stream", stream)
    assert "conv" in complaint and "0.5 throughout" in complaint


@pytest.mark.parametrize("clusters", [1, 65_536])
@pytest.mark.parametrize("command", ["fit", "compile"])
def test_clusters_out_of_range(
    attempt: Callable[..., str], model: Path, stream: Path, command: str, clusters: int
) -> None:
    assert "2 to 65,535" in attempt(command, model, "--stream", stream, "--clusters", clusters)


@pytest.mark.parametrize("clusters", [2, 65_535])
def test_clusters_at_the_ends_of_the_range(
    invoke: Invoke, model: Path, stream: Path, tmp_path: Path, clusters: int
) -> None:
    assert invoke("compile", model, "--stream", stream, "--clusters", clusters, "-o", tmp_path / "out").status == 0


def _edited(plan: Path, key: str, value: object) -> None:
    content = json.loads(plan.read_text())
    content["sites"][1]["quantizer"][key] = value
    plan.write_text(json.dumps(content))


@pytest.mark.parametrize(("key", "value"), [("clusters", 1), ("clusters", 65_536), ("step", 0.0), ("zero", 99)])
def test_an_edited_plan_out_of_range_names_the_site(
    attempt: Callable[..., str], model: Path, plan: Path, key: str, value: object
) -> None:
    _edited(plan, key, value)
    complaint = attempt("compile", model, "--plan", plan)
    assert "fc1" in complaint and key in complaint


def test_a_plan_that_is_none(attempt: Callable[..., str], model: Path, plan: Path, tmp_path: Path) -> None:
    plan.write_text(plan.read_text()[:-40])
    assert f"{plan}: not a plan" in attempt("compile", model, "--plan", plan)
    assert "no such file" in attempt("compile", model, "--plan", tmp_path / "none.json")


# ------------------------------------------------------------------------------------------------- a fit to a budget


def _older_front(folder: Path) -> None:
    folder.mkdir()
    (folder / "pareto.json").write_text("{}")


def _foreign_folder(folder: Path) -> None:
    folder.mkdir()
    (folder / "thesis.tex").write_text("years")


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda path: path.write_text("mine"), "front: is a file: choose a folder"),
        (_foreign_folder, "front: holds thesis.tex, and is no Pareto front: choose another folder"),
        (_older_front, "pareto.json: not a Pareto front"),
    ],
)
def test_a_front_where_something_else_is(
    invoke: Invoke, model: Path, stream: Path, tmp_path: Path, make: Callable[[Path], object], expected: str
) -> None:
    front = tmp_path / "front"
    make(front)
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    done = invoke("fit", model, "--stream", stream, "--budget", "relrmse<=0.1", "--pareto", front)
    assert expected in done.complaint
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == kept


def test_a_front_where_nothing_can_be_written(invoke: Invoke, model: Path, stream: Path, tmp_path: Path) -> None:
    """Not even root makes folders in /proc."""
    done = invoke("fit", model, "--stream", stream, "--budget", "relrmse<=0.1", "--pareto", "/proc/front")
    assert "/proc/front: cannot write: " in done.complaint and "choose another folder" in done.complaint
    nowhere = invoke("fit", model, "--stream", stream, "--budget", "relrmse<=0.1", "--pareto", tmp_path / "no/front")
    assert "make it first" in nowhere.complaint


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--effort", "-1"), "effort is -1.0 seconds: give a finite number of 0 or more"),
        (("--effort", "nan"), "effort is nan seconds"),
        (("--threads", "0"), "threads is 0: give 1 or more"),
        (("--hardware", "abacus"), "abacus"),
        (("--journal", "nowhere/j"), "nowhere: make it first"),
        (("--refresh", "0"), "refresh: every is 0"),
    ],
)
@pytest.mark.parametrize("command", ["fit", "compile"])
def test_options_of_a_budget_out_of_range(
    attempt: Callable[..., str], model: Path, stream: Path, command: str, options: tuple[str, str], expected: str
) -> None:
    assert expected in attempt(command, model, "--stream", stream, "--budget", "relrmse<=0.1", *options)


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is profiled or fitted."""

    def begun(*arguments: object, **options: object) -> None:
        pytest.fail("the work began")

    for name in ("fit.profile_on", "fit.fit_to", "compile.profile_on", "compile.fit_to"):
        monkeypatch.setattr(f"reuse_compiler.cli.{name}", begun)


@pytest.mark.usefixtures("no_work")
@pytest.mark.parametrize(
    ("command", "place", "expected"),
    [
        ("fit", "no/plan.json", "make it first"),
        ("fit", "folder", "is a folder: give the name of a file"),
        ("fit", "file/plan.json", "make it first"),
        ("fit", "/dev/null", "is no regular file: choose another place"),
        ("fit", "/proc/plan.json", "cannot write: "),  # not even root makes files there
        ("compile", "no/out", "make it first"),
        ("compile", "file", "is a file: choose a folder"),
        ("compile", "folder", "holds thesis.tex, which compile did not write: choose another folder"),
        ("compile", "/proc/out", "cannot write: "),
    ],
)
def test_where_nothing_can_be_written_no_work_begins(
    invoke: Invoke, model: Path, stream: Path, tmp_path: Path, command: str, place: str, expected: str
) -> None:
    _foreign_folder(tmp_path / "folder")
    (tmp_path / "file").write_text("mine")
    kept = sorted(tmp_path.rglob("*"))
    for budget in ((), ("--budget", "relrmse<=0.1")):
        done = invoke(command, model, "--stream", stream, *budget, "-o", tmp_path / place)
        assert expected in done.complaint
    assert sorted(tmp_path.rglob("*")) == kept


@pytest.mark.usefixtures("no_work")
def test_a_journal_that_cannot_be_appended_to(
    invoke: Invoke, model: Path, stream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "journal"
    journal.touch()
    opened = Path.open

    def refuse(path: Path, *arguments: Any, **options: Any) -> Any:
        if path == journal:
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    done = invoke("fit", model, "--stream", stream, "--budget", "relrmse<=0.1", "--journal", journal)
    assert f"{journal}: cannot write: Permission denied: choose another file" in done.complaint


def test_a_journal_that_is_none_or_is_read(
    invoke: Invoke, model: Path, save: Save, stream: Path, tmp_path: Path
) -> None:
    save(image=np.zeros((24, 2, 6, 6), np.float32) + np.arange(24, dtype=np.float32).reshape(24, 1, 1, 1))
    fit = ("fit", model, "--stream", stream, "--budget", "relrmse<=0.1")
    (tmp_path / "notes").write_text("I am a text.\n")
    assert "no journal of a search" in invoke(*fit, "--journal", tmp_path / "notes").complaint
    assert (tmp_path / "notes").read_text() == "I am a text.\n"
    assert "this command reads it" in invoke(*fit, "--journal", model).complaint
    front = tmp_path / "front"
    front.mkdir()
    inside = invoke(*fit, "--pareto", front, "--journal", front / "j")
    assert "which is written as a whole" in inside.complaint
    both = invoke(*fit, "-o", tmp_path / "p", "--journal", tmp_path / "p")
    assert "two results are to go there" in both.complaint
