"""The errors of onnxruntime: it gives them no base of their own."""

from __future__ import annotations

from onnxruntime.capi import onnxruntime_pybind11_state as _state

__all__ = ["RUNTIME_ERRORS"]

RUNTIME_ERRORS: tuple[type[Exception], ...] = (
    *(kind for kind in vars(_state).values() if isinstance(kind, type) and issubclass(kind, Exception)),
    RuntimeError,
    TypeError,
    ValueError,
)
"""What `InferenceSession` and its `run` raise: its status codes, and what its Python side makes of them."""
