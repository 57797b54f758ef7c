"""Sessions with native kernels: the same states and outputs as on function bodies, in place, for many streams at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from numpy.typing import NDArray

from reuse_compiler.backend.cpu import library
from reuse_compiler.cpu_costs import CpuCosts
from reuse_compiler.errors import ModelError, ReuseError, StreamError
from reuse_compiler.frontend import Model, load
from reuse_compiler.guard_plan import GuardPlan
from reuse_compiler.native.never_faster import never_faster
from reuse_compiler.native.switch import Switch
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan
from reuse_compiler.quantizers import LinearQuantizer
from reuse_compiler.refresh import RefreshPlan
from reuse_compiler.session import Session
from reuse_compiler.sites import find_sites

pytestmark = pytest.mark.skipif(library() is None, reason="the native kernels are not built")
Arrays = dict[str, NDArray[Any]]

FLIP = 0.06
"""By how much y may differ where rounding takes an index on an edge the other way."""
NETWORK = """
<ir_version: 8, opset_import: ["": 18]>
net (float[1, 3, 20, 24] x, float[1, 1, 5] h) => (float[1, 7] y, float[1, 1, 5] hn) {
    a = Conv <pads = [1, 1, 1, 1]> (x, W1)
    b = Relu (a)
    c = Conv <pads = [1, 1, 1, 1], group = 16> (b, W2)
    d = Conv <strides = [2, 2]> (c, W3)
    e = Flatten (d)
    f = MatMul (e, W4)
    g = Reshape (f, SHAPE)
    r, hn = GRU <hidden_size = 5, linear_before_reset = 1> (g, W, R, , , h)
    s = Flatten (r)
    y = MatMul (s, W5)
}"""
SHAPES = {
    "W1": (16, 3, 3, 3),
    "W2": (16, 1, 3, 3),
    "W3": (8, 16, 3, 3),
    "W4": (792, 6),
    "W": (1, 15, 6),
    "R": (1, 15, 5),
}
SHAPES |= {"W5": (5, 7)}
STATE = {"h": "hn"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    generator = np.random.default_rng(0)
    proto = onnx.parser.parse_model(NETWORK)
    for name, shape in SHAPES.items():
        weight = generator.standard_normal(shape).astype(np.float32) / np.float32(np.sqrt(shape[-1] + 9))
        proto.graph.initializer.append(onnx.numpy_helper.from_array(weight, name))
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1, 1, 6]), "SHAPE"))
    path = tmp_path_factory.mktemp("native") / "model.onnx"
    onnx.save(proto, path)
    return load(path)


def reuse_model(model: Model, **options: Any) -> ir.Model:
    quantizer = QuantizerSpec.of(LinearQuantizer(0.0625, 300, 601, 0.05))
    sites = [
        SitePlan(node=site.node, input=site.input, op=site.op, mode="reuse", quantizer=quantizer)
        for site in find_sites(model)
    ]
    plan = Plan(model=ModelRef(path="model.onnx", sha256=model.sha256), sites=sites, state=STATE, **options)
    return rewrite(model, plan)


def frames(count: int = 12, seed: int = 1) -> Iterator[Arrays]:
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((1, 3, 20, 24)).astype(np.float32)
    for _ in range(count):
        x = np.where(generator.random(x.shape) < 0.2, generator.standard_normal(x.shape), x).astype(np.float32)
        yield {"x": x}


def test_native_is_the_default_and_agrees_with_the_function_bodies(model: Model) -> None:
    reuse = reuse_model(model)
    native, portable = Session(reuse, threads=1), Session(reuse, threads=1, executor="portable")
    assert (native.executor, portable.executor) == ("native", "portable")
    for frame in frames():
        found, expected = native.run(frame), portable.run(frame)
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, atol=FLIP)
        sites = native.indices.keys()
        assert sites == portable.indices.keys()
        assert all(native.indices[site].shape == portable.indices[site].shape for site in sites)
        assert (native.indices["a"] == portable.indices["a"]).all()  # what it reads is the same in both
        assert native.changes["a"] == portable.changes["a"]
        assert native.changes.keys() == portable.changes.keys()
    assert native.statistics.frames == 12
    assert native.statistics.similarity == pytest.approx(portable.statistics.similarity, abs=0.01)


def test_state_moves_between_executors(model: Model) -> None:
    reuse = reuse_model(model)
    native, portable = Session(reuse, threads=1), Session(reuse, threads=1, executor="portable")
    some = list(frames())
    for frame in some[:6]:
        portable.run(frame)
    native.restore(portable.save())
    for site, index in portable.indices.items():
        if "." not in site:  # what a recurrent layer shows is of the last frame
            assert (native.indices[site] == index).all()
    for frame in some[6:]:
        found, expected = native.run(frame), portable.run(frame)
        np.testing.assert_allclose(found["y"], expected["y"], atol=FLIP)


def test_linear_outputs_follow_their_indices(model: Model) -> None:
    session = Session(reuse_model(model), threads=1)
    for frame in frames():
        session.run(frame)
    kept = session.linear
    session.refresh()
    for site, linear in session.linear.items():
        np.testing.assert_allclose(kept[site], linear, atol=1e-4 * float(np.abs(linear).max()))


def test_streams_share_the_weights_and_nothing_else(model: Model) -> None:
    first = Session(reuse_model(model), threads=1)
    streams = {seed: list(frames(30, seed)) for seed in range(6)}

    def run(seed: int) -> list[NDArray[Any]]:
        session = first.fork()
        return [session.run(frame)["y"] for frame in streams[seed]]

    one_by_one = [run(seed) for seed in streams]
    with ThreadPoolExecutor(6) as pool:
        at_once = list(pool.map(run, streams))
    np.testing.assert_array_equal(at_once, one_by_one)


def test_results_do_not_depend_on_the_threads(model: Model) -> None:
    reuse = reuse_model(model)
    one, two = Session(reuse, threads=1), Session(reuse, threads=2)
    for frame in frames():
        assert (one.run(frame)["y"] == two.run(frame)["y"]).all()


@pytest.mark.parametrize("options", [{"refresh": RefreshPlan(every=3)}, {"guard": GuardPlan(changed=0.05)}])
def test_refresh_and_guard_work_as_on_function_bodies(model: Model, options: dict[str, Any]) -> None:
    reuse = reuse_model(model, **options)
    native, portable = Session(reuse, threads=1), Session(reuse, threads=1, executor="portable")
    for frame in frames():
        np.testing.assert_allclose(native.run(frame)["y"], portable.run(frame)["y"], atol=FLIP)
        assert native.anew == portable.anew
    assert native.statistics.refreshed == portable.statistics.refreshed
    assert native.statistics.guard_resets == portable.statistics.guard_resets


def test_layers_tell_how_they_were_computed(model: Model) -> None:
    session = Session(reuse_model(model), threads=1)
    for frame in frames():
        session.run(frame)
    runs = {run.name: run for run in session.layer_runs()}
    assert runs.keys() == {"a", "c", "d", "f", "r", "y"} or len(runs) == 6
    assert all(run.reuse_ms is not None and run.reuse_ms > 0 for run in runs.values())
    assert {run.path for run in runs.values()} <= {"sparse", "dense"}


def test_an_adaptive_session_computes_small_layers_and_says_why(model: Model) -> None:
    reuse = reuse_model(model, guard=GuardPlan(clipped={"c": 0.5}), refresh=RefreshPlan(every=4))
    dense = never_faster(reuse, CpuCosts())
    assert "c" in dense and "in onnxruntime" in dense["c"]  # depthwise
    session, plain = Session(reuse, threads=1, adaptive=True), Session(reuse, threads=1, executor="portable")
    assert session.dense_layers == dense
    assert session.inputs == plain.inputs and session.outputs == plain.outputs
    for frame in frames(40):
        outputs = session.run(frame)
        assert session.reused or session.statistics.dense_frames > 0
        assert outputs["y"].shape == (1, 7)
    assert session.statistics.frames == 40
    assert session.layer_runs()


def test_an_adaptive_session_saves_and_continues(model: Model) -> None:
    session = Session(reuse_model(model), threads=1, adaptive=True)
    some = list(frames(20))
    for frame in some[:10]:
        session.run(frame)
    twin = session.fork()
    for frame in some[10:]:
        np.testing.assert_allclose(session.run(frame)["y"], twin.run(frame)["y"], atol=0.05)


def test_state_of_an_adaptive_session_moves_too(model: Model) -> None:
    reuse = reuse_model(model, guard=GuardPlan(changed=0.9))
    adaptive, plain = Session(reuse, threads=1, adaptive=True), Session(reuse, threads=1)
    assert adaptive.dense_layers
    some = list(frames(20))
    for frame in some[:5]:
        adaptive.run(frame)
        plain.run(frame)
    ours, theirs = plain.save(), adaptive.save()
    shapes = {name: (array.shape, array.dtype) for name, array in ours.arrays.items()}
    assert {name: (array.shape, array.dtype) for name, array in theirs.arrays.items()} == shapes
    adaptive.restore(ours)
    plain.restore(theirs)
    for site in adaptive.dense_layers:
        if site != "r":
            assert (plain.indices[site] == 300).all()  # where a sequence starts: right for any input that comes
    expected = Session(reuse, threads=1, executor="portable")
    expected.restore(theirs)
    for frame in some[5:]:
        np.testing.assert_allclose(plain.run(frame)["y"], expected.run(frame)["y"], atol=FLIP)


def test_native_without_a_library_says_what_to_do(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reuse_compiler.session.library", lambda: None)
    with pytest.raises(ReuseError, match="no kernel library: install it where a C\\+\\+ compiler"):
        Session(reuse_model(model), executor="native")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"executor": "nonsense"}, "give native or portable"),
        ({"threads": 0}, "give 1 or more"),
        ({"threads": 1.5}, "1 or more"),
    ],
)
def test_arguments_out_of_range(model: Model, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ReuseError, match=message):
        Session(reuse_model(model), **arguments)


@pytest.mark.parametrize(
    ("name", "shape"), [("past_linear_f", (1, 1)), ("past_index_a", (1, 20, 24, 4)), ("past_index_r.h", (1, 9))]
)
def test_state_that_does_not_fit_its_node(model: Model, name: str, shape: tuple[int, ...]) -> None:
    reuse = reuse_model(model)
    next(value for value in reuse.graph.inputs if value.name == name).shape = ir.Shape(shape)
    with pytest.raises(ModelError, match=f"state {name} is .* needs .*: compile the model again"):
        Session(reuse)


def test_an_adaptive_session_hides_nothing_that_is_not_finite(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reuse_compiler.session.machine_costs", lambda: CpuCosts(stock_call=1e9))
    session = Session(reuse_model(model), threads=1, adaptive=True)
    assert not session.dense_layers
    broken = {"x": np.full((1, 3, 20, 24), np.nan, np.float32)}
    with pytest.raises(StreamError, match="not finite"):  # the first frames reuse
        session.run(broken)
    session._switch = Switch(1.0)  # as if a dense frame took a nanosecond: after a few slow ones reuse rests
    for frame in frames(6):
        session.run(frame)
    assert not session.reused
    original = session._dense_step({**broken, **session._feedback.held})["y"]
    np.testing.assert_array_equal(session.run(broken)["y"], original)


def test_a_model_from_a_file_runs_natively(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "model.reuse.onnx"
    onnx.save(ir.to_proto(reuse_model(model)), path)
    session = Session(path, threads=1)
    assert session.executor == "native"
    assert [session.run(frame)["y"].shape for frame in frames(3)] == [(1, 7)] * 3
