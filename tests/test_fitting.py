"""Fitting: linear centroids over the range that was seen, 0.0 among them, one quantizer a tensor, a reason a site."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from reuse_compiler import frontend
from reuse_compiler.errors import PlanError
from reuse_compiler.expected_step import expected_step
from reuse_compiler.fitting import Centroids, Clip, fit, least_error_range
from reuse_compiler.frontend import Model
from reuse_compiler.model_profile import Profile
from reuse_compiler.plan import Plan, QuantizerSpec
from reuse_compiler.profiling import profile
from reuse_compiler.quantizers import LinearQuantizer, TableQuantizer
from reuse_compiler.streams import open_stream
from reuse_compiler.tensor_fold import Scratch, TensorFold

Make = Callable[..., tuple[Model, Profile]]

FORK = """agraph (float[1, 40] x) => (float[1, 3] a, float[1, 2] b, float[1, 2] c)
<float[40, 3] Wa, float[40, 2] Wb, float[3, 2] Wc> {
  [left] a = MatMul(x, Wa)
  [right] b = MatMul(x, Wb)
  h = Relu(a)
  [next] c = MatMul(h, Wc)
}"""


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A model in which left and right read x and next reads a rectified h; and its profile on a stream of x."""

    def build(
        values: NDArray[Any] | None = None, *, name: str = "model.onnx", text: str = FORK
    ) -> tuple[Model, Profile]:
        proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]> {text}')
        generator = np.random.default_rng(1)
        for weight, shape in (("Wa", (40, 3)), ("Wb", (40, 2)), ("Wc", (3, 2))):
            array = generator.standard_normal(shape).astype(np.float32)
            proto.graph.initializer.append(onnx.numpy_helper.from_array(array, weight))
        path = tmp_path / name
        onnx.save(proto, path)
        model = frontend.load(path)
        frames = walk() if values is None else values
        stream = open_stream([{"x": frame} for frame in frames], model.inputs)
        return model, profile(model, stream, threads=1)

    return build


def walk(frames: int = 30) -> NDArray[np.float32]:
    """Values that wander slowly about 0."""
    generator = np.random.default_rng(0)
    values = generator.standard_normal((frames, 1, 40)).astype(np.float32)
    for before, now in pairwise(values):
        now[:] = 0.97 * before + 0.25 * now
    return values


@pytest.mark.parametrize("clip", ["minmax", "mse"])
@pytest.mark.parametrize("clusters", [2, 3, 16, 256, 257, 65_535])
def test_centroids_span_the_range_with_zero_among_them(make: Make, clusters: int, clip: Clip) -> None:
    model, seen = make()
    for site in fit(model, seen, clusters=clusters, clip=clip).sites:
        assert site.quantizer is not None
        quantizer = site.quantizer.build()
        assert isinstance(quantizer, LinearQuantizer)
        low, high = seen.tensor_of(site.node).value_range
        centroids = quantizer.dequantize(np.arange(clusters, dtype=quantizer.index_dtype))
        assert 0.0 in centroids
        assert centroids[0] >= low - quantizer.step
        assert centroids[-1] <= high + quantizer.step
        if clip == "minmax":
            assert quantizer.step == pytest.approx((high - low) / (clusters - 1), rel=1e-6)
            assert abs(centroids[0] - low) <= 0.501 * quantizer.step
            assert abs(centroids[-1] - high) <= 0.501 * quantizer.step


def test_kmeans_gives_a_table_to_every_tensor(make: Make) -> None:
    model, seen = make()
    plan = fit(model, seen, clusters=16, centroids="kmeans", deadband=0.75)
    built = plan.quantizers()
    for node, quantizer in built.items():
        assert isinstance(quantizer, TableQuantizer)
        assert quantizer.clusters == 16
        assert quantizer.deadband == pytest.approx(0.75 * expected_step(quantizer, seen.tensor_of(node)))
    assert built["left"] == built["right"] != built["next"]
    assert "16 k-means centroids" in plan.sites[0].reason and "estimated similarity" in plan.sites[0].reason
    assert Plan.model_validate_json(plan.model_dump_json()) == plan
    assert fit(model, seen, clusters=16, centroids="kmeans", deadband=0.75) == plan


def test_a_table_has_no_more_than_256_centroids(make: Make) -> None:
    model, seen = make()
    with pytest.raises(PlanError, match=r"site left: clusters is 257: a table has 2 to 256"):
        fit(model, seen, clusters=257, centroids="kmeans")
    with pytest.raises(PlanError, match="centroids are round: give one of linear, kmeans"):
        fit(model, seen, centroids="round")  # type: ignore[arg-type]


def test_a_range_of_one_sign_reaches_to_zero(make: Make) -> None:
    model, seen = make(np.linspace(3, 5, 30, dtype=np.float32).reshape(30, 1, 1).repeat(40, axis=2))
    quantizer = fit(model, seen, clusters=16).quantizers()["left"]
    assert isinstance(quantizer, LinearQuantizer)
    assert (quantizer.zero, quantizer.step) == (0, float(np.float32(5 / 15)))


@given(
    st.lists(st.floats(-1, 1).map(lambda x: x**5), min_size=200, max_size=300),
    st.integers(2, 64),
    st.floats(-1, 1),
)
def test_the_clipped_range_has_no_more_error_than_the_whole(values: list[float], clusters: int, peak: float) -> None:
    frame = np.array([*values, peak, 0.5], np.float32)
    fold = TensorFold(frame.shape, None, Scratch())
    fold.add(frame, start=True)
    tensor = fold.profile()
    low, high = tensor.value_range
    clipped = least_error_range(tensor, clusters)
    assert low <= clipped[0] <= 0 <= clipped[1] <= high
    tolerance = 2 * frame.size * tensor.histogram.width * tensor.step(clusters)
    assert squared_error(frame, *clipped, clusters) <= squared_error(frame, low, high, clusters) + tolerance


def squared_error(values: NDArray[np.float32], low: float, high: float, clusters: int) -> float:
    step = (high - low) / (clusters - 1)
    zero = int(np.rint(-low / step))
    index = np.clip(np.rint(values / step) + zero, 0, clusters - 1)
    return float(np.sum((values - (index - zero) * step) ** 2))


def test_a_long_tail_is_clipped_and_the_reason_says_so(make: Make) -> None:
    values = np.random.default_rng(2).standard_normal((30, 1, 40)).astype(np.float32)
    values[3, 0, 0] = 40
    model, seen = make(values)
    whole = fit(model, seen, clusters=16, clip="minmax")
    clipped = fit(model, seen, clusters=16, clip="mse")
    steps = [expected_step(plan.quantizers()["left"], seen.tensor_of("left")) for plan in (clipped, whole)]
    assert steps[0] < steps[1]
    assert "all that was seen" in whole.sites[0].reason
    assert "least squared error within" in clipped.sites[0].reason


def test_the_reason_gives_what_the_profile_reads(make: Make) -> None:
    model, seen = make()
    for site in fit(model, seen, clusters=16).sites:
        assert isinstance(site.quantizer, QuantizerSpec)
        similarity = seen.similarity(site.node, site.quantizer.step)
        assert f"similarity {similarity.value:.1%}" in site.reason
        assert f"reuse {seen.reuse(site.node, site.quantizer.step).value:.1%}" in site.reason
        assert ("interpolated" in site.reason) == similarity.interpolated


@pytest.mark.parametrize(("centroids", "clip"), [("linear", "minmax"), ("linear", "mse"), ("kmeans", "minmax")])
@pytest.mark.parametrize("clusters", [8, 32, 256])
def test_the_estimated_similarity_is_near_the_one_of_the_quantizer(
    make: Make, clusters: int, centroids: Centroids, clip: Clip
) -> None:
    frames = walk(400)
    model, seen = make(frames)
    quantizer = fit(model, seen, clusters=clusters, clip=clip, centroids=centroids).quantizers()["left"]
    past = np.full(frames.shape[1:], quantizer.zero, quantizer.index_dtype)
    same = 0
    for frame in frames:
        index = quantizer.quantize(frame, past)
        same += int((index == past).sum())
        past = index
    step = expected_step(quantizer, seen.tensor_of("left"))
    assert seen.similarity("left", step).value == pytest.approx(same / frames.size, abs=0.03)


def test_sites_that_read_one_tensor_get_one_quantizer(make: Make) -> None:
    model, seen = make()
    quantizers = fit(model, seen, clusters=16, overrides={"right": 64}).quantizers()
    assert quantizers["left"] == quantizers["right"]
    assert (quantizers["left"].clusters, quantizers["next"].clusters) == (64, 16)
    assert (
        fit(model, seen, overrides={"left": 64, "right": 64}).quantizers()
        == fit(model, seen, overrides={"left": 64}).quantizers()
    )


def test_overrides_that_differ_on_one_tensor_are_refused(make: Make) -> None:
    model, seen = make()
    with pytest.raises(PlanError, match="left and right read the same tensor x"):
        fit(model, seen, overrides={"left": 16, "right": 64})


def test_an_excluded_site_stays_dense(make: Make) -> None:
    model, seen = make()
    plan = fit(model, seen, exclude=["right"])
    modes = {site.node: (site.mode, site.quantizer is not None, site.reason) for site in plan.sites}
    assert modes["right"] == ("dense", False, "excluded")
    assert modes["left"][:2] == modes["next"][:2] == ("reuse", True)
    assert set(plan.quantizers()) == {"left", "next"}


def test_a_deadband_is_a_share_of_the_step(make: Make) -> None:
    model, seen = make()
    plan = fit(model, seen, clusters=64, deadband=2.0)
    for node, quantizer in plan.quantizers().items():
        assert isinstance(quantizer, LinearQuantizer)
        assert quantizer.deadband == pytest.approx(2 * quantizer.step)
        reason = next(site.reason for site in plan.sites if site.node == node)
        assert "estimated" in reason
        assert f"{seen.similarity(node, quantizer.step, 2 * quantizer.step).value:.1%}" in reason
    assert all(quantizer.deadband == 0 for quantizer in fit(model, seen).quantizers().values())


def test_the_plan_names_model_and_state_and_survives_its_file(make: Make, tmp_path: Path) -> None:
    model, seen = make()
    plan = fit(model, seen)
    assert (plan.model.sha256, plan.state) == (model.sha256, {})
    plan.save(tmp_path / "plan.json")
    assert Plan.load(tmp_path / "plan.json") == plan


def test_a_constant_input_is_named_with_what_to_do(make: Make) -> None:
    model, seen = make(-np.ones((5, 1, 40), np.float32))
    with pytest.raises(PlanError, match=r"left: its input x is -1 throughout the 5 frames.*exclude.*longer") as caught:
        fit(model, seen)
    assert "\n" not in str(caught.value)


def test_a_constant_site_can_be_excluded(make: Make) -> None:
    silent = FORK.replace("h = Relu(a)", "n = Neg(a)\n  p = Abs(n)\n  m = Neg(p)\n  h = Relu(m)")
    model, seen = make(text=silent)
    with pytest.raises(PlanError, match="site next: its input h is 0 throughout"):
        fit(model, seen)
    assert set(fit(model, seen, exclude={"next"}).quantizers()) == {"left", "right"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clusters": 1}, "clusters is 1: give 2 to 65,535"),
        ({"clusters": 65_536}, "clusters is 65536: give 2 to 65,535"),
        ({"overrides": {"left": 1}}, "override left: clusters is 1"),
        ({"overrides": {"nobody": 16}}, "override nobody: the model has no such site"),
        ({"exclude": ["nobody"]}, "exclude nobody: the model has no such site"),
        ({"exclude": ["left"], "overrides": {"left": 16}}, "left is excluded and has an override"),
        ({"deadband": -1.0}, "deadband is -1"),
        ({"deadband": float("nan")}, "deadband is nan"),
        ({"state": {"x": "a"}}, "state"),
    ],
)
def test_values_out_of_range_are_refused(make: Make, options: dict[str, Any], message: str) -> None:
    model, seen = make()
    with pytest.raises(PlanError, match=message):
        fit(model, seen, **options)


def test_a_profile_of_another_model_names_both_hashes(make: Make) -> None:
    _, seen = make()
    other, _ = make(name="other.onnx", text=FORK.replace("Relu", "Abs"))
    with pytest.raises(PlanError) as caught:
        fit(other, seen)
    assert seen.model.sha256 in str(caught.value)
    assert other.sha256 in str(caught.value)


def test_a_profile_with_other_sites_is_refused(make: Make) -> None:
    model, seen = make()
    with pytest.raises(PlanError, match="next: the profile has other sites"):
        fit(model, seen.model_copy(update={"sites": [site for site in seen.sites if site.node != "next"]}))
