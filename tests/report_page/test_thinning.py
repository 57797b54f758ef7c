"""Memory that does not grow with the stream."""

from __future__ import annotations

import numpy as np
import pytest

from reuse_compiler.report_page.thinning import FrameSums, Kept


@pytest.mark.parametrize("frames", [1, 7, 8, 9, 100, 1000])
def test_items_are_kept_evenly_and_few(frames: int) -> None:
    kept: Kept[int] = Kept(8)
    for number in range(frames):
        if kept.wants(number):
            kept.add(number)
        assert len(kept.items) <= 8
    assert kept.items == list(range(0, frames, kept.every))
    assert frames <= 8 * kept.every
    assert kept.every == 1 or frames > 4 * kept.every


@pytest.mark.parametrize("frames", [0, 1, 7, 8, 9, 100, 1000])
def test_means_are_of_all_frames(frames: int) -> None:
    sums = FrameSums(2, 8)
    rows = np.random.default_rng(0).integers(0, 100, (frames, 2)).astype(np.float64)
    for row in rows:
        sums.add(row)
    means = sums.means()
    assert sums.frames == frames
    assert len(means) == -(-frames // sums.every) <= 8
    for number, mean in enumerate(means):
        np.testing.assert_allclose(mean, rows[number * sums.every : (number + 1) * sums.every].mean(axis=0))
