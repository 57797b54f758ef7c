"""Profiles of trained models on recordings: what is read from them is what quantizers then do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from numpy.typing import NDArray

from reuse_compiler import frontend
from reuse_compiler.expected_step import expected_step
from reuse_compiler.feedback import Feedback
from reuse_compiler.fitting import fit
from reuse_compiler.frontend import Model
from reuse_compiler.model_profile import Profile
from reuse_compiler.onnx_session import open_session
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.passes.show_steps import ShowSteps
from reuse_compiler.plan import Plan
from reuse_compiler.profiling import profile
from reuse_compiler.quantizers import Quantizer
from reuse_compiler.session import Session
from reuse_compiler.sites import find_sites
from reuse_compiler.streams import Stream, open_stream

FRAMES = {"pilotnet@highway": 30, "ultraface@asl_bird": 5, "kws@speech_40ms": 200, "silero_vad@speech": 200}


@dataclass(frozen=True)
class Recording:
    """A model, its stream and its profile, and what each tensor that a site reads was, frame after frame."""

    model: Model
    stream: Stream
    state: dict[str, str]
    profile: Profile
    tensors: dict[str, NDArray[np.float32]]


@pytest.fixture(scope="module", params=FRAMES)
def recording(real: ModuleType, request: pytest.FixtureRequest) -> Recording:
    pair = real.PAIRS[request.param]
    model = frontend.load(pair.model)
    state = dict(pair.state)
    stream = open_stream(list(islice(pair.feeds(), FRAMES[request.param])), model.inputs, state=state)
    frames = list(tapped(model, stream, state))
    tensors = {name: np.stack([frame[name] for frame in frames]) for name in frames[0]}
    return Recording(model, stream, state, profile(model, stream, state=state, threads=2), tensors)


def tapped(model: Model, stream: Stream, state: dict[str, str]) -> Iterator[dict[str, NDArray[Any]]]:
    """The tensors that sites read, in each frame; of a recurrent layer, time first."""
    sites = find_sites(model)
    names = list(dict.fromkeys(site.input for site in sites))
    network = model.ir.clone()
    ShowSteps(tuple(sites))(network)
    proto = ir.to_proto(network)
    shown = {spec.name for spec in (*model.inputs, *model.outputs)}
    proto.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names if name not in shown
    )
    session = open_session(proto.SerializeToString(), 2, "tapped")
    outputs = [output.name for output in session.get_outputs()]
    feedback = Feedback(state, model.inputs)
    for frame in stream:
        arrays = feedback.feed(frame)
        arrays |= dict(zip(outputs, session.run(outputs, arrays), strict=True))
        feedback.take(arrays)
        yield {name: arrays[name] for name in names}


def changes(quantizer: Quantizer, frames: NDArray[np.float32]) -> NDArray[np.int64]:
    """How often each element's index changes."""
    past = np.full(frames.shape[1:], quantizer.zero, quantizer.index_dtype)
    changed = np.zeros(frames.shape[1:], np.int64)
    for frame in frames:
        index = quantizer.quantize(frame, past)
        changed += index != past
        past = index
    return changed


def expected(recording: Recording, plan: Plan) -> dict[str, float]:
    """The step of each site."""
    return {node: expected_step(q, recording.profile.tensor_of(node)) for node, q in plan.quantizers().items()}


def true_reuse(recording: Recording, plan: Plan) -> tuple[dict[str, float], float]:
    """Similarity of each site, and reuse of the model, of the plan's quantizers on the tensors of the fp32 model."""
    quantizers = plan.quantizers()
    similarity, done = {}, 0
    for site in find_sites(recording.model):
        frames = recording.tensors[site.input].reshape(-1, *site.frame_shape)  # steps are frames of their own
        changed = changes(quantizers[site.node], frames)
        similarity[site.node] = 1 - float(changed.sum()) / frames.size
        done += int((changed * site.fan_out()).sum())
    return similarity, 1 - done / (recording.profile.macs * recording.profile.stream.frames)


@pytest.mark.parametrize("clusters", [16, 32, 256])
def test_similarity_and_reuse_are_read_within_a_few_percent(recording: Recording, clusters: int) -> None:
    plan = fit(recording.model, recording.profile, clusters=clusters)
    steps = expected(recording, plan)
    similarity, reuse = true_reuse(recording, plan)
    distances = [abs(recording.profile.similarity(node, steps[node]).value - true) for node, true in similarity.items()]
    assert max(distances) < 0.06
    assert np.mean(distances) < 0.025
    assert recording.profile.totals(steps).reuse.value == pytest.approx(reuse, abs=0.02)


def test_a_deadband_is_estimated_on_the_low_side(recording: Recording) -> None:
    plan = fit(recording.model, recording.profile, clusters=1024, deadband=16)
    quantizers = plan.quantizers()
    totals = recording.profile.totals(
        expected(recording, plan),
        {node: float(np.max(quantizer.deadband)) for node, quantizer in quantizers.items()},
    )
    _, reuse = true_reuse(recording, plan)
    assert reuse - 0.08 < totals.reuse.value < reuse + 0.01
    assert totals.reuse.estimated


def test_the_profile_holds_range_and_zeros(recording: Recording) -> None:
    for name, frames in recording.tensors.items():
        seen = recording.profile.tensors[name]
        assert (seen.minimum, seen.maximum) == (frames.min(), frames.max())
        assert seen.zeros == (frames == 0).sum()
        assert seen.histogram.total == pytest.approx(frames.size / (5 if seen.elements >= 1 << 14 else 1), rel=0.01)


def test_profiles_of_two_parts_merge_to_that_of_both_sequences(recording: Recording) -> None:
    frames: list[dict[str, Any]] = [frame.inputs for frame in islice(recording.stream, 8)]
    half = len(frames) // 2
    second = [{**frames[half], "__start__": True}, *frames[half + 1 :]]

    def of(part: list[dict[str, Any]]) -> Profile:
        stream = open_stream(part, recording.model.inputs, state=recording.state)
        return profile(recording.model, stream, state=recording.state, threads=1)

    merged, both = of(frames[:half]).merge(of(second)), of([*frames[:half], *second])
    assert {name: tensor.model_dump_json() for name, tensor in merged.tensors.items()} == {
        name: tensor.model_dump_json() for name, tensor in both.tensors.items()
    }


def test_more_clusters_bring_the_outputs_nearer(recording: Recording) -> None:
    exact = outputs(recording, Session(recording.model.ir, threads=2, state=recording.state))
    distances = []
    for clusters in (16, 256):
        plan = fit(recording.model, recording.profile, clusters=clusters)
        near = outputs(recording, Session(rewrite(recording.model, plan), threads=2, state=recording.state))
        distances.append(float(np.sqrt(np.mean((near - exact) ** 2) / exact.var())))
    assert distances[1] < distances[0] / 2
    assert distances[1] < 0.2


def outputs(recording: Recording, session: Session) -> NDArray[np.float64]:
    """The first output of each frame, flattened."""
    name = recording.model.outputs[0].name
    return np.concatenate([session.run(frame.inputs)[name].ravel() for frame in recording.stream]).astype(np.float64)
