"""Constants: each distinct one once, and which of them stay in the eDRAM."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reuse_compiler.backend.accelerator.lowering.constants import Constant, ConstantImage, choose_residency
from reuse_compiler.errors import HardwareError


def test_equal_arrays_are_stored_once_and_lie_on_lines() -> None:
    image = ConstantImage()
    first = image.add(np.arange(20, dtype=np.float32))
    second = image.add_floats((1.0, 2.0))
    assert (first, second) == (Constant(0, 80), Constant(128, 8))
    assert image.add(np.arange(20, dtype=np.float32).reshape(4, 5)) == first
    assert image.add(np.array([[1.0], [2.0]], np.float32)) == second
    assert image.size == image.image().size == 192
    np.testing.assert_array_equal(image.image()[:80].view(np.float32), np.arange(20))
    np.testing.assert_array_equal(image.image()[128:136].view(np.float32), [1, 2])


def test_arrays_are_stored_in_c_order_as_float32_or_as_they_are() -> None:
    image = ConstantImage()
    turned = np.arange(6, dtype=np.float64).reshape(2, 3).T
    image.add(turned)
    whole = image.add_bytes(np.array([[1, -1]], np.int64).T)
    np.testing.assert_array_equal(image.image()[:24].view(np.float32), [0, 3, 1, 4, 2, 5])
    assert whole == Constant(64, 16)
    np.testing.assert_array_equal(image.image()[64:80].view(np.int64), [1, -1])
    assert image.add_bytes(np.zeros((), np.bool_)) == Constant(128, 1)


@given(
    small=st.lists(st.integers(1, 300), max_size=5),
    weights=st.lists(st.tuples(st.integers(1, 4000), st.integers(1, 8)), max_size=5),
    edram=st.integers(1, 20_000),
)
def test_what_stays_lies_apart_from_the_rest_and_from_the_halves(
    small: list[int], weights: list[tuple[int, int]], edram: int
) -> None:
    """`weights` are sizes, and how many tiles they have at most."""
    starts = itertools.accumulate([*small, *(size for size, _ in weights)], initial=0)
    constants = [
        Constant(start, size) for start, size in zip(starts, [*small, *(size for size, _ in weights)], strict=False)
    ]
    kept, tiles = (
        constants[: len(small)],
        dict(zip(constants[len(small) :], (-(-size // parts) for size, parts in weights), strict=True)),
    )
    try:
        residency = choose_residency(kept, tiles, edram)
    except HardwareError as error:
        assert "\n" not in str(error) and "bytes larger" in str(error)
        assert edram < sum(constant.bytes + 63 for constant in kept) + 2 * (max([edram // 8, *tiles.values()]) + 63)
        return
    assert set(kept) <= set(residency.resident)
    ends = 0
    for constant, address in residency.resident.items():
        assert address == ends and address % 64 == 0
        ends += -(-constant.bytes // 64) * 64
    streamed = [constant for constant in tiles if constant not in residency.resident]
    if streamed:
        assert ends <= residency.staging_start
        assert residency.staging_start + 2 * residency.staging_half <= edram
        assert all(tiles[constant] <= residency.staging_half for constant in streamed)
    else:
        assert ends <= edram


def test_the_smallest_weights_stay_where_not_all_do() -> None:
    small, large = Constant(0, 1024), Constant(1024, 8192)
    residency = choose_residency([], {large: 512, small: 512}, 4096)
    assert residency.resident == {small: 0}
    assert (residency.staging_start, residency.staging_half) == (3072, 512)


def test_weights_that_are_read_again_in_every_step_stay_before_others() -> None:
    once, again = Constant(0, 1000), Constant(1024, 2048)
    residency = choose_residency([], {once: 64, again: 64}, 3050, [[again]])
    assert list(residency.resident) == [again]
    assert list(choose_residency([], {once: 64, again: 64}, 3050).resident) == [once]


def test_the_halves_hold_the_weights_of_a_layer_where_not_all_that_are_read_again_stay() -> None:
    layers = [[Constant(4096 * layer, 1000), Constant(4096 * layer + 1024, 2048)] for layer in range(3)]
    weights = {constant: 64 for layer in layers for constant in layer}
    residency = choose_residency([], weights, 5000, layers)
    assert 2 * residency.staging_half >= 1024 + 2048
    assert list(residency.resident) == [layers[0][0]], "what is left of 5,000 bytes keeps the smallest"
    narrow = choose_residency([], weights, 3000, layers)
    assert 2 * narrow.staging_half < 1024 + 2048
    assert narrow.resident, "a layer that no two halves hold streams step by step, and small weights stay"


def test_constants_other_than_weights_must_fit() -> None:
    with pytest.raises(HardwareError, match="eDRAM of 1,024 bytes: the constants other than weights"):
        choose_residency([Constant(0, 5000)], {}, 1024)
