"""The profile as data: readings over sites and model, files, and what does not belong together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reuse_compiler.errors import PlanError
from reuse_compiler.model_profile import Profile, SiteProfile, StreamRef
from reuse_compiler.plan import ModelRef
from reuse_compiler.tensor_profile import BINS, CODES, FINEST_LEVEL, Histogram, TensorProfile

STEP = 2.0**-FINEST_LEVEL
"""The finest step of the ladder of a range of 1."""


def tensor(still: list[int], classes: list[int]) -> TensorProfile:
    """Of two frames; per class, `still` elements stay exactly and the others change on the finest grid alone."""
    changes = np.zeros((len(classes), CODES), np.int64)
    changes[:, 0] = still
    changes[:, 2] = 2 * np.array(classes) - still
    return TensorProfile(
        shape=(1, sum(classes)),
        frames=2,
        minimum=-0.5,
        maximum=0.25,
        zeros=1,
        histogram=Histogram.of(0, np.bincount([2048, 2050], minlength=BINS)),
        classes=np.array(classes),
        changes=changes,
    )


def sample(**changed: Any) -> Profile:
    """Sites a and b read x, whose elements fall into two classes; c reads y; 100 MACs in all, 20 of them elsewhere."""
    fields: dict[str, Any] = {
        "model": ModelRef(path="net.onnx", sha256="a" * 64),
        "stream": StreamRef(names=["s"], frames=2, sequences=1),
        "macs": 100,
        "tensors": {"x": tensor([5, 2], [4, 2]), "y": tensor([10], [10])},
        "sites": [
            SiteProfile(node="a", op="Conv", input="x", macs=40, fan_out=np.array([5, 10])),
            SiteProfile(node="b", op="Conv", input="x", macs=10, fan_out=np.array([2, 1])),
            SiteProfile(node="c", op="Gemm", input="y", macs=30, fan_out=np.array([3])),
        ],
    }
    return Profile(**(fields | changed))


def test_reuse_weighs_changed_elements_by_what_each_costs() -> None:
    profile = sample()
    assert profile.reuse("a", STEP).value == pytest.approx(1 - (3 * 5 + 2 * 10) / 80)
    assert profile.reuse("b", STEP).value == pytest.approx(1 - (3 * 2 + 2 * 1) / 20)
    assert profile.similarity("a", STEP).value == profile.similarity("b", STEP).value == pytest.approx(7 / 12)
    assert not profile.reuse("a", STEP).interpolated
    assert profile.reuse("a", 1.5 * STEP).interpolated


def test_totals_weigh_reuse_by_all_products_and_similarity_by_elements() -> None:
    profile = sample()
    totals = profile.totals({"a": STEP, "c": STEP})
    assert totals.reuse.value == pytest.approx((profile.reuse("a", STEP).value * 40 + 0.5 * 30) / 100)
    assert totals.similarity.value == pytest.approx((7 / 12 * 6 + 0.5 * 10) / 16)
    assert not totals.reuse.interpolated
    assert profile.totals({"a": STEP, "c": 1.5 * STEP}).reuse.interpolated
    with_deadband = profile.totals({"a": STEP, "c": STEP}, {"c": STEP})
    assert with_deadband.reuse.estimated
    assert with_deadband.reuse.value == pytest.approx((profile.reuse("a", STEP).value * 40 + 1.0 * 30) / 100)


def test_nothing_reused_is_zero() -> None:
    assert sample().totals({}).reuse.value == 0


def test_a_saved_profile_loads_as_it_was(tmp_path: Path) -> None:
    profile = sample()
    profile.save(tmp_path / "profile.json")
    loaded = Profile.load(tmp_path / "profile.json")
    assert loaded.model_dump_json() == profile.model_dump_json()
    assert loaded.reuse("a", STEP) == profile.reuse("a", STEP)
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "profile.json").read_bytes()


def test_the_file_says_what_it_was_made_from(tmp_path: Path) -> None:
    sample().save(tmp_path / "profile.json")
    content = json.loads((tmp_path / "profile.json").read_text())
    assert content["format_version"] == 1
    assert content["tool"]["name"] == "reuse-compiler"
    assert content["model"]["sha256"] == "a" * 64
    assert content["stream"] == {"names": ["s"], "frames": 2, "sequences": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "profile format 2, this version reads 1"),
        ({"extra": 1}, "not a profile: extra"),
        ({"macs": -1}, "not a profile: macs"),
        ({"sites": [{"node": "a", "op": "Conv", "input": "z", "macs": 1, "fan_out": [1]}]}, "a reads z"),
        ({"sites": [{"node": "a", "op": "Conv", "input": "x", "macs": 1, "fan_out": [1]}]}, "differ in classes"),
        ({"tensors": {"x": {}}}, "not a profile: tensors.x"),
    ],
)
def test_a_file_that_is_no_profile_is_one_line(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(json.loads(sample().model_dump_json()) | change))
    with pytest.raises(PlanError, match=message) as caught:
        Profile.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"plan": 1}'])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "profile.json"
    path.write_text(text)
    with pytest.raises(PlanError, match="not a profile"):
        Profile.load(path)


def test_a_profile_of_another_model_names_both_hashes() -> None:
    other = ModelRef(path="other.onnx", sha256="b" * 64)
    for fails in (lambda: sample().require(other), lambda: sample().merge(sample(model=other))):
        with pytest.raises(PlanError) as caught:
            fails()
        assert "a" * 64 in str(caught.value)
        assert "b" * 64 in str(caught.value)


def test_merging_adds_the_streams() -> None:
    second = sample(stream=StreamRef(names=["t"], frames=2, sequences=2))
    merged = sample().merge(second)
    assert merged.stream == StreamRef(names=["s", "t"], frames=4, sequences=3)
    assert merged.tensors["x"].frames == 4
    assert merged.reuse("a", STEP).value == pytest.approx(sample().reuse("a", STEP).value)


def test_what_differs_does_not_merge() -> None:
    with pytest.raises(PlanError, match="state"):
        sample().merge(sample(state={"h": "hn"}))
    with pytest.raises(PlanError, match="different sites"):
        sample().merge(sample(sites=[]))


def test_an_unknown_site_is_named() -> None:
    with pytest.raises(PlanError, match="no site is called q"):
        sample().similarity("q", STEP)
