"""The types of elements that the special function unit reads and writes."""

from __future__ import annotations

from typing import Any

import numpy as np

from reuse_compiler.backend.accelerator.isa.word import Choice

__all__ = ["Element"]


class Element(Choice):
    """The type of a tensor's elements. Whole numbers wrap around where they overflow."""

    FLOAT32 = 0, "4 bytes, IEEE 754"
    BOOL = 1, "1 byte, 0 or 1"
    INT8 = 2, "1 byte"
    UINT8 = 3, "1 byte"
    INT16 = 4, "2 bytes"
    UINT16 = 5, "2 bytes"
    INT32 = 6, "4 bytes"
    UINT32 = 7, "4 bytes"
    INT64 = 8, "8 bytes"
    UINT64 = 9, "8 bytes"
    FLOAT16 = 10, "2 bytes, IEEE 754: converted, not computed with"
    FLOAT64 = 11, "8 bytes, IEEE 754: converted, not computed with"

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy type of an element."""
        return np.dtype(self.name.lower())

    @property
    def bytes(self) -> int:
        """Bytes of an element."""
        return self.dtype.itemsize

    @classmethod
    def of(cls, dtype: str | np.dtype[Any]) -> Element:
        """The member of a numpy type. Raises KeyError where there is none."""
        return cls[np.dtype(dtype).name.upper()]
