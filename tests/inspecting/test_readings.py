"""What a profile says at numbers of clusters, and of a plan."""

from __future__ import annotations

import numpy as np
import pytest

from reuse_compiler.fitting import fit
from reuse_compiler.frontend import Model
from reuse_compiler.inspecting import at_clusters, of_plan
from reuse_compiler.model_profile import Profile
from reuse_compiler.plan import QuantizerSpec
from reuse_compiler.profiling import profile
from reuse_compiler.streams import open_stream


def _profile(model: Model, scale: float) -> Profile:
    generator = np.random.default_rng(5)
    images = generator.uniform(-1, 1, (1, 2, 4, 4)) + np.cumsum(generator.uniform(0, 0.1, (8, 2, 4, 4)), axis=0)
    return profile(model, open_stream([{"x": (scale * image).astype(np.float32)} for image in images], model.inputs))


@pytest.fixture(scope="module")
def observed(model: Model) -> Profile:
    """A profile of a stream that changes a little."""
    return _profile(model, 1.0)


def test_sites_and_the_model_are_read_at_each_number(observed: Profile, quoted: str) -> None:
    *sites, whole = at_clusters(observed, (4, 256))
    assert [site.node for site in sites] == [quoted, "conv2", "fc"]
    step = observed.tensor_of("fc").step(256)
    assert sites[2].similarity[1] == observed.similarity("fc", step)
    assert sites[2].reuse[1] == observed.reuse("fc", step)
    assert whole.node is None and whole.macs == observed.macs
    steps = {str(site.node): observed.tensor_of(str(site.node)).step(4) for site in sites}
    assert (whole.similarity[0], whole.reuse[0]) == (
        observed.totals(steps).similarity,
        observed.totals(steps).reuse,
    )


def test_more_clusters_show_less_reuse(observed: Profile) -> None:
    for site in at_clusters(observed, (4, 16, 64, 256)):
        values = [reading.value for reading in site.reuse]
        assert values == sorted(values, reverse=True)


def test_zeros_throughout_repeat_entirely(model: Model) -> None:
    first = at_clusters(_profile(model, 0.0), (16,))[0]
    assert (first.value_range, first.zeros, first.reuse[0].value) == ((0.0, 0.0), 1.0, 1.0)


def test_a_plan_is_read_with_its_own_steps_and_deadbands(model: Model, observed: Profile) -> None:
    plan = fit(model, observed, clusters=16, deadband=2.0, exclude=["fc"])
    conv, _, fc, whole = of_plan(plan, observed)
    quantizer = plan.sites[0].quantizer
    assert isinstance(quantizer, QuantizerSpec) and isinstance(quantizer.deadband, float)
    assert conv.reuse == observed.reuse(plan.sites[0].node, quantizer.step, quantizer.deadband)
    assert (fc.similarity, fc.reuse.value) == (None, 0.0)
    assert 0 < whole.reuse.value < 1
    nothing = fit(model, observed, exclude=[site.node for site in plan.sites])
    assert (of_plan(nothing, observed)[-1].similarity, of_plan(nothing, observed)[-1].reuse.value) == (None, 0.0)
