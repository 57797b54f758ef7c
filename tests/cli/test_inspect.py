"""``reusec inspect``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import pytest
from onnx import helper

if TYPE_CHECKING:
    from tests.cli.conftest import Invoke


def test_a_folder_shows_what_each_node_was_and_is(invoke: Invoke, compilation: Path) -> None:
    shown = invoke("inspect", compilation / "compiled").stdout
    nodes, _, _ = shown.partition("nodes reuse")
    rows = {line.split()[0]: line for line in nodes.splitlines() if line.strip()}
    assert "Conv + Relu → ReuseConv" in rows["conv"]
    assert "MatMul → ReuseGemm" in rows["fc2"]
    assert "1x2x6x6" in rows["conv"] and " 32 " in rows["conv"]
    assert "Flatten" in rows["flatten"] and "→" not in rows["flatten"]
    assert "3 of 4 nodes reuse" in shown
    assert "6 frames: similarity" in shown


def test_a_reuse_model_alone_will_do(invoke: Invoke, compilation: Path) -> None:
    shown = invoke("inspect", compilation / "compiled/model.reuse.onnx").stdout
    assert "Gemm or MatMul + Relu → ReuseGemm" in shown
    assert "3 of 4 nodes reuse" in shown


def test_an_ordinary_model_has_no_reuse(invoke: Invoke, compilation: Path) -> None:
    assert "0 of 7 nodes reuse; state 0 bytes" in invoke("inspect", compilation / "small.onnx").stdout


@pytest.mark.parametrize("flag", [("--json",), ("--format", "json")])
def test_json_has_the_quantizers_and_the_state(invoke: Invoke, compilation: Path, flag: tuple[str, ...]) -> None:
    shown = json.loads(invoke("inspect", compilation / "compiled", *flag).stdout)
    plan = json.loads((compilation / "compiled/plan.json").read_text())
    conv = shown["nodes"][0]
    quantizer = plan["sites"][0]["quantizer"]
    assert {key: conv[key] for key in quantizer if key in conv} == {k: v for k, v in quantizer.items() if k in conv}
    assert (conv["index_bytes"], conv["linear_bytes"]) == (72, 432)
    assert shown["properties"]["reuse.source_sha256"] == plan["model"]["sha256"]


def test_a_diff_reads_like_a_patch(invoke: Invoke, compilation: Path) -> None:
    lines = invoke("inspect", compilation / "compiled", "--diff", compilation / "small.onnx").stdout.splitlines()
    assert lines[0] == f"--- {compilation / 'small.onnx'}"
    assert lines[1] == f"+++ {compilation / 'compiled/model.reuse.onnx'}"
    assert [line[:8] for line in lines[2:]] == [
        "- conv: ",
        "- relu: ",
        "+ conv: ",
        "  flatte",
        "- fc1: G",
        "- relu1:",
        "+ fc1: R",
        "- fc2: M",
        "- add2: ",
        "+ fc2: R",
    ]


def test_a_diff_as_json(invoke: Invoke, compilation: Path) -> None:
    given = "inspect", compilation / "compiled", "--diff", compilation / "small.onnx"
    lines = json.loads(invoke(*given, "--json").stdout)
    assert [line["sign"] for line in lines] == ["-", "-", "+", " ", "-", "-", "+", "-", "-", "+"]
    assert invoke(*given, "--format", "dot").status == 2


def test_a_diff_against_another_model_names_both_hashes(invoke: Invoke, compilation: Path, tmp_path: Path) -> None:
    other = onnx.load(compilation / "small.onnx")
    other.doc_string = "another"
    onnx.save(other, tmp_path / "other.onnx")
    complaint = invoke("inspect", compilation / "compiled", "--diff", tmp_path / "other.onnx").complaint
    plan = json.loads((compilation / "compiled/plan.json").read_text())
    assert plan["model"]["sha256"] in complaint and str(tmp_path / "other.onnx") in complaint


def test_a_diff_of_an_ordinary_model(invoke: Invoke, compilation: Path) -> None:
    model = compilation / "small.onnx"
    assert "no reuse model" in invoke("inspect", model, "--diff", model).complaint


def test_dot_is_a_graph(invoke: Invoke, compilation: Path) -> None:
    shown = invoke("inspect", compilation / "compiled", "--format", "dot").stdout
    assert shown.startswith("digraph ") and shown.endswith("}\n")
    assert "ReuseConv, Relu" in shown


def test_a_program_shows_instructions_memories_and_layers(invoke: Invoke, compilation: Path) -> None:
    shown = invoke("inspect", compilation / "compiled/program.safetensors").stdout
    rows = {line.split()[0]: line.split() for line in shown.splitlines() if line.strip()}
    assert rows["delta.conv"][1:] == ["compute", "1", "0"]
    assert rows["dense.conv"][1:] == ["compute", "0", "1"]
    assert {"DRAM", "eDRAM", "I/O", "conv", "fc1", "fc2", "total"} <= set(rows)


def test_a_program_as_json(invoke: Invoke, compilation: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "program"  # recognized by its content
    renamed.write_bytes((compilation / "compiled/program.safetensors").read_bytes())
    shown = json.loads(invoke("inspect", renamed, "--json").stdout)
    assert shown["hardware"] == "isca18"
    assert shown["layers"][0]["name"] == "conv"
    assert "no graph" in invoke("inspect", renamed, "--format", "dot").complaint


def test_what_is_nothing_of_the_kind(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing of the kind")
    assert "not an ONNX" in invoke("inspect", tmp_path / "notes.txt").complaint
    assert "no such file" in invoke("inspect", tmp_path / "none").complaint
    assert "is missing" in invoke("inspect", tmp_path).complaint


def test_names_that_a_terminal_would_obey_are_written_out(invoke: Invoke, tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("x\x1b[31m", onnx.TensorProto.FLOAT, [1])
    node = helper.make_node("Relu", ["x\x1b[31m"], ["y"], "evil\x1b]0;name\x07[bold]")
    output = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = helper.make_graph([node], "g", [value], [output])
    path = tmp_path / "evil.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    for arguments in (("inspect", path), ("inspect", path, "--format", "dot"), ("check", path)):
        done = invoke(*arguments)
        assert "\x1b" not in done.stdout and "\x07" not in done.stdout
        assert "[bold]" in done.stdout


def fitted_to_a_budget(compilation: Path, folder: Path) -> Path:
    """The plan of the compilation as a budget could have left it, with a guard and a refresh."""
    plan = json.loads((compilation / "compiled/plan.json").read_text())
    conv, fc1, fc2 = plan["sites"]
    conv["next"] = {"factor": 1.5, "reuse": 0.0123, "loss": 0.25}
    conv["quantizer"]["deadband"] = [0.25, 0.5]
    fc1["next"] = {"factor": 1.5, "reuse": -0.001, "loss": float("inf")}
    fc2.update(mode="dense", quantizer=None, reason="nothing repeats")
    part = {"frames": 30, "reuse": 0.625, "loss": 0.98}
    plan["budget"] = {"text": "relrmse<=0.1", "calibration": part, "verification": {**part, "frames": 15, "loss": 0.5}}
    plan["guard"] = {"changed": 0.5, "clipped": {"conv": 0.1}, "quiet": {"share": 0.01, "frames": 128}}
    plan["refresh"] = {"every": 300}
    (folder / "plan.json").write_text(json.dumps(plan))
    return folder / "plan.json"


def test_a_plan_says_what_was_chosen_and_what_more_would_have_come_to(
    invoke: Invoke, compilation: Path, tmp_path: Path
) -> None:
    path = fitted_to_a_budget(compilation, tmp_path)
    lines = invoke("inspect", path).stdout.splitlines()
    assert lines[1:4] == [
        "budget    relrmse<=0.1",
        "chosen    on 30 frames: reuse 62.5 %, 98.0 % of the budget used",
        "verified  on 15 frames: reuse 62.5 %, 50.0 % of the budget used",
    ]
    assert "refresh   every linear output once in 300 frames" in lines
    assert "guard     anew after a frame with more than 50.0 % of its inputs changed" in lines
    conv, fc1, fc2 = (next(line for line in lines if line.startswith(site)) for site in ("conv ", "fc1 ", "fc2 "))
    step = json.loads(path.read_text())["sites"][0]["quantizer"]["step"]
    assert f"32 clusters, step {step:.4g}, stays within 0.25 to 0.5 by channel" in conv
    assert "+1.23     +25.0" in conv
    assert "wider: what a quantizer 1.5 times as wide there alone would have added" in lines
    assert "-0.10" in fc1 and "+inf" in fc1
    assert fc2.split() == ["fc2", "dense", "nothing", "repeats"]


def test_a_plan_fits_a_terminal(compilation: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from reuse_compiler.cli.app import app

    path = fitted_to_a_budget(compilation, tmp_path)
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["inspect", str(path)], catch_exceptions=False).stdout
    assert max(map(len, shown.splitlines()[1:])) <= 80  # the first line is the path


def test_a_plan_as_json_has_its_quantizers_in_words(invoke: Invoke, compilation: Path, tmp_path: Path) -> None:
    shown = json.loads(invoke("inspect", fitted_to_a_budget(compilation, tmp_path), "--json").stdout)["plan"]
    conv, fc1, fc2 = shown["sites"]
    assert shown["budget"]["verification"] == {"frames": 15, "reuse": 0.625, "loss": 0.5, "weighed": None}
    assert conv["next"] == {"factor": 1.5, "reuse": 0.0123, "loss": 0.25} and conv["width"] == 0.5
    assert fc1["width"] == fc1["quantizer"]["step"] / 2 and fc1["words"].startswith("32 clusters, step ")
    assert (fc2["words"], fc2["width"]) == ("dense", None)


def test_a_folder_shows_its_plan_too(invoke: Invoke, compilation: Path) -> None:
    shown = invoke("inspect", compilation / "compiled").stdout
    plan = json.loads((compilation / "compiled/plan.json").read_text())
    assert all(site["reason"] in shown for site in plan["sites"])
    assert json.loads(invoke("inspect", compilation / "compiled", "--json").stdout)["plan"]["model"] == plan["model"]


def test_a_dense_plan_says_why(invoke: Invoke, compilation: Path, tmp_path: Path) -> None:
    path = fitted_to_a_budget(compilation, tmp_path)
    plan = json.loads(path.read_text())
    plan["budget"]["dense_because"] = "no width keeps it"
    path.write_text(json.dumps(plan))
    assert "dense     no width keeps it" in invoke("inspect", path).stdout


def test_a_plan_has_no_graph_and_another_json_is_no_plan(invoke: Invoke, compilation: Path, tmp_path: Path) -> None:
    path = fitted_to_a_budget(compilation, tmp_path)
    assert "a plan has no graph" in invoke("inspect", path, "--format", "dot").complaint
    assert "not a plan" in invoke("inspect", compilation / "compiled/report.json").complaint


def test_steps_of_several_widths_show_them(invoke: Invoke, compilation: Path, tmp_path: Path) -> None:
    path = fitted_to_a_budget(compilation, tmp_path)
    plan = json.loads(path.read_text())
    plan["sites"][1]["next"]["factor"] = 2
    path.write_text(json.dumps(plan))
    lines = invoke("inspect", path).stdout.splitlines()
    assert next(line for line in lines if line.startswith("conv ")).split()[-1] == "1.5"
    assert "wider: what a quantizer as much wider there alone would have added" in lines
