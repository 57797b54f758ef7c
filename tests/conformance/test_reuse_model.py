"""onnx's conformance suite: the reuse model in stock onnxruntime passes what stock onnxruntime passes."""

from __future__ import annotations

from tests.conformance.backends import ReuseBackend
from tests.conformance.judge import Judge

globals().update(Judge(ReuseBackend, __name__).test_cases)
