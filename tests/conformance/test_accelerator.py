"""onnx's conformance suite: the accelerator's interpreter passes what stock onnxruntime passes."""

from __future__ import annotations

from tests.conformance.backends import AcceleratorBackend
from tests.conformance.judge import Judge

globals().update(Judge(AcceleratorBackend, __name__).test_cases)
