"""Products of two tensors against onnxruntime, on accelerators so small that they are cut; and their cycles by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.accounting import check_accounts
from reuse_compiler.backend.accelerator.cost import CostModel
from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.isa import DenseMatmul, Load, Reduce, Store
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.passes.infer_shapes import InferShapes
from tests.backend.accelerator.lowering.one_node import compare, model_of

Array = NDArray[Any]
BUFFERS = st.sampled_from([192, 384, 1024, 1 << 20])


def whole(*shape: int, seed: int = 0) -> Array:
    """Small whole numbers: their products and sums are exact, in any order."""
    return np.random.default_rng(seed).integers(-4, 5, shape).astype(np.float32)


@settings(max_examples=40)
@given(data=st.data(), buffer=BUFFERS, between=st.booleans())
def test_products_are_exact_where_sums_are(data: st.DataObject, buffer: int, between: bool) -> None:
    """Vectors, and stacks of matrices broadcast against each other; one of both may be a constant."""
    rows, inputs, outputs = (data.draw(st.integers(1, 12)) for _ in range(3))
    kinds = data.draw(st.lists(st.sampled_from(["both", "both", "left", "right"]), max_size=3))
    sizes = [data.draw(st.integers(1, 3)) for _ in kinds]
    # Axes of matrices that are shared, or those of one operand alone, follow each other: two axes at most are needed.
    pairs = sorted(zip(kinds, sizes, strict=True))
    if len(dict(pairs)) > 2:
        pairs = pairs[:1]
    left = (*(1 if kind == "right" else size for kind, size in pairs), rows, inputs)
    right = (*(1 if kind == "left" else size for kind, size in pairs), inputs, outputs)
    if not pairs and data.draw(st.integers(0, 3)) == 0:
        left, right = data.draw(st.sampled_from([((inputs,), right), (left, (inputs,))]))
    operands = [whole(*left), whole(*right, seed=1)]
    constant = data.draw(st.sampled_from([None, None, 0, 1]))
    variable = [number for number in (0, 1) if number != constant]
    program = compare("MatMul", operands, data=variable, between=between, buffer=buffer)
    macs = sum(info.macs for info in program.layers)
    assert macs == math.prod(np.matmul(*operands).shape) * inputs


@pytest.mark.parametrize("flips", [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("buffer", [384, 1 << 20])
def test_gemm_transposes_scales_and_adds(flips: tuple[int, int], buffer: int) -> None:
    a, b = whole(7, 6), whole(6, 9, seed=1)
    operands = [a.T.copy() if flips[0] else a, b.T.copy() if flips[1] else b]
    attributes: dict[str, Any] = {"transA": flips[0], "transB": flips[1], "alpha": 0.5, "beta": 2.0}
    for bias in (None, whole(7, 1, seed=2), whole(9, seed=2), whole(7, 9, seed=2)):
        for data in ((0, 1), (0, 1, 2), (1,)):
            if bias is not None or 2 not in data:
                compare("Gemm", [*operands, bias], data=data, buffer=buffer, **attributes)


def test_long_sums_accumulate_in_parts() -> None:
    """Where an operand lies in DRAM, and neither it nor half a row of it fits."""
    for between in (False, True):
        program = compare("MatMul", [whole(2, 700), whole(700, 3, seed=1)], data=(0, 1), between=between, buffer=2048)
        products = [i for i in program.reuse.sections.frame if isinstance(i, DenseMatmul)]
        assert sum(i.inputs for i in products if i.rows == products[0].rows and not i.accumulate) < 700
        assert any(i.accumulate for i in products)


def test_a_stack_of_matrices_is_one_instruction() -> None:
    program = compare("MatMul", [whole(2, 3, 4, 5), whole(2, 1, 5, 6, seed=1)], data=(0, 1))
    [product] = [i for i in program.reuse.sections.frame if isinstance(i, DenseMatmul)]
    assert (product.matrices0, product.matrices1, product.rows, product.inputs, product.outputs) == (2, 3, 4, 5, 6)
    assert (product.w_stride0, product.w_stride1) == (30, 0)


def cycles_of(proto: Any, hardware: Hardware) -> tuple[list[Any], int]:
    """Instructions of a frame, and its cycles; the accounts close."""
    model = ir.from_proto(proto)
    InferShapes()(model)
    program = lower(model, hardware.tiling, "")
    costs = CostModel(program, hardware)
    costs.add(np.zeros((1, 0), np.int64))
    total = costs.costs()
    check_accounts(program, total, hardware)
    assert total.reuse.total_cycles == total.baseline.total_cycles
    return list(program.reuse.sections.frame), total.reuse.total_cycles


def test_the_cycles_of_a_product_by_hand(hardware: Hardware) -> None:
    """3 products of [40, 64] and [64, 200]. Loads take 50 cycles and 51.2 bytes a cycle and are ready 6 later; the second
    follows the first. The product takes two cycles for each of 3 x 40 x 64 inputs and is ready 8 later."""
    proto = model_of("MatMul", [whole(3, 40, 64), whole(3, 64, 200, seed=1)], data=(0, 1))
    frame, cycles = cycles_of(proto, hardware)
    assert [type(i) for i in frame[:4]] == [Load, Load, DenseMatmul, Store]
    loaded = 50 + 600 + 50 + 3000 + 6
    multiplied = loaded + 3 * 40 * 64 * 2 + 8
    assert cycles == multiplied + 50 + 1875 + 6


def test_the_cycles_of_a_reduction_by_hand(hardware: Hardware) -> None:
    """[64, 100, 8] folded to [64, 8]: 51,200 elements on 16 lanes, ready 4 cycles later."""
    proto = model_of("ReduceMax", [whole(64, 100, 8), np.array([1])])
    frame, cycles = cycles_of(proto, hardware)
    assert [type(i) for i in frame[:3]] == [Load, Reduce, Store]
    assert cycles == 50 + 4000 + 6 + 3200 + 4 + 50 + 40 + 6
