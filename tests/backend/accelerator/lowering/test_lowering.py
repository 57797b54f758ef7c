"""Laws of lowering, on networks and sizes that hypothesis makes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator import program_file
from reuse_compiler.backend.accelerator.accounting import check_accounts, check_code
from reuse_compiler.backend.accelerator.assembler import assemble, disassemble
from reuse_compiler.backend.accelerator.cost import CostModel
from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.hazards import races
from reuse_compiler.backend.accelerator.interpreter import Interpreter
from reuse_compiler.backend.accelerator.isa import DeltaConv, DeltaFc, Host
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.replay import Replay
from reuse_compiler.session import Session

if TYPE_CHECKING:
    from tests.backend.accelerator.lowering.conftest import Case

Arrays = dict[str, NDArray[Any]]
Evaluate = Callable[[onnx.ModelProto, Arrays], Arrays]
NO_WAITS = {"after_data_master": 0, "after_compute": 0, "after_special": 0, "after_host": 0}
Cases = st.SearchStrategy["Case"]


@pytest.fixture(scope="session")
def fitting(hardware: Hardware) -> Callable[[Case], Hardware]:
    """The default hardware with the sizes that a case was lowered for."""

    def fit(case: Case) -> Hardware:
        tiling = case.program.tiling
        return hardware.varied(
            {
                "compute.lanes": tiling.lanes,
                "compute.accumulators": tiling.accumulators,
                "edram.bytes": tiling.edram_bytes,
                "buffer.base.bytes": tiling.buffer_bytes_base,
                "buffer.reuse.bytes": tiling.buffer_bytes_reuse,
            },
        )

    return fit


@settings(max_examples=100, phases=[Phase.generate])
@given(data=st.data())
def test_code_has_no_race_does_all_work_and_survives_text_and_file(
    data: st.DataObject, cases: Cases, fitting: Callable[[Case], Hardware], tmp_path_factory: pytest.TempPathFactory
) -> None:
    case = data.draw(cases)
    program, path = case.program, tmp_path_factory.mktemp("program") / "program.safetensors"
    codes = (program.reuse, program.baseline)
    for code in codes:
        assert races(code) == []
        check_code(program, code, fitting(case))
    calls = [[replace(i, **NO_WAITS) for i in code.sections.frame if isinstance(i, Host)] for code in codes]
    assert calls[0] == calls[1], "the host costs something else in the baseline"
    digest = program_file.digest(program)
    assert program_file.digest(assemble(disassemble(program), program)) == digest
    program_file.save(program, path)
    assert program_file.digest(program_file.load(path)) == digest
    for message in case.too_small:
        assert "\n" not in message and any(word in message for word in ("I/O buffer", "eDRAM", "accumulators"))


@settings(max_examples=100, phases=[Phase.generate])
@given(data=st.data())
def test_the_baseline_computes_the_model(data: st.DataObject, cases: Cases, evaluate: Evaluate) -> None:
    case = data.draw(cases)
    baseline = Interpreter(case.program, case.program.baseline)
    for frame in case.frames[:2]:
        expected, outputs = evaluate(case.proto, frame.inputs), baseline.run(frame.inputs)
        assert list(outputs) == list(expected)
        for name, values in expected.items():
            assert outputs[name].shape == values.shape
            tolerance = 0.0 if case.exact else 1e-5 * max(float(np.abs(values).max(initial=0)), 1e-3)
            np.testing.assert_allclose(outputs[name], values, rtol=0, atol=tolerance, err_msg=name)


@settings(max_examples=150, phases=[Phase.generate])
@given(data=st.data())
def test_the_reuse_code_computes_what_a_session_does_and_counts_it(
    data: st.DataObject, cases: Cases, fitting: Callable[[Case], Hardware]
) -> None:
    """Bit for bit where sums are exact; elsewhere by replay. Every count is one that brute force finds."""
    case = data.draw(cases)
    interpreter, session = Interpreter(case.program), Session(watched(case), threads=1)
    replay, costs, expected = (
        Replay(case.model, case.plan, threads=1),
        CostModel(case.program, fitting(case)),
        Scan(case),
    )
    for frame in case.frames:
        if frame.start:
            interpreter.reset()
            session.reset()
            expected.reset()
            costs.start_sequence()
        outputs, other = interpreter.run(frame.inputs), session.run(frame.inputs)
        costs.add(interpreter.counts[None])
        indices, linear = interpreter.indices, interpreter.linear
        replay.check(frame.inputs, indices, outputs, start=frame.start, linear=linear)
        expected.take(indices, {**frame.inputs, **other})
        if case.exact:
            assert_equal(outputs, other)
            assert_equal(indices, session.indices)
            assert_equal(linear, session.linear)
    total = costs.costs()
    check_accounts(case.program, total, fitting(case))
    for info, layer in zip(case.program.layers, total.layers, strict=True):
        if info.backend == "reuse":
            assert layer.changed == expected.changed[info.name]
            assert layer.macs_done == expected.done[info.name]
        if info.backend == "reuse" and case.exact:
            assert layer.macs_skipped_zero == expected.zero[info.name]


def assert_equal(values: Arrays, others: Arrays) -> None:
    for name, value in values.items():
        np.testing.assert_array_equal(value, others[name], err_msg=name)


def watched(case: Case) -> ir.Model:
    """The reuse model, with the inputs of all its sites among its outputs."""
    model = rewrite(case.model, case.plan)
    shown = {value.name for value in (*model.graph.inputs, *model.graph.outputs)}
    computed = {value.name: value for node in model.graph for value in node.outputs}
    tensors = dict.fromkeys(site.input for site in case.sites)
    model.graph.outputs.extend(computed[name] for name in tensors if name not in shown)
    return model


class Scan:
    """What a scan of every site's input finds, element by element."""

    def __init__(self, case: Case) -> None:
        self._sites, self._quantizers = case.sites, case.plan.quantizers()
        self._listed = set(self._lists(case))
        self.changed: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.zero: Counter[str] = Counter()
        self.reset()

    @staticmethod
    def _lists(case: Case) -> Iterator[str]:
        """Layers that read a change list: they see no input, and take the zero centroid for 0.0."""
        for instruction in case.program.reuse.sections.frame:
            if isinstance(instruction, DeltaConv | DeltaFc) and instruction.listed:
                yield case.program.layers[instruction.layer].name

    def reset(self) -> None:
        zeros = self._quantizers
        self._past = {s.node: np.full(s.shape, zeros[s.node].zero, zeros[s.node].index_dtype) for s in self._sites}

    def take(self, indices: Arrays, tensors: Arrays) -> None:
        for site in self._sites:
            index = indices[site.node]
            changed, fan_out = index != self._past[site.node], np.broadcast_to(site.fan_out(), site.shape)
            zero = index == self._quantizers[site.node].zero if site.node in self._listed else tensors[site.input] == 0
            self.changed[site.node] += int(changed.sum())
            self.done[site.node] += int(fan_out[changed].sum())
            self.zero[site.node] += int(fan_out[zero & ~changed].sum())
        self._past = indices
