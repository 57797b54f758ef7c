"""Reuse models of another format are refused in one line."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
import pytest

from reuse_compiler import __version__
from reuse_compiler.errors import ModelError
from reuse_compiler.model_format import FORMAT_VERSION
from reuse_compiler.onnx_writer import write_model
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.session import Session
from tests.small_network import SITES, small_model, small_plan, walk


@pytest.fixture
def reuse_model() -> ir.Model:
    model = small_model()
    return rewrite(model, small_plan(model))


def test_a_reuse_model_says_its_format_and_runs(reuse_model: ir.Model) -> None:
    assert reuse_model.metadata_props["reuse.format_version"] == str(FORMAT_VERSION) == "2"
    Session(reuse_model, threads=1).run({"x": walk(1)[0]})


def test_a_file_whose_state_has_its_channels_second_is_refused(reuse_model: ir.Model, tmp_path: Path) -> None:
    reuse_model.metadata_props.update({"reuse.format_version": "1", "reuse.tool_version": "0.0.9"})
    path = tmp_path / "model.reuse.onnx"
    write_model(reuse_model, path)
    with pytest.raises(ModelError) as refused:
        Session(path, threads=1)
    assert str(refused.value) == (
        f"{path}: reuse model of format 1 by version 0.0.9; version {__version__} runs format 2: compile the model again"
    )


def test_a_reuse_model_that_does_not_say_its_format_is_refused(reuse_model: ir.Model) -> None:
    del reuse_model.metadata_props["reuse.format_version"]
    with pytest.raises(ModelError, match=r"model: reuse model of format unknown .* compile the model again$"):
        Session(reuse_model, threads=1)


def test_a_model_without_reuse_needs_no_format() -> None:
    model = small_model()
    assert len(Session(rewrite(model, small_plan(model, dense=SITES)), threads=1).run({"x": walk(1)[0]})) == 1
    Session(model.ir, threads=1).run({"x": walk(1)[0]})
