"""Nodes and state that do not fit: an error of onnxruntime that says which node, what, and what to do; never a crash."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from reuse_compiler.operators import ConvAttributes
from reuse_compiler.quantizers import LinearQuantizer
from tests.backend.cpu.bad_nodes import BAD
from tests.backend.cpu.native_run import Arrays, open_model
from tests.backend.cpu.node_cases import PRESENT, NodeCase, kernels_under_test, prepare

ROOT = Path(__file__).resolve().parents[3]
LIBRARY = kernels_under_test()
pytestmark = pytest.mark.skipif(LIBRARY is None, reason="the native kernels are not built")
LINEAR = LinearQuantizer(0.125, 16, 33)
CONV = ConvAttributes((1, 1), (1, 1, 1, 1), (1, 1), 1)


@pytest.fixture(scope="module")
def messages() -> dict[str, str | None]:
    """What onnxruntime said of each bad node; the process lived through all of them."""
    command = [sys.executable, "-m", "tests.backend.cpu.bad_nodes", str(LIBRARY)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"{lines[-1]}: {done.stderr[-2000:]}"
    return dict(zip(lines[::2], lines[1::2], strict=True))


@pytest.mark.parametrize("name", BAD)
def test_the_message_names_the_node_and_what_to_do(name: str, messages: dict[str, str | None]) -> None:
    message, bad = messages[name], BAD[name]
    assert message is not None, "no error"
    where, _, what = message.partition(" node n: ")
    assert where.endswith(
        ("ai.reuse.ReuseGemm", "ai.reuse.ReuseGemmTable", "ai.reuse.ReuseConv", "ai.reuse.ReuseConvTable")
    )
    assert bad.message in what
    assert ": " in what, "what to do follows a colon"


@pytest.mark.parametrize("conv", [None, CONV], ids=["gemm", "conv"])
def test_weights_that_are_fed_are_read_in_every_call(conv: ConvAttributes | None) -> None:
    x, weight = ((2, 5), (5, 3)) if conv is None else ((1, 5, 4, 4), (3, 5, 3, 3))
    prepared = prepare(NodeCase(x, weight, LINEAR, conv=conv, exact=True))
    model = onnx.load_model_from_string(prepared.model)
    model.graph.input.append(helper.make_tensor_value_info("W", onnx.TensorProto.FLOAT, [None] * len(weight)))
    generator = np.random.default_rng(0)
    sessions = [open_model(model.SerializeToString(), library) for library in (LIBRARY, None)]
    for _ in range(2):
        feeds = {**prepared.frames[0], **prepared.state}
        feeds["W"] = (generator.integers(-8, 9, weight) / 8).astype(np.float32)
        found, expected = (session.run([PRESENT["linear"]], feeds)[0] for session in sessions)
        np.testing.assert_array_equal(found, expected)


def test_without_inputs_the_linear_output_stays() -> None:
    prepared = prepare(NodeCase((2, 0), (0, 3), LINEAR))
    state: Arrays = {**prepared.frames[0], **prepared.state}
    y, linear = open_model(prepared.model, LIBRARY).run(["y", PRESENT["linear"]], state)
    np.testing.assert_array_equal(linear, prepared.state["past_linear_n"])
    np.testing.assert_array_equal(y, linear)


@pytest.mark.parametrize("x", [(0, 5), (2, 0, 5)])
def test_no_rows_give_no_rows(x: tuple[int, ...]) -> None:
    prepared = prepare(NodeCase(x, (5, 3), LINEAR))
    [y] = open_model(prepared.model, LIBRARY).run(["y"], {**prepared.frames[0], **prepared.state})
    assert y.shape == (*x[:-1], 3)
