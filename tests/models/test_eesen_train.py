"""EESEN's training script: what it trains is what the ONNX file computes. Needs torch, which the tests do not install."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from reuse_compiler.models.eesen.network import build

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'reuse-compiler[train]'")
pytest.importorskip("espeakng_loader", reason="espeak-ng is not installed: pip install 'reuse-compiler[speech]'")

from reuse_compiler.models.eesen import train


def test_the_trained_network_and_the_onnx_file_compute_the_same() -> None:
    torch.manual_seed(3)
    net = train.network()
    features = np.random.default_rng(0).standard_normal((12, 1, 120)).astype(np.float32)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(parameter.half().float())
        expected = train.scored(net, torch.from_numpy(features))[:, 0].numpy()
    session = ort.InferenceSession(ir.to_proto(build(train.weights(net), steps=12)).SerializeToString())
    (scores,) = session.run(None, {"features": features})
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_the_pace_goes_from_cross_entropy_to_ctc() -> None:
    assert train.Pace.at(0) == train.Pace(1, 1)
    assert train.Pace.at(0.375).cross_entropy == pytest.approx(0.5)
    assert train.Pace.at(0.5) == train.Pace(1, 0)
    assert train.Pace.at(1.01).rate == pytest.approx(0.01)


def test_a_little_training_can_be_resumed(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    train.render(tmp_path, 16)
    corpus = train.load_corpus(tmp_path)
    assert corpus.mels.shape == (16, 300, 40) and corpus.steps.max() < 50 and corpus.transcripts.any(axis=1).all()
    net, output = train.network(), tmp_path / "eesen.onnx"
    train.train(net, corpus, tmp_path, output, minutes=0.02, seed=0, resume=False)
    first = torch.load(tmp_path / "state.pt")
    train.train(train.network(), corpus, tmp_path, output, minutes=0.06, seed=0, resume=True)
    second = torch.load(tmp_path / "state.pt")
    assert 0 < first["number"] < second["number"] and first["seconds"] < second["seconds"]
