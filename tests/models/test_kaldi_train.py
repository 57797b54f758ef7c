"""The training script: what it trains is what the ONNX file computes. Needs torch, which the tests do not install."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from reuse_compiler.models.kaldi.network import build, weight_shapes
from reuse_compiler.models.kaldi.recording import labelled
from reuse_compiler.models.speech import utterance

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'reuse-compiler[train]'")

from reuse_compiler.models.kaldi import train


def test_the_file_computes_what_was_trained_normalisation_included() -> None:
    torch.manual_seed(3)
    net = train.network()
    with torch.no_grad():
        net(2 * torch.randn(512, 360) + 0.5)
        expected = net.eval()(torch.ones(1, 360)).numpy()
    tensors = train.weights(net)
    assert {name: tensor.shape for name, tensor in tensors.items()} == weight_shapes()
    session = ort.InferenceSession(ir.to_proto(build(tensors)).SerializeToString())
    (scores,) = session.run(None, {"features": np.ones((1, 360), np.float32)})
    assert np.abs(scores - expected).max() < 0.01 * np.abs(expected).max()


def test_a_corpus_is_the_utterances_frames_in_order() -> None:
    features, rows, labels = train.corpus(5, 2)
    assert features.dtype == np.float16 and features.shape == (len(rows) + 16, 40)
    pairs = [labelled(utterance(seed)) for seed in (5, 6)]
    assert np.array_equal(labels, np.concatenate([states for _, states in pairs]))
    spliced = features[rows[:, None] + np.arange(-4, 5)].reshape(-1, 360)
    assert np.allclose(spliced, np.concatenate([inputs for inputs, _ in pairs]), atol=5e-3)


def test_a_little_training_lowers_the_loss() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    features, rows, labels = train.corpus(0, 12)
    net = train.network()
    inputs = torch.from_numpy(features[rows[:, None] + np.arange(-4, 5)].reshape(-1, 360)).float()

    def loss() -> float:
        with torch.no_grad():
            return float(torch.nn.functional.cross_entropy(net.eval()(inputs), torch.from_numpy(labels)))

    before = loss()
    train.train(net, features, rows, labels, epochs=4, seed=0)
    assert loss() < before - 0.5
