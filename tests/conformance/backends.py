"""The compiler as two backends of `onnx.backend.test`.

onnx's runner calls `Backend.prepare(model)`, then `run(inputs)` on what that gave, then compares with the outputs that
the suite expects. Weights come as inputs in most node tests, so the model can be compiled only once its inputs are
there. And what stock onnxruntime does not pass is not asked of us, which is known only at the comparison. So `prepare`
opens the model in stock onnxruntime, `run` runs it there and gives one :class:`Candidate`, which compiles and executes
when :class:`~tests.conformance.judge.Judge` asks it to.
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

from reuse_compiler.reference import Reference
from reuse_compiler.runtime_errors import RUNTIME_ERRORS
from reuse_compiler.streams import Frame
from tests.conformance.binding import data_inputs
from tests.conformance.cases import Case, compile_case
from tests.conformance.execution import Execution, on_accelerator, portable
from tests.conformance.records import Record
from tests.conformance.tolerance import step_bound

__all__ = ["AcceleratorBackend", "Candidate", "Prepared", "ReuseBackend"]

_STOCK_ERRORS: tuple[type[Exception], ...] = (*RUNTIME_ERRORS, onnx.checker.ValidationError)


class Candidate:
    """A test whose outputs in stock onnxruntime are known; compiled and executed when asked.

    Attributes
    ----------
    stock : sequence
        What stock onnxruntime gives.
    counts, passed : bool
        Whether that is what the suite expects, and whether our outputs are. The judge says so.
    """

    def __init__(
        self, model: onnx.ModelProto, inputs: dict[str, Any], stock: Sequence[Any], execute: Callable[[Case], Execution]
    ) -> None:
        self.stock = stock
        self.counts = self.passed = False
        self._model, self._inputs, self._execute = model, inputs, execute
        self._sites, self._execution = 0, Execution([])

    def run(self) -> tuple[list[Any], float]:
        """Outputs of the last frame, which has the test's own input, and how far they may be off.

        With one site that is what the quantizer's step can make of it. With several the replay, which has passed by
        now, is the judge of the executor, and the outputs are those of the network that it replays.
        """
        with TemporaryDirectory() as folder:
            case = compile_case(self._model, self._inputs, Path(folder))
            self._sites = len(case.sites)
            self._execution = self._execute(case)
        bound = step_bound(case)
        last = self._execution.outputs[-1]
        if bound is None:
            last = Reference(case.model, {}, threads=1).run(Frame(case.frames[-1], start=True))
        return [last[spec.name] for spec in case.model.outputs], bound or 0.0

    def record(self, test: str) -> Record | None:
        """What became of the test of that name; None where it does not count."""
        if not self.counts:
            return None
        hosted = self._execution.hosted
        return Record(
            test=test,
            operators=tuple(sorted({_name(node) for node in self._model.graph.node})),
            sites=self._sites,
            layers=self._execution.layers,
            hosted=tuple(sorted(set(hosted))),
            outcome="rejected" if not self.passed else "host" if hosted else "alone",
        )


def _name(node: onnx.NodeProto) -> str:
    return f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else str(node.op_type)


class Prepared(BackendRep):
    """A model, open in stock onnxruntime; `candidates` are those of its runs."""

    def __init__(self, model: onnx.ModelProto, execute: Callable[[Case], Execution]) -> None:
        self.candidates: list[Candidate] = []
        self._model, self._execute = model, execute
        try:
            self._stock = onnxruntime.backend.prepare(model, "CPU", intra_op_num_threads=1, log_severity_level=4)
        except _STOCK_ERRORS as error:
            raise unittest.SkipTest(f"stock onnxruntime does not take the model: {type(error).__name__}") from error

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Candidate]:
        """One candidate. Raises SkipTest where stock onnxruntime does not run the model."""
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
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> Prepared:
        """The model, open in stock onnxruntime. Raises SkipTest where that does not take it."""
        return Prepared(model, cls.execute)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """The CPU alone."""
        return device == "CPU"


class AcceleratorBackend(ReuseBackend):
    """The reuse model on the accelerator's interpreter."""

    execute: ClassVar[Callable[[Case], Execution]] = staticmethod(on_accelerator)
