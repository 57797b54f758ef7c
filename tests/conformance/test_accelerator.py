"""onnx's conformance suite: the accelerator's interpreter passes what stock onnxruntime passes, as documented."""

from __future__ import annotations

from tests.conformance.backends import AcceleratorBackend
from tests.conformance.judge import Judge
from tests.conformance.records import read, tools

WRITTEN_WITH, RECORDS = read()

# Other versions have other tests: then outputs alone are judged.
globals().update(Judge(AcceleratorBackend, __name__, RECORDS if tools() == WRITTEN_WITH else None).test_cases)
