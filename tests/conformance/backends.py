"""The compiler as two backends of `onnx.backend.test`, and how a case of the suite is judged.

onnx's runner calls `Backend.prepare(model)`, then `run(inputs)` on what that gave, then compares with the outputs that
the suite expects. Weights come as inputs in most node tests, so the model can be compiled only once its inputs are
there. And what stock onnxruntime does not pass is not asked of us, which is known only at the comparison. So `prepare`
opens the model in stock onnxruntime, `run` runs it there and gives one :class:`Candidate`, which compiles and executes
when it is judged: :class:`Judge` first compares stock onnxruntime's outputs, skips the case where they differ, and then
holds the candidate's against the same expectation.
"""

from __future__ import annotations

import unittest
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
import onnx
import onnxruntime.backend
from onnx.backend.base import Backend, BackendRep
from onnx.backend.test import BackendTest

from reuse_compiler.reference import Reference
from reuse_compiler.runtime_errors import RUNTIME_ERRORS
from reuse_compiler.streams import Frame
from tests.conformance.binding import data_inputs
from tests.conformance.cases import Case, compile_case
from tests.conformance.execution import Execution, on_accelerator, portable
from tests.conformance.tolerance import step_bound

__all__ = ["AcceleratorBackend", "Candidate", "Judge", "ReuseBackend"]

_STOCK_ERRORS: tuple[type[Exception], ...] = (*RUNTIME_ERRORS, onnx.checker.ValidationError)
_MISMATCH = (AssertionError, AttributeError, TypeError, ValueError)


class Candidate:
    """A case whose outputs in stock onnxruntime are known; compiled and executed when asked.

    Attributes
    ----------
    stock : sequence
        What stock onnxruntime gives.
    case, execution : Case and Execution, or None before they are made
    """

    def __init__(
        self, model: onnx.ModelProto, inputs: dict[str, Any], stock: Sequence[Any], execute: Callable[[Case], Execution]
    ) -> None:
        self.stock = stock
        self.case: Case | None = None
        self.execution: Execution | None = None
        self._model, self._inputs, self._execute = model, inputs, execute

    def run(self) -> tuple[list[Any], list[float]]:
        """Outputs of the last frame, which has the test's own input, and how far each may be off.

        With one site that is what the quantizer's step can make of it. With several the replay, which has passed by
        now, is the judge of the executor, and the outputs are those of the network that it replays.
        """
        with TemporaryDirectory() as folder:
            self.case = case = compile_case(self._model, self._inputs, Path(folder))
            self.execution = execution = self._execute(case)
        names = [spec.name for spec in case.model.outputs]
        bound = step_bound(case.model, case.sites, case.plan)
        last = execution.outputs[-1]
        if bound is None:
            last = Reference(case.model, {}, threads=1).run(Frame(case.frames[-1], start=True))
        return [last[name] for name in names], [0.0 if bound is None else bound] * len(names)


class _Rep(BackendRep):
    def __init__(self, model: onnx.ModelProto, execute: Callable[[Case], Execution]) -> None:
        self.candidates: list[Candidate] = []
        self._model, self._execute = model, execute
        try:
            self._stock = onnxruntime.backend.prepare(model, "CPU", intra_op_num_threads=1, log_severity_level=4)
        except _STOCK_ERRORS as error:
            raise unittest.SkipTest(f"stock onnxruntime does not take the model: {type(error).__name__}") from error

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Candidate]:
        """One candidate, for :class:`Judge`."""
        values = [np.asarray(value) if isinstance(value, np.generic) else value for value in inputs]
        try:
            stock = self._stock.run(values)
        except _STOCK_ERRORS as error:
            raise unittest.SkipTest(f"stock onnxruntime does not run the model: {type(error).__name__}") from error
        names = [value.name for value in data_inputs(self._model)]
        candidate = Candidate(self._model, dict(zip(names, values, strict=True)), stock, self._execute)
        self.candidates.append(candidate)
        return (candidate,)


class ReuseBackend(Backend):
    """The reuse model in stock onnxruntime."""

    execute: ClassVar[Callable[[Case], Execution]] = staticmethod(portable)

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> _Rep:
        """The model, open in stock onnxruntime. Raises SkipTest where that does not take it."""
        return _Rep(model, cls.execute)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """The CPU alone."""
        return device == "CPU"


class AcceleratorBackend(ReuseBackend):
    """The reuse model on the accelerator's interpreter."""

    execute: ClassVar[Callable[[Case], Execution]] = staticmethod(on_accelerator)


class Judge(BackendTest):
    """onnx's runner of the suite, for backends that give a :class:`Candidate`."""

    def __init__(self, backend: type[Backend], parent_module: str | None = None) -> None:
        with np.errstate(all="ignore"):  # the suite's reference code divides by zero on purpose
            super().__init__(backend, parent_module)

    @property
    def test_cases(self) -> dict[str, type[unittest.TestCase]]:
        """Classes of test functions, for the global scope of a test module: those of the CPU alone."""
        cases: dict[str, type[unittest.TestCase]] = super().test_cases
        for case in cases.values():
            for name in [name for name in vars(case) if name.endswith("_cuda")]:
                delattr(case, name)
        return cases

    @classmethod
    def assert_similar_outputs(
        cls, ref_outputs: Sequence[Any], outputs: Sequence[Any], rtol: float, atol: float, model_dir: str | None = None
    ) -> None:
        """Skip where stock onnxruntime is not within the suite's tolerance; else hold the candidate against it."""
        (candidate,) = outputs
        try:
            BackendTest.assert_similar_outputs(ref_outputs, candidate.stock, rtol, atol, model_dir)
        except _MISMATCH as error:
            raise unittest.SkipTest("stock onnxruntime gives other outputs") from error
        values, bounds = candidate.run()
        assert len(values) == len(ref_outputs)
        for expected, value, bound in zip(ref_outputs, values, bounds, strict=True):
            BackendTest.assert_similar_outputs([expected], [value], rtol, atol + bound, model_dir)
