"""The training script: what it trains is what the ONNX file computes. Needs torch, which the tests do not install."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from reuse_compiler.models.autopilot.network import build
from reuse_compiler.models.autopilot.recording import prepare

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'reuse-compiler[train]'")

from reuse_compiler.models.autopilot import train


def test_the_trained_network_and_the_onnx_file_compute_the_same() -> None:
    torch.manual_seed(3)
    net = train.network().eval()
    image = prepare(np.random.default_rng(0).integers(0, 256, (66, 200, 3), np.uint8))
    with torch.no_grad():
        expected = 2 * float(torch.atan(net(torch.from_numpy(image)))[0, 0])
    session = ort.InferenceSession(ir.to_proto(build(train.weights(net))).SerializeToString())
    (steering,) = session.run(None, {"image": image})
    assert steering[0, 0] == pytest.approx(expected, abs=1e-5)


def test_views_are_labelled_and_follow_the_seed() -> None:
    pictures, angles = train.views(1, 6)
    again, _ = train.views(1, 6)
    other, _ = train.views(2, 6)
    assert pictures.shape == (6, 3, 66, 200) and pictures.dtype == np.uint8
    assert angles.shape == (6,) and len(np.unique(angles)) == 6 and np.abs(angles).max() < 1
    assert np.array_equal(pictures, again)
    assert not np.array_equal(pictures, other)


def test_a_little_training_lowers_the_error() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    pictures, angles = train.views(0, 256)
    net = train.network()

    def loss() -> float:
        with torch.no_grad():
            steering = 2 * torch.atan(net(torch.from_numpy(pictures).float() / 127.5 - 1))[:, 0].numpy()
        return float(np.square(steering - angles).mean())

    before = loss()
    train.train(net, pictures, angles, epochs=3, seed=0)
    assert loss() < before
