"""The training script: what it trains is what the ONNX file computes. Needs torch, which the tests do not install."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from reuse_compiler.models.c3d.network import build
from reuse_compiler.models.c3d.recording import prepare
from reuse_compiler.models.c3d_small.network import GEOMETRY

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'reuse-compiler[train]'")

from reuse_compiler.models.c3d_small import train


def test_the_trained_network_and_the_onnx_file_compute_the_same() -> None:
    torch.manual_seed(3)
    net = train.network()
    pictures, _ = train.batch(0, 0)
    clips = torch.from_numpy(np.concatenate([prepare(clip) for clip in pictures[:4]]))
    with torch.no_grad():
        net(clips)  # moves the statistics of the batch normalizations off their first values
        expected = net.eval()(clips[:1]).numpy()
    session = ort.InferenceSession(ir.to_proto(build(GEOMETRY, train.weights(net))).SerializeToString())
    (scores,) = session.run(None, {"clip": clips[:1].numpy()})
    np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-4)


def test_a_batch_has_as_many_clips_of_each_action_and_follows_its_number() -> None:
    pictures, actions = train.batch(1, 6)
    again, _ = train.batch(1, 6)
    other, _ = train.batch(1, 7)
    assert pictures.shape == (32, 16, 112, 112, 3) and pictures.dtype == np.uint8
    assert (np.bincount(actions) == 2).all() and len(np.unique(actions)) == 16
    assert np.array_equal(pictures, again)
    assert not np.array_equal(pictures, other)
