"""Parts of nodes that fold axes: reductions, changes of shape, and products beside what is computed element by element."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Sequence

import numpy as np

from reuse_compiler.backend.accelerator.isa import Element, Reduction
from reuse_compiler.backend.accelerator.lowering.readers.parts import Parts, Value
from reuse_compiler.backend.accelerator.lowering.specs import ReduceSpec, Tensor

__all__ = ["Folds", "number"]

_AGAIN = {Reduction.SUM_ABS: Reduction.SUM, Reduction.SUM_SQUARES: Reduction.SUM}
_GROUPS = 2  # groups of neighbouring axes that one reduction folds, and that it keeps


def number(value: float) -> Value:
    """A constant operand of one element."""
    return np.array(value, np.float32)


def _groups(shape: Sequence[int], axes: Collection[int]) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """The axes of a contiguous array, neighbours merged that are all folded or all kept: extents, and which are folded.

    Axes of extent 1 are left out; at least one group is folded.
    """
    marked = ((size, axis in axes) for axis, size in enumerate(shape) if size != 1)
    groups = [
        (math.prod(size for size, _ in group), folded)
        for folded, group in itertools.groupby(marked, lambda pair: pair[1])
    ]
    if not any(folded for _, folded in groups):
        groups.append((1, True))
    return tuple(size for size, _ in groups), tuple(folded for _, folded in groups)


class Folds(Parts):
    """Collects the parts of a node that folds axes; folded axes stay with extent 1."""

    def reduce(
        self, reduction: Reduction, x: Value, axes: Collection[int], scale: float = 1.0, dtype: str | None = None
    ) -> Tensor:
        """`x` folded along `axes`; in several steps where one instruction cannot fold them all."""
        assert isinstance(x, Tensor)
        sizes, folded = _groups(x.shape, axes)
        if max(folded.count(True), folded.count(False)) > _GROUPS:
            last = max(axis for axis in axes if x.shape[axis] != 1)
            before = max(axis for axis in range(last) if axis not in axes and x.shape[axis] != 1)
            inner = [axis for axis in axes if before < axis <= last]
            outer = [axis for axis in axes if axis not in inner]
            return self.reduce(
                _AGAIN.get(reduction, reduction), self.reduce(reduction, x, inner, scale, dtype), outer, 1.0, dtype
            )
        element = Element.of(x.dtype)
        result = Element.of(dtype) if dtype else element
        shape = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
        return self.layer(ReduceSpec(reduction, sizes, folded, scale, element, result), [x], shape, result.dtype.name)

    def mean(self, x: Value, axes: Collection[int]) -> Tensor:
        """The mean along `axes`."""
        return self.reduce(Reduction.SUM, x, axes, 1 / math.prod(x.shape[axis] for axis in axes))

    def mean_square(self, x: Value, axes: Collection[int]) -> Tensor:
        """The mean of the squares along `axes`."""
        return self.reduce(Reduction.SUM_SQUARES, x, axes, 1 / math.prod(x.shape[axis] for axis in axes))
