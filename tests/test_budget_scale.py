"""What a recording says of a budget before anything is fitted."""

from __future__ import annotations

import numpy as np
import pytest

from reuse_compiler.budget import parse_budget
from reuse_compiler.budget_scale import check_budget
from reuse_compiler.errors import BudgetError
from reuse_compiler.frontend import TensorSpec

OUTPUTS = [TensorSpec("y", (1, -1), np.dtype(np.float32)), TensorSpec("point", (), np.dtype(np.float32))]


@pytest.mark.parametrize(
    ("text", "elements", "rows"),
    [
        ("top5:y<=0.1", 6, None),
        ("top5:y<=0.1", 5, 5),
        ("top5:y[..., 2:]<=0.1", 8, None),
        ("top5:y[..., 2:]<=0.1", 7, 5),
        ("top5:y[..., 0]<=0.1", 8, 1),
        ("top5:point<=0.1", 8, 1),
        ("argmax:y<=0.1", 2, None),
    ],
)
def test_rows_of_five_or_fewer_cannot_break_top5(text: str, elements: int, rows: int | None) -> None:
    """What the recording has counts, where the model leaves a dimension open."""
    references = [{"y": np.arange(elements, dtype=np.float32)[None], "point": np.array(1, np.float32)}]
    bounds = parse_budget(text, OUTPUTS)
    if rows is None:
        check_budget(bounds, references, "list")
        return
    with pytest.raises(BudgetError, match=f"has rows of {rows}, all of which are among the 5 best: bound argmax"):
        check_budget(bounds, references, "list")
