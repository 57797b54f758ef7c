"""Verification by replay: right runs pass, and of a wrong one the first site that fails is named."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from reuse_compiler import frontend
from reuse_compiler.errors import PlanError, StreamError, VerificationError
from reuse_compiler.frontend import Model
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan
from reuse_compiler.quantizers import LinearQuantizer
from reuse_compiler.replay import TOLERANCE, Replay, ReplayResult
from reuse_compiler.session import Session
from reuse_compiler.sites import find_sites

Arrays = dict[str, NDArray[Any]]
Change = Callable[["Record"], object]

NETWORK = """
<ir_version: 8, opset_import: ["": 18]>
net (float[1, 2, 6, 5] x) => (float[1, 3] y, float[1, 4, 6, 5] r, int64[1, 1] label) {
    a = Conv <pads = [1, 1, 1, 1]> (x, W1, B1)
    b = Relu (a)
    c = Conv <pads = [1, 1, 1, 1], group = 2> (b, W2)
    d = Conv (b, W3, B3)
    e = Add (c, d)
    r = Relu (e)
    f = Flatten (r)
    g = MatMul (f, W4)
    h = Add (g, B4)
    i = Sigmoid (h)
    y = Gemm <transB = 1> (i, W5, B5)
    label = ArgMax <axis = 1> (y)
}"""
SHAPES = {"W1": (4, 2, 3, 3), "B1": (4,), "W2": (4, 2, 3, 3), "W3": (4, 4, 1, 1), "B3": (4,)}
SHAPES |= {"W4": (120, 5), "B4": (5,), "W5": (3, 5), "B5": (3,)}
SITES = ["a", "c", "d", "g", "y"]


@dataclass
class Record:
    """What a run left of one frame."""

    inputs: Arrays
    indices: Arrays
    linear: Arrays
    outputs: Arrays
    start: bool = field(default=False)


def load(text: str, shapes: Mapping[str, tuple[int, ...]]) -> Model:
    generator = np.random.default_rng(3)
    proto = onnx.parser.parse_model(text)
    for name, shape in shapes.items():
        array = generator.standard_normal(shape).astype(np.float32)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(proto, path)
        return frontend.load(path)


@pytest.fixture(scope="module")
def model() -> Model:
    return load(NETWORK, SHAPES)


def plan_for(model: Model, quantizer: LinearQuantizer, state: dict[str, str] | None = None) -> Plan:
    spec = QuantizerSpec.of(quantizer)
    return Plan(
        model=ModelRef(path="model.onnx", sha256=model.sha256),
        sites=[
            SitePlan(node=site.node, input=site.input, op=site.op, mode="reuse", quantizer=spec)
            for site in find_sites(model)
        ],
        state=state or {},
    )


def record(model: Model, plan: Plan, inputs: list[Arrays], starts: tuple[int, ...] = (0,)) -> list[Record]:
    session = Session(rewrite(model, plan), threads=1)
    records = []
    for number, frame in enumerate(inputs):
        if number in starts:
            session.reset()
        outputs = session.run(frame)
        records.append(Record(frame, session.indices, session.linear, outputs, number in starts))
    return records


def verify(model: Model, plan: Plan, records: list[Record]) -> ReplayResult:
    replay = Replay(model, plan, threads=1)
    for r in records:
        replay.check(r.inputs, r.indices, r.outputs, start=r.start, linear=r.linear)
    return replay.result


def stream(frames: int, scale: float = 1.0) -> list[Arrays]:
    generator = np.random.default_rng(5)
    x = generator.standard_normal((1, 2, 6, 5)).astype(np.float32)
    result = []
    for _ in range(frames):
        x = x + np.float32(0.2) * generator.standard_normal(x.shape).astype(np.float32)
        result.append({"x": x * np.float32(scale)})
    return result


QUANTIZERS = [
    LinearQuantizer(0.5, 8, 16),
    LinearQuantizer(0.1, 100, 200),
    LinearQuantizer(0.01, 2000, 4096),
    LinearQuantizer(0.05, 200, 400, 0.1),
    LinearQuantizer(0.01, 2000, 4096, 0.05),
]


@pytest.mark.parametrize("quantizer", QUANTIZERS, ids=str)
def test_a_session_passes_on_every_frame(model: Model, quantizer: LinearQuantizer) -> None:
    plan = plan_for(model, quantizer)
    result = verify(model, plan, record(model, plan, stream(60), starts=(0, 25)))
    assert result.frames == 60
    assert list(result.sites) == SITES and list(result.outputs) == ["y", "r", "label"]
    assert 0 < max(site.linear for site in result.sites.values()) < TOLERANCE / 10
    assert result.outputs["label"] == 0


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(QUANTIZERS), st.lists(st.sampled_from([0.0, 1e-4, 0.01, 1.0, 30.0]), min_size=2, max_size=12))
def test_a_session_passes_on_streams_that_brighten_and_go_dark(quantizer: LinearQuantizer, scales: list[float]) -> None:
    model = load(NETWORK, SHAPES)
    plan = plan_for(model, quantizer)
    verify(model, plan, record(model, plan, [stream(1, scale)[0] for scale in scales]))


def test_the_linear_outputs_need_not_be_recorded(model: Model) -> None:
    plan = plan_for(model, QUANTIZERS[1])
    replay = Replay(model, plan)
    [first] = record(model, plan, stream(1))
    result = replay.check(first.inputs, first.indices, first.outputs, start=True)
    assert all(site.linear == 0 for site in result.sites.values())


def test_sites_that_the_plan_leaves_dense_are_not_checked(model: Model) -> None:
    plan = plan_for(model, QUANTIZERS[1])
    plan.sites[1].mode = "dense"
    records = record(model, plan, stream(5))
    assert list(records[0].indices) == list(verify(model, plan, records).sites) == ["a", "d", "g", "y"]


@pytest.mark.parametrize("node", SITES)
@pytest.mark.parametrize("quantizer", [QUANTIZERS[1], QUANTIZERS[3]], ids=["memoryless", "deadband"])
def test_one_wrong_index_names_its_site(model: Model, node: str, quantizer: LinearQuantizer) -> None:
    plan = plan_for(model, quantizer)
    records = record(model, plan, stream(4))
    index = records[2].indices[node]
    position = int(index.argmax())
    index.ravel()[position] -= 1
    place = r"\[" + ", ".join(str(int(i)) for i in np.unravel_index(position, index.shape)) + r"\]"
    with pytest.raises(VerificationError, match=f"frame 2: site {node}: index {index.ravel()[position]} at {place}"):
        verify(model, plan, records)


@pytest.mark.parametrize("node", SITES)
@pytest.mark.parametrize("share", [2e-4, -2e-4])
def test_one_wrong_linear_output_names_its_site(model: Model, node: str, share: float) -> None:
    plan = plan_for(model, QUANTIZERS[1])
    records = record(model, plan, stream(4))
    linear = records[3].linear[node]
    linear.ravel()[-1] += np.float32(share) * np.abs(linear).max()
    with pytest.raises(VerificationError, match=f"frame 3: site {node}: linear output"):
        verify(model, plan, records)


@pytest.mark.parametrize("output", ["y", "r", "label"])
def test_one_wrong_output_is_named(model: Model, output: str) -> None:
    plan = plan_for(model, QUANTIZERS[1])
    records = record(model, plan, stream(4))
    values = records[1].outputs[output]
    records[1].outputs[output] = values + (1 if values.dtype.kind == "i" else 2e-4 * np.abs(values).max())
    with pytest.raises(VerificationError, match=f"frame 1: output {output}:"):
        verify(model, plan, records)


def test_of_several_wrong_sites_the_first_in_topological_order_is_named(model: Model) -> None:
    plan = plan_for(model, QUANTIZERS[1])
    records = record(model, plan, stream(2))
    records[1].indices["g"][:] = 0
    records[1].linear["d"][:] = 0
    with pytest.raises(VerificationError, match="site d: linear output"):
        verify(model, plan, records)


def test_indices_that_ignore_the_deadband_fail(model: Model) -> None:
    """The memoryless run is right for the plan without a deadband alone, and the other way about."""
    with_band, without = plan_for(model, QUANTIZERS[3]), plan_for(model, LinearQuantizer(0.05, 200, 400))
    with pytest.raises(VerificationError, match="frame 0: site a: index"):
        verify(model, with_band, record(model, without, stream(3)))
    with pytest.raises(VerificationError, match="frame 0: site a: index"):
        verify(model, without, record(model, with_band, stream(3)))


def test_a_start_that_the_run_did_not_know_of_fails(model: Model) -> None:
    plan = plan_for(model, LinearQuantizer(0.05, 200, 400, 1.0))
    records = record(model, plan, stream(4))
    records[2].start = True
    with pytest.raises(VerificationError, match="frame 2: site a: index"):
        verify(model, plan, records)


def _too_large(r: Record) -> None:
    r.indices["c"][:] = 200


def _other_dtype(r: Record) -> None:
    r.indices["c"] = r.indices["c"].astype(np.uint16)


def _other_shape(r: Record) -> None:
    r.linear["c"] = r.linear["c"][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.indices.pop("c"), "indices: none recorded for c"),
        (lambda r: r.linear.pop("c"), "linear outputs: none recorded for c"),
        (lambda r: r.outputs.pop("r"), "outputs: none recorded for r"),
        (lambda r: r.indices.update(z=r.indices["c"]), "indices: z is not in the plan"),
        (_other_dtype, "site c: indices are uint16"),
        (_too_large, "site c: index 200 of 200 clusters"),
        (_other_shape, r"site c: linear output: recorded as float32 \[4, 6, 5\]"),
    ],
)
def test_records_that_do_not_fit_are_rejected(model: Model, change: Change, message: str) -> None:
    plan = plan_for(model, QUANTIZERS[1])
    records = record(model, plan, stream(1))
    change(records[0])
    with pytest.raises(VerificationError, match=f"frame 0: {message}"):
        verify(model, plan, records)


def test_frames_and_plans_that_do_not_fit_are_rejected(model: Model) -> None:
    plan = plan_for(model, QUANTIZERS[1])
    records = record(model, plan, stream(1))
    records[0].inputs = {}
    with pytest.raises(StreamError, match="no value for input x"):
        verify(model, plan, records)
    plan.model.sha256 = "0" * 64
    with pytest.raises(PlanError, match="fit a plan for this model"):
        Replay(model, plan)


def test_fed_back_outputs_are_taken_from_the_record() -> None:
    text = """<ir_version: 8, opset_import: ["": 18]>
        net (float[1, 3] x, float[1, 3] h) => (float[1, 3] next) {
            a = Gemm (x, W, B)
            b = MatMul (h, V)
            c = Add (a, b)
            next = Tanh (c)
        }"""
    model = load(text, {"W": (3, 3), "B": (3,), "V": (3, 3)})
    plan = plan_for(model, LinearQuantizer(0.01, 300, 600), {"h": "next"})
    generator = np.random.default_rng(0)
    frames = [{"x": generator.standard_normal((1, 3)).astype(np.float32)} for _ in range(6)]
    records = record(model, plan, frames, starts=(0, 4))
    verify(model, plan, records)
    records[5].start = True
    with pytest.raises(VerificationError, match="frame 5: site b: index"):
        verify(model, plan, records)
