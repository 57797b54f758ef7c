"""What a budget says, and the one line for one that says nothing."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from reuse_compiler.budget import Bound, parse_budget
from reuse_compiler.errors import BudgetError
from reuse_compiler.frontend import TensorSpec

OUTPUTS = [
    TensorSpec("scores", (1, 20, 2), np.dtype(np.float32)),
    TensorSpec("add:0[x]", (1, 4), np.dtype(np.float32)),
    TensorSpec("label", (1,), np.dtype(np.int64)),
]


def test_without_an_output_every_float_output_is_bound() -> None:
    bounds = parse_budget(" relrmse <= 0.1", OUTPUTS)
    assert [(bound.output, bound.limit, bound.index) for bound in bounds] == [
        ("scores", 0.1, ()),
        ("add:0[x]", 0.1, ()),
    ]


def test_every_part_is_read() -> None:
    bounds = parse_budget(
        "f1@0.7~0.05:scores[...,1]<=0.01; argmax:add:0[x]<=1e-3;decision@-1:scores[0,-3:,::2]<=0", OUTPUTS
    )
    assert bounds == (
        Bound("f1@0.7~0.05:scores[...,1]<=0.01", "f1", 0.7, 0.05, "scores", (..., 1), 0.01),
        Bound("argmax:add:0[x]<=1e-3", "argmax", None, 0.0, "add:0[x]", (), 1e-3),
        Bound(
            "decision@-1:scores[0,-3:,::2]<=0",
            "decision",
            -1.0,
            0.0,
            "scores",
            (0, slice(-3, None), slice(None, None, 2)),
            0.0,
        ),
    )


def test_an_index_follows_the_name_of_an_output_that_ends_in_one() -> None:
    [bound] = parse_budget("argmax:add:0[x][0]<=0.1", OUTPUTS)
    assert (bound.output, bound.index) == ("add:0[x]", (0,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty part: give NAME"),
        ("relrmse<=0.1;", "an empty part"),
        ("relrmse", r"give NAME\[@threshold\]"),
        ("relrmse<0.1", r"give NAME\[@threshold\]"),
        ("mse<=0.1", "no metric is called mse: give one of relrmse, rmse, sqnr, argmax"),
        ("f1<=0.1", "f1 needs a threshold: write f1@0.5"),
        ("argmax@0.5<=0.1", "argmax takes no threshold: leave it out"),
        ("relrmse~0.1<=0.1", "relrmse takes no margin: leave ~0.1 out"),
        ("decision@x<=0.1", "the threshold is x: give a finite number$"),
        ("decision@0.5~-1<=0.1", "the margin is -1: give a finite number of 0 or more"),
        ("sqnr<=40", "sqnr is a ratio in dB: write sqnr>=40"),
        ("sqnr>=-1", "the limit is -1: give a finite number of 0 or more"),
        ("relrmse>=0.1", "relrmse is a loss: write relrmse<=X"),
        ("rmse~0.1<=0.1", "rmse takes no margin"),
        ("labels.f1<=0.1", "labels.f1 needs a threshold: write labels.f1@0.5"),
        ("labels.argmax~0.1<=0.1", "labels.argmax takes no margin"),
        ("labels.relrmse<=0.1", "no metric is called labels.relrmse"),
        ("relrmse<=-1", "the limit is -1: give a finite number of 0 or more"),
        ("relrmse<=nan", "the limit is nan"),
        ("relrmse:y<=0.1", "the model has no output y: it has scores, add:0"),
        ("relrmse:y[0]<=0.1", r"the model has no output y\[0\]"),
        ("argmax:label<=0.1", "output label is int64: name a float output"),
        ("relrmse:scores[a]<=0.1", r"\[a\] is no index"),
        ("relrmse:scores[::0]<=0.1", r"\[::0\] is no index"),
        ("relrmse:scores[]<=0.1", r"\[\] is no index"),
        ("relrmse:scores[...,2]<=0.1", r"\[...,2\] is outside of output scores of shape \[1, 20, 2\]: axis 2 has 2"),
        ("relrmse:scores[0,20:]<=0.1", "axis 1 has 20 elements"),
        ("relrmse:scores[0,0,0,0]<=0.1", r"\[0,0,0,0\] does not fit output scores"),
        ("relrmse:scores[...,...]<=0.1", "does not fit"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    with pytest.raises(BudgetError, match=message):
        parse_budget(text, OUTPUTS)


def test_a_signal_to_noise_ratio_is_bounded_from_below() -> None:
    [bound] = parse_budget("sqnr:scores >= 40", OUTPUTS)
    assert (bound.text, bound.output) == ("sqnr:scores >= 40", "scores")
    assert bound.limit == pytest.approx(0.01)


def test_every_metric_is_known_by_its_name() -> None:
    text = "rmse:scores<=0.01; labels.argmax:scores<=0.1; labels.f1@0.5:scores[...,1]<=0"
    bounds = parse_budget(text, OUTPUTS)
    assert [bound.metric for bound in bounds] == ["rmse", "labels.argmax", "labels.f1"]
    assert bounds[2].threshold == 0.5 and bounds[2].index == (..., 1)


OWN = """
import numpy as np

LIMIT = 3

def loss(references, outputs):
    return np.mean([abs(r["y"] - o["y"]).mean() for r, o in zip(references, outputs)])
"""


@pytest.mark.parametrize("form", ["file", "module"])
def test_a_function_of_the_users_own_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    (tmp_path / "losses_of_mine.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    name = "losses_of_mine:loss" if form == "module" else f"{tmp_path / 'losses_of_mine.py'}:loss"
    [bound, other] = parse_budget(f"{name} <= 0.02; argmax:scores<=1", OUTPUTS)
    assert (bound.metric, bound.output, bound.limit, other.own) == (name, "", 0.02, None)
    assert bound.own is not None
    one, two = {"y": np.zeros(2, np.float32)}, {"y": np.array([0, 1], np.float32)}
    assert math.isclose(bound.own.loss([one], [two]), 0.5)


def test_a_function_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "losses.py"
    file.write_text(OWN)
    for text, message in (
        ("no_such_losses:loss<=0.1", "no metric is called no_such_losses, and as a function, .*ModuleNotFoundError"),
        ("relrsme:scores<=0.1", "no metric is called relrsme, .*No module named 'relrsme': give one of relrmse, rmse"),
        (f"{tmp_path / 'other.py'}:loss<=0.1", "^budget '.*other.py:loss<=0.1': .*: no such file: .*other.py"),
        (f"{file}:los<=0.1", "losses.py has no los: check the name"),
        (f"{file}:LIMIT<=0.1", "is int: name a function of references and outputs"),
        (f"{file}:loss<=x", "the limit is x"),
        (f"{file}:loss>=1", r"give NAME\[@threshold\]"),
    ):
        with pytest.raises(BudgetError, match=message) as caught:
            parse_budget(text, OUTPUTS)
        assert "\n" not in str(caught.value)


def test_a_model_without_a_float_output_needs_a_name() -> None:
    with pytest.raises(BudgetError, match="the model has no float output"):
        parse_budget("relrmse<=0.1", OUTPUTS[2:])
