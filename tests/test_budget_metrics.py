"""Fits to every metric keep it, and what cannot be judged on a recording is one line."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from reuse_compiler import frontend
from reuse_compiler.budget import parse_budget
from reuse_compiler.budget_fit import MIN_FRAMES, fit_to_budget
from reuse_compiler.default_budget import DefaultBudgetWarning
from reuse_compiler.errors import BudgetError, ReuseError, StreamError
from reuse_compiler.frontend import Model
from reuse_compiler.metrics import Judge
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import Plan
from reuse_compiler.reference import Reference
from reuse_compiler.session import Session
from reuse_compiler.streams import Frame, Stream, open_stream

NETWORK = """
<ir_version: 8, opset_import: ["": 18]>
net (float[1, 8] x) => (float[1, 4] y, float[1] fixed, float[1] silent, int64[1] best) {
    a = MatMul (x, A)
    b = Relu (a)
    y = MatMul (b, B)
    fixed = Identity (F)
    silent = Identity (S)
    best = ArgMax <axis = 1, keepdims = 0> (y)
}"""
WEIGHTS = {"A": (8, 6), "B": (6, 4)}
CONSTANTS = {"F": np.ones(1, np.float32), "S": np.zeros(1, np.float32)}


def load(path: Path, text: str = NETWORK) -> Model:
    generator = np.random.default_rng(0)
    weights = {name: (generator.standard_normal(shape) / 2).astype(np.float32) for name, shape in WEIGHTS.items()}
    proto = onnx.parser.parse_model(text)
    weights.update(CONSTANTS)
    for name, array in weights.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    onnx.save(proto, path)
    return frontend.load(path)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load(tmp_path_factory.mktemp("model") / "model.onnx")


def walk(frames: int) -> NDArray[np.float32]:
    """Each element rests, or jumps: [frames, 1, 8]."""
    generator = np.random.default_rng(1)
    steps = generator.standard_normal((frames, 1, 8)) * (generator.random((frames, 1, 8)) < 0.2) * 0.6
    return np.cumsum(steps, axis=0).astype(np.float32)


def labelled(model: Model, x: NDArray[np.float32]) -> list[dict[str, Any]]:
    """Frames with the labels that fp32 gets right where its best class is far ahead."""
    reference, frames = Reference(model, {}, threads=1), []
    for number, frame in enumerate(x):
        y = reference.run(Frame({"x": frame}, number == 0))["y"][0]
        sure = np.diff(np.sort(y)[-2:])[0] > 0.1
        frames.append({"x": frame, "__labels_y__": np.array(y.argmax() if sure else (y.argmax() + 1) % 4)})
    return frames


def fitted(model: Model, frames: list[dict[str, Any]], budget: str | None) -> Plan:
    return fit_to_budget(model, open_stream(frames, model.inputs), budget, rounds=1, guard=False)


def shares(model: Model, plan: Plan, frames: list[dict[str, Any]], budget: str) -> float:
    """The share of the budget used, from a cold start."""
    session, reference = Session(rewrite(model, plan), threads=1), Reference(model, {}, threads=1)
    judge = Judge(parse_budget(budget, model.outputs))
    for frame in open_stream(frames, model.inputs):
        judge.add({**reference.run(frame), **frame.labels}, session.run(frame.inputs))
    return judge.excess


OWN = """
import numpy as np

def loss(references, outputs):
    exact, taken = (np.array([frame["y"] for frame in frames]) for frames in (references, outputs))
    return np.abs(exact - taken).mean() / np.abs(exact).mean()

def score(references, outputs):
    return 1 - loss(references, outputs)

def fails(references, outputs):
    return outputs[0]["nothing"]

def text(references, outputs):
    return "fine"
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "losses.py"
    path.write_text(OWN)
    return path


@pytest.mark.parametrize("budget", ["rmse:y<=0.05", "sqnr:y>=26", "labels.argmax:y<=0.1", "OWN:loss<=0.05"])
def test_the_plan_keeps_the_budget_on_both_parts(model: Model, own: Path, budget: str) -> None:
    frames = labelled(model, walk(60))
    budget = budget.replace("OWN", str(own))
    plan = fitted(model, frames, budget)
    assert plan.budget is not None and plan.budget.dense_because is None
    assert {site.mode for site in plan.sites} == {"reuse"}
    # sqnr is judged by the power of the whole recording, which a part may have less of
    slack = 1.5 if budget.startswith("sqnr") else 1 + 1e-3
    assert max(shares(model, plan, part, budget) for part in (frames[:40], frames[40:])) <= slack
    assert plan.budget.calibration.loss > 0 or budget.startswith("labels")


@pytest.mark.parametrize("budget", [None, "default"])
def test_the_default_leaves_out_what_is_constant_and_says_so(model: Model, budget: str | None) -> None:
    with pytest.warns(DefaultBudgetWarning) as caught:
        plan = fitted(model, [{"x": x} for x in walk(40)], budget)
    assert plan.budget is not None and plan.budget.text == "relrmse:y<=0.1"
    [warning] = [str(entry.message) for entry in caught]
    assert warning == (
        "the default budget is relrmse:y<=0.1: decisions near a threshold and rare events are not covered, nor what is"
        " constant on this recording (fixed, silent), nor outputs that are not float (best): give a budget for these"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", DefaultBudgetWarning)
        again = fitted(model, [{"x": x} for x in walk(40)], "relrmse:y<=0.1")
    assert again.sites == plan.sites


def test_what_a_recording_cannot_judge_is_one_line(model: Model, own: Path) -> None:
    frames = labelled(model, walk(20))
    unlabelled = [{"x": frame["x"]} for frame in frames]
    wrong = [{**frame, "__labels_y__": np.zeros(2, np.int64)} for frame in frames]
    still = [{"x": np.ones((1, 8), np.float32)}] * 20
    cases: list[tuple[str | None, list[dict[str, Any]], type[ReuseError], str]] = [
        ("relrmse:fixed<=0.1", unlabelled, BudgetError, "output fixed .* is one value .*: .* or bound its rmse"),
        ("sqnr:silent>=40", unlabelled, BudgetError, "output silent .* is zero throughout list: there is no signal"),
        ("sqnr:best>=40", unlabelled, BudgetError, "output best is int64: name a float output"),
        ("top5:y<=0.1", unlabelled, BudgetError, "output y has rows of 4, .* the 5 best: bound argmax, or"),
        ("labels.top5:y<=0.1", frames, BudgetError, "output y has rows of 4, .*: bound labels.argmax, or"),
        ("rmse:z<=0.1", unlabelled, BudgetError, "the model has no output z"),
        ("mse:y<=0.1", unlabelled, BudgetError, "no metric is called mse"),
        ("rmse:y<=0.1", unlabelled[: MIN_FRAMES - 1], StreamError, "frames are too few"),
        ("labels.argmax:y<=0.1", unlabelled, BudgetError, "frame 0 of the stream has no labels"),
        ("labels.argmax:y<=0.1", [*frames[:15], *unlabelled[15:]], BudgetError, "frame 15 of the stream has no labels"),
        ("labels.argmax:y<=0.1", wrong, StreamError, "__labels_y__ has 2 labels, y 1 rows"),
        (f"{own}:nothing<=0.1", unlabelled, BudgetError, "has no nothing: check the name"),
        (f"{own}:fails<=0.1", unlabelled, BudgetError, "fails raised KeyError: 'nothing': correct it"),
        (f"{own}:text<=0.1", unlabelled, BudgetError, "text gave 'fine': give a finite number"),
        (f"{own}:score<=0.1", unlabelled, BudgetError, "the fp32 model itself loses 1 on list: give a function that"),
        (None, still, BudgetError, "list: no float output of the fp32 model varies: give a longer recording"),
    ]
    for budget, given, error, message in cases:
        with pytest.raises(error, match=message) as caught:
            fitted(model, given, budget)
        assert "\n" not in str(caught.value)


def test_a_constant_output_may_have_an_absolute_bound(model: Model) -> None:
    plan = fitted(model, [{"x": x} for x in walk(40)], "rmse<=0.05; sqnr:fixed>=40")
    assert plan.budget is not None and plan.budget.dense_because is None


@pytest.mark.parametrize("budget", [None, "rmse<=0.1", "sqnr:y>=20"])
def test_an_output_of_fp32_that_is_no_number_is_one_line(tmp_path: Path, budget: str | None) -> None:
    broken = NETWORK.replace("y = MatMul (b, B)", "c = MatMul (b, B)\n d = Sub (c, F)\n y = Log (d)")
    with pytest.raises(StreamError, match="output y of the fp32 model is not finite"):
        fitted(load(tmp_path / "broken.onnx", broken), [{"x": x} for x in walk(20)], budget)


def test_the_default_names_what_is_finite_where_something_is_not(tmp_path: Path) -> None:
    log = "c = MatMul (b, B)\n d = Sub (c, F)\n y = Log (d)"
    text = NETWORK.replace("y = MatMul (b, B)", log).replace(
        "silent = Identity (S)", "silent = ReduceMax <keepdims = 0> (c)"
    )
    text = text.replace("float[1] silent", "float silent")
    words = (
        "list: output y of the fp32 model is not finite: name an output in the budget, such as relrmse:silent<=0.1; finite"
        " and varying: silent"
    )
    frames = [{"x": x} for x in walk(20)]
    with pytest.raises(StreamError, match=f"^{words}$"):
        fitted(load(tmp_path / "broken.onnx", text), frames, None)
    assert fitted(load(tmp_path / "broken.onnx", text), frames, "relrmse:silent<=0.1").budget is not None
    alone = NETWORK.replace("y = MatMul (b, B)", log)
    with pytest.raises(
        StreamError, match="output y of the fp32 model is not finite: no other varies: give another recording"
    ):
        fitted(load(tmp_path / "alone.onnx", alone), frames, None)


def test_a_model_without_a_float_output_has_no_default(tmp_path: Path) -> None:
    text = NETWORK.replace("float[1, 4] y, float[1] fixed, float[1] silent, ", "")
    text = text.replace("    fixed = Identity (F)\n    silent = Identity (S)\n", "")
    with pytest.raises(BudgetError, match="the model has none: fit with clusters"):
        fitted(load(tmp_path / "whole.onnx", text), [{"x": x} for x in walk(20)], None)


def test_frames_of_a_file_bring_their_labels(model: Model, tmp_path: Path) -> None:
    frames = labelled(model, walk(40))
    arrays = {name: np.stack([frame[name] for frame in frames]) for name in frames[0]}
    np.savez(tmp_path / "s.npz", allow_pickle=False, **arrays)
    stream: Stream = open_stream(tmp_path / "s.npz", model.inputs)
    plan = fit_to_budget(model, stream, "labels.argmax:y<=0.1", rounds=0, guard=False)
    arrays["__labels_y__"] = arrays["__labels_y__"][1:]
    np.savez(tmp_path / "s.npz", allow_pickle=False, **arrays)
    assert plan.budget is not None and plan.budget.dense_because is None
    with pytest.raises(StreamError, match="x has 40 frames and __labels_y__ has 39: give every array as many"):
        open_stream(tmp_path / "s.npz", model.inputs)
