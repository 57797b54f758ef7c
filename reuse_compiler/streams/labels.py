"""Labels that ride along with a stream: what is right for a frame, beside its inputs.

A `.npz` or a frame's dict may hold ``__labels_<output>__`` for an output of the model, or ``__labels__`` for any that has
none of its own. No model input is called so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

__all__ = ["label_keys", "split_labels"]

Arrays = dict[str, NDArray[Any]]


def label_keys(output: str) -> tuple[str, str]:
    """Where the labels of `output` are looked for, in this order."""
    return f"__labels_{output}__", "__labels__"


def split_labels(arrays: Mapping[str, NDArray[Any]]) -> tuple[Arrays, Arrays]:
    """What a source gives for one frame, as inputs and labels."""
    labels = {key: array for key, array in arrays.items() if _is_labels(key)}
    return {key: array for key, array in arrays.items() if key not in labels}, labels


def _is_labels(key: str) -> bool:
    return key.startswith("__labels_") and key.endswith("__")
