"""The models of the real pairs: they load, with these sites, and compute what they did."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from reuse_compiler.check import check
from reuse_compiler.frontend import load
from reuse_compiler.sites import find_sites

Arrays = dict[str, NDArray[Any]]

# sites of CONV, sites of FC, multiply-accumulates of all sites in a frame (those in the padding left out); a recurrent
# layer has two of its own
SITES = {
    "kws_dnn_m.onnx": (0, 4, 198_144),
    "pilotnet_lavadl_netx.onnx": (5, 4, 14_144_550),
    "silero_vad_static.onnx": (6, 0, 617_856),
    "ultraface_version-RFB-320_simplified.onnx": (52, 0, 98_500_976),
}


@pytest.mark.parametrize("name", SITES)
def test_the_sites_are_found_and_the_values_stay(
    name: str,
    real: ModuleType,
    evaluate: Callable[[onnx.ModelProto, Arrays], Arrays],
    random_feeds: Callable[[onnx.ModelProto, int], Arrays],
) -> None:
    path = Path(str(real.__file__)).parent / "models" / name
    proto, model = onnx.load(path), load(path)
    sites = find_sites(model)
    kinds = [site.kind for site in sites]
    assert (kinds.count("conv"), kinds.count("fc"), sum(site.macs for site in sites)) == SITES[name]
    assert sum(int(np.broadcast_to(site.fan_out(), site.shape).sum()) for site in sites) == SITES[name][2]
    assert {verdict.node for verdict in check(model) if verdict.verdict == "reuse"} >= {site.of for site in sites}
    for seed in range(3):
        feeds = random_feeds(proto, seed)
        before, after = evaluate(proto, feeds), evaluate(model.proto(), feeds)
        assert list(before) == list(after)
        for output, value in before.items():
            np.testing.assert_allclose(after[output], value, rtol=1e-5, atol=1e-5)
