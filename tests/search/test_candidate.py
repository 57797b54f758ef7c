"""What the widths of a candidate promise."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from reuse_compiler.search.candidate import Candidate

ENDS = st.tuples(
    st.floats(-100, 0, width=32, allow_subnormal=False), st.floats(0.125, 100, width=32, allow_subnormal=False)
)


@settings(max_examples=100, deadline=None)
@given(seen=ENDS, share=st.floats(2**-14, 1), ratio=st.sampled_from([2.0, 1.6, 0.25]), seed=st.integers(0, 9))
def test_no_element_of_the_range_is_farther_than_the_width(
    seen: tuple[float, float], share: float, ratio: float, seed: int
) -> None:
    """From any past index, and for a quarter beyond what was seen too; 65,535 centroids may force a wider step."""
    peak = max(-seen[0], seen[1])
    candidate = Candidate({"t": peak * share}, ratio)
    quantizer = candidate.quantizers({"t": seen})["t"]
    generator = np.random.default_rng(seed)
    margin = 0.25 * (seen[1] - seen[0])
    low = seen[0] - margin if seen[0] < 0 else 0.0
    x = generator.uniform(low, seen[1] + margin, 200).astype(np.float32)
    past = generator.integers(0, quantizer.clusters, 200).astype(quantizer.index_dtype)
    distance = np.abs(x - quantizer.dequantize(quantizer.quantize(x, past, -1)))
    assert distance.max() <= max(candidate.widths["t"], quantizer.step / 2) * (1 + 1e-4) + 1e-5 * peak


def test_scaling_moves_all_widths() -> None:
    candidate = Candidate({"a": 1.0, "b": 0.25}, 2.0).scaled(-1)
    assert candidate == Candidate({"a": 0.5, "b": 0.125}, 2.0)
    assert not candidate.quantizers({"a": (0.0, 1.0), "b": (-1.0, 1.0)})["a"].has_memory
