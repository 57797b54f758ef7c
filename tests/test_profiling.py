"""Profiling a model: the counts are those of the tensors that the sites read, weighted by what each element costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from reuse_compiler import frontend
from reuse_compiler.errors import ModelError, StreamError
from reuse_compiler.frontend import Model
from reuse_compiler.profiling import profile
from reuse_compiler.sites import Site, find_sites
from reuse_compiler.streams import Stream, open_stream
from reuse_compiler.tensor_profile import origin

Arrays = dict[str, Any]
Evaluate = Callable[[onnx.ModelProto, Mapping[str, NDArray[Any]]], Arrays]
Load = Callable[..., Model]

TWO_READERS = """agraph (float[1, 2, 7, 6] x) => (float[1, 3, 4, 3] a, float[1, 4, 7, 6] b)
<float[3, 2, 3, 3] Wa, float[4, 1, 5, 1] Wb> {
  [wide] a = Conv <pads=[1, 1, 1, 1], strides=[2, 2]> (x, Wa)
  [deep] b = Conv <pads=[2, 0, 2, 0], group=2> (x, Wb)
}"""
WEIGHTS_OF_TWO = {"Wa": (3, 2, 3, 3), "Wb": (4, 1, 5, 1)}
CHAIN = """agraph (float[1, 6] x) => (float[1, 2] y)
<float[6, 4] W0, float[4] B0, float[2, 4] W1> {
  m = MatMul(x, W0)
  z = Add(m, B0)
  h = Relu(z)
  [last] y = Gemm <transB=1> (h, W1)
}"""
WEIGHTS_OF_CHAIN = {"W0": (6, 4), "B0": (4,), "W1": (2, 4)}


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load a model given as ONNX text, with normal weights."""

    def build(text: str, weights: dict[str, tuple[int, ...]]) -> Model:
        proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]> {text}')
        generator = np.random.default_rng(1)
        for name, shape in weights.items():
            values = generator.standard_normal(shape).astype(np.float32)
            proto.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
        path = tmp_path / "model.onnx"
        onnx.save(proto, path)
        return frontend.load(path)

    return build


def walk(frames: int, *shape: int, seed: int = 0) -> list[Arrays]:
    """A random walk in which half of the elements rest in each frame."""
    generator = np.random.default_rng(seed)
    moves = generator.standard_normal((frames, *shape)) * (generator.random((frames, *shape)) < 0.5)
    return [{"x": frame} for frame in moves.cumsum(axis=0).astype(np.float32)]


def stream_of(frames: list[Arrays], model: Model) -> Stream:
    return open_stream(frames, model.inputs)


def macs_of(site: Site, mask: NDArray[np.bool_], model: Model, evaluate: Evaluate) -> int:
    """Multiply-accumulates that the elements in `mask` take part in: the node's sum with weights of 1."""
    proto = model.proto()
    node = next(node for node in proto.graph.node if node.name == site.node)
    shape = next(list(tensor.dims) for tensor in proto.graph.initializer if tensor.name == site.weight)
    ones = onnx.numpy_helper.from_array(np.ones(shape, np.float32), site.weight)
    x = onnx.helper.make_tensor_value_info(site.input, onnx.TensorProto.FLOAT, site.shape)
    y = onnx.helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, None)
    single = onnx.helper.make_model(
        onnx.helper.make_graph([node], "one", [x], [y], [ones]), opset_imports=proto.opset_import, ir_version=10
    )
    return int(evaluate(single, {site.input: mask.astype(np.float32)})[node.output[0]].sum())


def cells(x: NDArray[np.float32], exponent: int) -> NDArray[np.float64]:
    return np.floor(np.ldexp(x.astype(np.float64), -exponent) + origin(exponent))


@pytest.mark.parametrize("exponent", [-6, -1, 0, 1])
def test_reuse_is_exact_at_borders_and_for_two_readers_of_one_tensor(
    load: Load, evaluate: Evaluate, exponent: int
) -> None:
    model = load(TWO_READERS, WEIGHTS_OF_TWO)
    frames = walk(5, 1, 2, 7, 6)
    seen = profile(model, stream_of(frames, model), threads=1)
    for site in find_sites(model):
        before, done = np.zeros(site.shape, np.float32), 0
        for frame in frames:
            done += macs_of(site, cells(frame["x"], exponent) != cells(before, exponent), model, evaluate)
            before = frame["x"]
        total = macs_of(site, np.ones(site.shape, np.bool_), model, evaluate)
        reading = seen.reuse(site.node, 2.0**exponent)
        assert reading.value == pytest.approx(1 - done / (total * len(frames)))
        assert seen.site(site.node).macs == total
    assert list(seen.tensors) == ["x"]
    assert seen.macs == sum(site.macs for site in find_sites(model))


def test_a_tensor_inside_the_model_is_what_the_nodes_before_it_make(load: Load, evaluate: Evaluate) -> None:
    model = load(CHAIN, WEIGHTS_OF_CHAIN)
    frames = walk(6, 1, 6)
    seen = profile(model, stream_of(frames, model), threads=1)
    proto = model.proto()
    proto.graph.output.append(onnx.helper.make_tensor_value_info("h", onnx.TensorProto.FLOAT, None))
    values = np.concatenate([evaluate(proto, frame)["h"] for frame in frames])
    before = np.concatenate([np.zeros((1, 4), np.float32), values[:-1]])
    hidden = seen.tensor_of("last")
    assert (hidden.minimum, hidden.maximum) == pytest.approx((values.min(), values.max()))
    assert hidden.zeros == (values == 0).sum() > 0
    moved = (cells(values, -2) != cells(before, -2)).sum()
    assert seen.similarity("last", 0.25).value == pytest.approx(1 - moved / values.size)
    assert [site.node for site in seen.sites] == [site.node for site in find_sites(model)]


def test_a_sequence_starts_at_zero(load: Load) -> None:
    model = load(CHAIN, WEIGHTS_OF_CHAIN)
    frame = {"x": np.ones((1, 6), np.float32)}
    begin = {**frame, "__start__": True}
    one = profile(model, open_stream([frame] * 4, model.inputs), threads=1)
    two = profile(model, open_stream([frame, frame, begin, frame], model.inputs), threads=1)
    assert one.similarity(one.sites[0].node, 0.25).value == pytest.approx(3 / 4)
    assert two.similarity(two.sites[0].node, 0.25).value == pytest.approx(2 / 4)
    assert (one.stream.sequences, two.stream.sequences) == (1, 2)
    assert (one.stream.frames, two.stream.frames) == (4, 4)


def test_merged_profiles_are_the_profile_of_both_sequences(load: Load) -> None:
    model = load(TWO_READERS, WEIGHTS_OF_TWO)
    first, second = walk(4, 1, 2, 7, 6), walk(3, 1, 2, 7, 6, seed=7)
    second[0]["__start__"] = True
    parts = [profile(model, stream_of(frames, model), threads=1) for frames in (first, second)]
    merged = parts[0].merge(parts[1])
    both = profile(model, stream_of(first + second, model), threads=1)
    assert {name: tensor.model_dump_json() for name, tensor in merged.tensors.items()} == {
        name: tensor.model_dump_json() for name, tensor in both.tensors.items()
    }
    assert (merged.stream.frames, merged.stream.sequences) == (both.stream.frames, both.stream.sequences) == (7, 2)


def test_state_is_fed_back_and_kept(load: Load) -> None:
    model = load(
        """agraph (float[1, 3] x, float[1, 3] s) => (float[1, 3] y, float[1, 3] t) <float[3, 3] W> {
          t = Add(x, s)
          [site] y = MatMul(t, W)
        }""",
        {"W": (3, 3)},
    )
    frames: list[Arrays] = [{"x": np.ones((1, 3), np.float32)}] * 4
    state = {"s": "t"}
    seen = profile(model, open_stream(frames, model.inputs, state=state), state=state, threads=1)
    assert seen.state == state
    assert (seen.tensors["t"].minimum, seen.tensors["t"].maximum) == (1, 4)


def test_a_stream_may_use_its_memory_again(load: Load) -> None:
    model = load(CHAIN, WEIGHTS_OF_CHAIN)

    def frames() -> Iterator[Arrays]:
        x = np.zeros((1, 6), np.float32)
        for _ in range(4):
            x += 1
            yield {"x": x}

    seen = profile(model, open_stream(frames, model.inputs), threads=1)
    assert seen.similarity(seen.sites[0].node, 0.25).value == 0


def test_progress_counts_the_frames(load: Load) -> None:
    model = load(CHAIN, WEIGHTS_OF_CHAIN)
    done: list[int] = []
    profile(model, stream_of(walk(3, 1, 6), model), progress=done.append, threads=1)
    assert done == [1, 2, 3]


def test_products_of_other_nodes_count_in_the_whole(load: Load) -> None:
    model = load(
        """agraph (float[1, 3, 4] x) => (float[1, 3, 3] y) <float[4, 5] W> {
          q = MatMul(x, W)
          p = Transpose <perm=[0, 2, 1]> (q)
          y = MatMul(q, p)
        }""",
        {"W": (4, 5)},
    )
    seen = profile(model, stream_of(walk(2, 1, 3, 4), model), threads=1)
    assert [site.macs for site in seen.sites] == [3 * 4 * 5]
    assert seen.macs == 3 * 4 * 5 + 3 * 3 * 5


def test_a_model_without_sites_has_an_empty_profile(load: Load) -> None:
    model = load("agraph (float[1, 3] x) => (float[1, 3] y) { y = Relu(x) }", {})
    seen = profile(model, stream_of(walk(2, 1, 3), model), threads=1)
    assert (seen.sites, seen.tensors, seen.macs, seen.stream.frames) == ([], {}, 0, 2)


def test_a_value_that_is_not_finite_is_named(load: Load) -> None:
    model = load(
        """agraph (float[1, 3] x) => (float[1, 2] y) <float[3, 2] W> {
          h = Log(x)
          [site] y = MatMul(h, W)
        }""",
        {"W": (3, 2)},
    )
    frames = [{"x": np.ones((1, 3), np.float32)}, {"x": np.zeros((1, 3), np.float32)}]
    with pytest.raises(StreamError, match=r"frame 1: h, the input of site, has values from -inf to -inf"):
        profile(model, stream_of(frames, model), threads=1)


def test_what_onnxruntime_refuses_while_running_is_one_line(load: Load) -> None:
    model = load(
        """agraph (float[1, 3] x, int64[1] i) => (float[1, 2] y) <float[3, 2] W> {
          h = Gather <axis=1> (x, i)
          j = Expand(h, e)
          [site] y = MatMul(j, W)
        }""".replace("<float[3, 2] W>", "<float[3, 2] W, int64[2] e = {1, 3}>"),
        {"W": (3, 2)},
    )
    frames: list[Arrays] = [{"x": np.ones((1, 3), np.float32), "i": np.array([9], np.int64)}]
    with pytest.raises(ModelError, match="frame 0: onnxruntime failed") as caught:
        profile(model, stream_of(frames, model), threads=1)
    assert "\n" not in str(caught.value)


def test_steps_that_run_backwards_have_a_profile_of_their_own(load: Load) -> None:
    """A constant input changes once in a sequence where steps run forwards, and at every frame's start where they do not."""
    model = load(
        """agraph (float[4, 1, 3] x) => (float[4, 2, 1, 2] y)
        <float[2, 8, 3] W, float[2, 8, 2] R> {
          [both] y = LSTM <hidden_size=2, direction="bidirectional"> (x, W, R)
        }""",
        {"W": (2, 8, 3), "R": (2, 8, 2)},
    )
    seen = profile(model, stream_of([{"x": np.ones((4, 1, 3), np.float32)}] * 5, model))
    assert seen.similarity("both.forward.x", 0.5).value == 1 - 1 / 20
    assert seen.similarity("both.reverse.x", 0.5).value == 1 - 1 / 4
