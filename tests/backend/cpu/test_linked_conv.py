"""CONVs that read one another: with links between them a session does bit for bit what it does without."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from reuse_compiler.frontend import load
from reuse_compiler.guard_plan import GuardPlan
from reuse_compiler.native.link_convs import LinkConvs
from reuse_compiler.operators import Activation, ConvAttributes
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import ModelRef, Plan, SitePlan, quantizer_spec
from reuse_compiler.quantizers import LinearQuantizer
from reuse_compiler.refresh import RefreshPlan
from reuse_compiler.session import Session
from reuse_compiler.sites import find_sites
from tests.backend.cpu.node_cases import NodeCase, kernels_under_test
from tests.backend.cpu.node_strategies import conv_cases, quantizers

pytestmark = pytest.mark.skipif(kernels_under_test() is None, reason="the native kernels are not built")

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Chain:
    """CONVs one behind the other, the first with a batch; `shown` are those whose y is an output of the model too."""

    layers: tuple[NodeCase, ...]
    shown: frozenset[int] = frozenset()
    guard: bool = False
    refresh: int | None = None
    seed: int = 0


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    """Two or three CONVs of any geometry."""
    layers = [draw(conv_cases(exact=False))]
    for _ in range(draw(st.integers(1, 2))):
        x = layers[-1].y
        rank = len(x) - 2
        kernel = tuple(min(size, draw(st.integers(1, 3))) for size in x[2:])
        strides = tuple(draw(st.integers(1, 2)) for _ in range(rank))
        pads = tuple(draw(st.lists(st.integers(0, 2), min_size=2 * rank, max_size=2 * rank)))
        depthwise = draw(st.booleans()) and x[1] > 1
        outputs = x[1] if depthwise else draw(st.sampled_from([1, 3, 16, 20]))
        layers.append(
            NodeCase(
                x,
                (outputs, 1 if depthwise else x[1], *kernel),
                draw(quantizers(x[1], exact=False)),
                draw(st.sampled_from([Activation(0.0), Activation(0.25), Activation(0.0, 6.0), Activation()])),
                ConvAttributes(strides, pads, (1,) * rank, x[1] if depthwise else 1),
            )
        )
    last = len(layers) - 1
    return Chain(
        tuple(layers),
        frozenset({last} | draw(st.sets(st.integers(0, last)))),
        draw(st.booleans()),
        draw(st.sampled_from([None, None, 3])),
        draw(st.integers(0, 999)),
    )


def reuse_model(chain: Chain) -> ir.Model:
    """The compiled network of `chain`."""
    generator = np.random.default_rng(chain.seed)
    nodes, weights = [], []
    last = "x"
    for number, layer in enumerate(chain.layers):
        assert layer.conv is not None
        scale = np.float32(1 / np.sqrt(np.prod(layer.weight[1:])))
        weight = generator.standard_normal(layer.weight).astype(np.float32) * scale
        weights.append(onnx.numpy_helper.from_array(weight, f"W{number}"))
        own: dict[str, Any] = dict(layer.conv.attributes)
        nodes.append(onnx.helper.make_node("Conv", [last, f"W{number}"], [f"z{number}"], name=f"conv{number}", **own))
        last = _activate(nodes, weights, layer.activation, number)
    graph = onnx.helper.make_graph(
        nodes,
        "chain",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, chain.layers[0].x)],
        [
            onnx.helper.make_tensor_value_info(f"y{number}", onnx.TensorProto.FLOAT, chain.layers[number].y)
            for number in sorted(chain.shown)
        ],
        weights,
    )
    proto = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(proto, path)
        model = load(path)
    sites = [
        SitePlan(node=site.node, input=site.input, op=site.op, mode="reuse", quantizer=quantizer_spec(layer.quantizer))
        for site, layer in zip(find_sites(model), chain.layers, strict=True)
    ]
    clipped = {site.node: 0.05 for site in sites}
    plan = Plan(
        model=ModelRef(path="model.onnx", sha256=model.sha256),
        sites=sites,
        guard=GuardPlan(clipped=clipped) if chain.guard else None,
        refresh=None if chain.refresh is None else RefreshPlan(every=chain.refresh),
    )
    return rewrite(model, plan)


def _activate(nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto], activation: Activation, number: int) -> str:
    """Standard nodes of `activation` behind z; the name of what they give."""
    z, y = f"z{number}", f"y{number}"
    bounded = np.isfinite(activation.maximum)
    if bounded:
        weights.append(onnx.numpy_helper.from_array(np.array(activation.maximum, np.float32), f"most{number}"))
        weights.append(onnx.numpy_helper.from_array(np.array(0, np.float32), f"least{number}"))
        low = f"least{number}" if activation.slope == 0 else ""
        nodes.append(onnx.helper.make_node("Clip", [z, low, f"most{number}"], [y]))
    elif activation.slope == 1:
        nodes.append(onnx.helper.make_node("Identity", [z], [y]))
    elif activation.slope == 0:
        nodes.append(onnx.helper.make_node("Relu", [z], [y]))
    else:
        nodes.append(onnx.helper.make_node("LeakyRelu", [z], [y], alpha=activation.slope))
    return y


def frames(chain: Chain, count: int = 9) -> Iterator[Arrays]:
    """Each with a part of the frame before drawn anew: a box, scattered values, nothing or everything."""
    generator = np.random.default_rng(chain.seed + 1)
    x = generator.standard_normal(chain.layers[0].x).astype(np.float32)
    for number in range(count):
        fresh = generator.standard_normal(x.shape).astype(np.float32) * 2
        if number % 4 == 1:
            corner = [int(generator.integers(0, size)) for size in x.shape[2:]]
            box = (slice(None), slice(None), *(slice(begin, begin + 3) for begin in corner))
            x = x.copy()
            x[box] = fresh[box]
        elif number % 4 == 2:
            x = np.where(generator.random(x.shape) < 0.05, fresh, x)
        elif number % 4 == 0:
            x = fresh
        yield {"x": x}


def both(chain: Chain, monkeypatch: pytest.MonkeyPatch, threads: int = 1) -> tuple[Session, Session]:
    """Sessions of one model with links and without."""
    model = reuse_model(chain)
    monkeypatch.setattr("reuse_compiler.session.library", kernels_under_test)
    linked = Session(model, threads=threads, executor="native")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LinkConvs, "call", lambda self, model: ir.passes.PassResult(model, modified=False))
        return linked, Session(model, threads=threads, executor="native")


def assert_alike(linked: Session, plain: Session, frame: Arrays) -> None:
    found, expected = linked.run(frame), plain.run(frame)
    assert found.keys() == expected.keys()
    for values, wanted in ((found, expected), (linked.indices, plain.indices), (linked.linear, plain.linear)):
        for name, array in wanted.items():
            np.testing.assert_array_equal(values[name], array)
    assert linked.changes == plain.changes
    assert linked.statistics == plain.statistics
    assert linked._watch is not None and plain._watch is not None
    for what in ("changed", "clipped", "squares"):
        np.testing.assert_array_equal(linked._watch.records[what], plain._watch.records[what])


@settings(max_examples=60)
@given(chains())
def test_links_change_nothing(chain: Chain) -> None:
    with pytest.MonkeyPatch.context() as patch:
        linked, plain = both(chain, patch)
        for number, frame in enumerate(frames(chain)):
            assert_alike(linked, plain, frame)
            if number == 3:
                for session in (linked, plain):
                    session.refresh()
            if number == 5:
                saved = plain.save()
                for session in (linked, plain):
                    session.reset()
                    session.restore(saved)
            if number == 6:
                linked, plain = linked.fork(), plain.fork()
            if number == 7:
                for session in (linked, plain):
                    session.reset()


LARGE = Chain(
    (
        NodeCase(
            (2, 8, 40, 44),
            (32, 8, 3, 3),
            LinearQuantizer(0.125, 40, 81, 0.1),
            Activation(0.0),
            ConvAttributes((1, 1), (1, 1, 1, 1), (1, 1), 1),
        ),
        NodeCase(
            (2, 32, 40, 44),
            (32, 1, 3, 3),
            LinearQuantizer(0.125, 40, 81),
            Activation(0.0),
            ConvAttributes((1, 1), (1, 1, 1, 1), (1, 1), 32),
        ),
        NodeCase(
            (2, 32, 40, 44),
            (200, 32, 3, 3),
            LinearQuantizer(0.0625, 40, 300, 0.1),
            Activation(0.0),
            ConvAttributes((2, 2), (0, 0, 0, 0), (1, 1), 1),
        ),
    ),
    frozenset({2}),
    guard=True,
)
"""Enough work for several threads, a depthwise layer in the middle, and weights that go over all rows in parts."""


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_links_with_threads(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    linked, plain = both(LARGE, monkeypatch, threads)
    for frame in frames(LARGE, 8):
        assert_alike(linked, plain, frame)


def test_what_nobody_reads_is_not_computed() -> None:
    model = reuse_model(replace(LARGE, shown=frozenset({1, 2})))
    before = {node.name for node in model.graph}
    LinkConvs()(model)
    nodes = [node for node in model.graph if node.op_type == "LinkedConv"]
    assert [bool(node.outputs[0].name) for node in nodes] == [False, True, True]
    assert [bool(node.outputs[3].name) for node in nodes] == [True, True, False]
    assert [len(node.inputs) for node in nodes] == [5, 6, 6]
    read = [node.inputs[0].name for node in nodes[1:] if node.inputs[0] is not None]
    assert read == ["present_linear_conv0", "present_linear_conv1"]
    assert {node.name for node in model.graph} == before


def test_a_still_frame_costs_a_linked_layer_next_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    linked, _ = both(LARGE, monkeypatch)
    [frame, *_] = frames(LARGE)
    for _ in range(3):
        linked.run(frame)
    assert sum(linked.changes.values()) == 0
    for buffer in linked._past.values():  # what is not looked at may as well be wrong
        if buffer.dtype == np.uint16:
            buffer[...] = 7
    linked.run(frame)
    assert linked.changes["conv2"] == 0


@pytest.mark.parametrize("how", ["refresh", "rolling refresh", "restore"])
def test_linear_outputs_that_change_between_frames_are_seen(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = replace(LARGE, refresh=3 if how == "rolling refresh" else None)
    pair = both(chain, monkeypatch)
    [frame, *_] = frames(chain)
    for _ in range(3):
        assert_alike(*pair, frame)
    for session in pair:
        exact = session._network.linear_from_index
        moved = {name: array + 0.5 for name, array in session._past.items() if name == "past_linear_conv0"}
        if how == "restore":
            saved = session.save()
            session.restore(replace(saved, arrays={**saved.arrays, **moved}))
            continue
        monkeypatch.setattr(
            session._network,
            "linear_from_index",
            lambda turn, past, exact=exact: {name: array + 0.5 for name, array in exact(turn, past).items()},
        )
        if how == "refresh":
            session.refresh()
    seen = []
    for _ in range(6):
        assert_alike(*pair, frame)
        seen.append(pair[0].changes["conv1"])
    assert any(seen)
