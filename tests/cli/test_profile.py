"""``reusec profile``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from reuse_compiler.model_profile import Profile

if TYPE_CHECKING:
    from tests.cli.conftest import Invoke, Save


def test_the_table_has_a_row_a_site_and_the_model(invoke: Invoke, model: Path, stream: Path) -> None:
    done = invoke("profile", model, "--stream", stream)
    assert done.status == 0
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[0] for row in rows if row and row[0] in ("conv", "fc1", "fc2", "model")] == [
        "conv",
        "fc1",
        "fc2",
        "model",
    ]
    assert "6 frames in 1 sequence" in done.stdout
    assert done.stderr == ""


def test_output_is_a_profile_of_the_model(invoke: Invoke, model: Path, stream: Path, tmp_path: Path) -> None:
    done = invoke("profile", model, "--stream", stream, "-o", tmp_path / "profile.json")
    assert f"wrote {tmp_path / 'profile.json'}" in done.stdout
    written = Profile.load(tmp_path / "profile.json")
    assert [site.node for site in written.sites] == ["conv", "fc1", "fc2"]
    assert written.stream.frames == 6


def test_json_agrees_with_the_profile(invoke: Invoke, model: Path, stream: Path, tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    shown = json.loads(invoke("profile", model, "--stream", stream, "-o", path, "--json").stdout)
    written = Profile.load(path)
    fc1 = shown["sites"][1]
    step = written.tensor_of("fc1").step(32)
    assert fc1["node"] == "fc1"
    assert fc1["similarity"]["32"] == written.similarity("fc1", step).value
    assert fc1["reuse"]["32"] == written.reuse("fc1", step).value
    assert shown["output"] == str(path)


def test_frames_cut_the_stream(invoke: Invoke, model: Path, stream: Path) -> None:
    shown = json.loads(invoke("profile", model, "--stream", stream, "--frames", "2:5", "--json").stdout)
    assert shown["stream"]["frames"] == 3


def test_an_input_of_zeros_repeats_entirely(
    invoke: Invoke, model: Path, save: Save, images: NDArray[np.float32]
) -> None:
    shown = json.loads(invoke("profile", model, "--stream", save(image=np.zeros_like(images)), "--json").stdout)
    assert shown["sites"][0]["zeros"] == 1.0
    assert set(shown["sites"][0]["similarity"].values()) == {1.0}


@pytest.mark.parametrize("frames", ["a", "1", "-1:2", "1:2:3"])
def test_frames_that_are_no_range_are_a_usage_error(invoke: Invoke, model: Path, stream: Path, frames: str) -> None:
    assert invoke("profile", model, "--stream", stream, "--frames", frames).status == 2


def test_frames_that_keep_nothing_are_the_input_at_fault(invoke: Invoke, model: Path, stream: Path) -> None:
    assert "keeps no frame" in invoke("profile", model, "--stream", stream, "--frames", "3:3").complaint


def test_threads_below_one_are_out_of_range(invoke: Invoke, model: Path, stream: Path) -> None:
    assert "threads is 0" in invoke("profile", model, "--stream", stream, "--threads", "0").complaint


def test_an_output_without_a_place_is_told_before_the_work(invoke: Invoke, model: Path, tmp_path: Path) -> None:
    stream = tmp_path / "no such stream.npz"
    missing = tmp_path / "nowhere" / "profile.json"
    assert "no folder" in invoke("profile", model, "--stream", stream, "-o", missing).complaint
    assert "is a folder" in invoke("profile", model, "--stream", stream, "-o", tmp_path).complaint
