"""Operators that ONNX defines by others, against onnxruntime's own, on accelerators so small that tensors are staged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.definitions import definition
from reuse_compiler.backend.accelerator.supported import verdict
from reuse_compiler.macs import node_macs
from reuse_compiler.passes.infer_shapes import InferShapes
from tests.backend.accelerator.lowering.one_node import compare, model_of

Array = NDArray[Any]

# Softmax and sums over some ten products, each a rounding of 2**-24 or a few.
ROUNDING = 4e-6
MASK = np.random.default_rng(9).random((4, 6)) < 0.7


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def node_of(op: str, operands: Sequence[Array | None], data: tuple[int, ...], **attributes: Any) -> ir.Node:
    model = ir.from_proto(model_of(op, operands, data=data, opset=23, **attributes))
    InferShapes()(model)
    return next(node for node in model.graph if node.op_type == op)


Q, K, V = normal(2, 4, 4, 8), normal(2, 4, 6, 8, seed=1), normal(2, 4, 6, 5, seed=2)


@pytest.mark.parametrize("buffer", [4096, 1 << 20])
@pytest.mark.parametrize(
    ("operands", "data", "attributes"),
    [
        ([Q, K, V], (0, 1, 2), {}),
        ([Q, K, V], (0, 1, 2), {"is_causal": 1, "scale": 0.3}),
        ([Q, K, V, normal(4, 6, seed=3)], (0, 1, 2, 3), {"softcap": 2.0}),
        ([Q, K, V, MASK], (0, 1, 2), {}),
        ([Q, normal(2, 2, 6, 8, seed=1), normal(2, 2, 6, 5, seed=2)], (0, 1, 2), {}),
        (
            [normal(2, 4, 32), normal(2, 6, 16, seed=1), normal(2, 6, 16, seed=2)],
            (0, 1, 2),
            {"q_num_heads": 4, "kv_num_heads": 2},
        ),
        (
            [Q, K, V, None, normal(2, 4, 3, 8, seed=4), normal(2, 4, 3, 5, seed=5)],
            (0, 1, 2, 4, 5),
            {"outputs": 3},
        ),
    ],
    ids=["plain", "causal", "softcap", "mask", "grouped", "three axes", "past"],
)
def test_attention(
    operands: list[Array | None], data: tuple[int, ...], attributes: dict[str, Any], buffer: int
) -> None:
    """Products of tensors, softmax and moves, all on the row of the node; its macs are those that are counted of it."""
    program = compare("Attention", operands, data=data, opset=23, buffer=buffer, tolerance=ROUNDING, **attributes)
    [row] = [info for info in program.layers if info.op == "Attention"]
    assert (row.name, row.backend) == ("node", "dense")
    assert row.macs == node_macs(node_of("Attention", operands, data, **attributes)) > 0
    assert sum(info.macs for info in program.layers) == row.macs


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("rotated", [0, 4])
def test_rotary_embedding(interleaved: int, rotated: int) -> None:
    angle = normal(2, 3, (rotated or 8) // 2)
    operands = [normal(2, 4, 3, 8, seed=1), np.cos(angle), np.sin(angle)]
    for data in ((0,), (0, 1, 2)):
        compare(
            "RotaryEmbedding",
            operands,
            data=data,
            opset=23,
            tolerance=ROUNDING,
            interleaved=interleaved,
            rotary_embedding_dim=rotated,
        )


def test_what_is_constant_in_a_definition_is_computed() -> None:
    parts = definition(node_of("Attention", [Q, K, V], (0, 1, 2), is_causal=1))
    assert parts is not None
    assert all(verdict(part)[0] for part in parts)
    assert {part.op_type for part in parts} >= {"MatMul", "Softmax"}
    assert not {part.op_type for part in parts} & {"Shape", "Constant", "Range", "Size"}
    names = [value.name for part in parts for value in part.outputs]
    assert len(set(names)) == len(names)
    assert all(name == "r0" or str(name).startswith("node step") for name in names)


def test_a_node_whose_definition_has_a_step_for_the_host_goes_there_whole() -> None:
    cache = [normal(50, 4), normal(50, 4, seed=1)]
    operands = [normal(2, 4, 3, 8), *cache, np.zeros((2, 3), np.int64)]
    supported, rule, measured = verdict(node_of("RotaryEmbedding", operands, (0, 3)))
    assert not supported
    assert rule.startswith("what ONNX defines it by") and measured.startswith("in Gather")


def test_an_operator_without_a_definition_has_none() -> None:
    assert definition(node_of("Det", [normal(3, 3)], (0,))) is None
