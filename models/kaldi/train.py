"""Trains Kaldi on rendered speech and writes ``kaldi.onnx``.

    pip install 'reuse-compiler[train,speech]'
    python -m reuse_compiler.models.kaldi.train [--utterances N] [--epochs N] [--seed N] [--output FILE]

Batches are frames of all utterances, shuffled. Behind every p-norm stands a normalisation to mean 0 and deviation 1 during
training; it is linear once trained, and the file has it inside the weights of the FC layer that follows. Matrix products are
in bfloat16, everything else and the weights in float32. One core does all the work.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import nn

from reuse_compiler.files import replacing
from reuse_compiler.models.kaldi.network import FC_LAYERS, GROUP, build
from reuse_compiler.models.kaldi.recording import AROUND, CALIBRATION_SEED, EVALUATION_SEED, TRAINING_SEEDS, labelled
from reuse_compiler.models.kaldi.tying import states
from reuse_compiler.models.speech import FILTERS, log_mel, utterance

__all__ = ["accuracy", "corpus", "main", "network", "train", "weights"]

BATCH = 512
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 0.01
FLOOR = 1e-6  # under the root of a p-norm, so that its slope is finite at 0

Frames = NDArray[np.float16]
Labels = NDArray[np.int64]


class PNorm(nn.Module):  # type: ignore[misc]
    """The Euclidean norm of each group of `GROUP` values."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        groups = x.float().view(len(x), -1, GROUP)
        return (groups.square().sum(2) + FLOOR).sqrt()


def corpus(first: int, count: int) -> tuple[Frames, Labels, Labels]:
    """Training utterances of seeds `first` .. `first + count - 1`, one after the other.

    Returns
    -------
    float16 array [rows, 40]
        Log-mel frames, the first and the last of an utterance repeated `AROUND` times before and behind it.
    int64 array [frames]
        The row of every frame that is not a repetition.
    int64 array [frames]
        Its state.
    """
    features: list[Frames] = []
    rows: list[Labels] = []
    labels: list[Labels] = []
    start = 0
    for seed in range(first, first + count):
        spoken = utterance(seed)
        mel = log_mel(spoken.samples)
        features.append(np.pad(mel, ((AROUND, AROUND), (0, 0)), mode="edge").astype(np.float16))
        rows.append(start + AROUND + np.arange(len(mel)))
        labels.append(states(spoken, len(mel)))
        start += len(features[-1])
    return np.concatenate(features), np.concatenate(rows), np.concatenate(labels)


def network() -> nn.Sequential:
    """The layers of `reuse_compiler.models.kaldi.network`, normalised behind p-norms, from torch's present random state."""
    layers: list[nn.Module] = []
    for fc in FC_LAYERS:
        linear = nn.Linear(fc.in_features, fc.out_features)
        nn.init.normal_(linear.weight, std=fc.in_features**-0.5)
        nn.init.zeros_(linear.bias)
        layers.append(linear)
        if fc.norm:
            layers += [PNorm(), nn.BatchNorm1d(fc.out_features // GROUP, affine=False)]
    return nn.Sequential(*layers)


def train(net: nn.Sequential, features: Frames, rows: Labels, labels: Labels, epochs: int, seed: int) -> None:
    """Minimise the cross-entropy of the states with AdamW and a one-cycle learning rate; the last part of a batch is left out."""
    frames, places, targets = torch.from_numpy(features), torch.from_numpy(rows), torch.from_numpy(labels)
    window = torch.arange(-AROUND, AROUND + 1)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(net.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True)
    steps = len(labels) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps * epochs, pct_start=0.15)
    net.train()
    started, total = time.perf_counter(), 0.0
    for epoch in range(epochs):
        order = torch.randperm(len(labels), generator=generator)
        for step in range(steps):
            batch = order[step * BATCH : (step + 1) * BATCH]
            x = frames[places[batch][:, None] + window].view(BATCH, len(window) * FILTERS).float()
            with torch.autocast("cpu", torch.bfloat16):
                scores = net(x)
            loss = nn.functional.cross_entropy(scores.float(), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
            if (step + 1) % 500 == 0:
                elapsed = time.perf_counter() - started
                print(f"epoch {epoch + 1} step {step + 1}/{steps}: loss {total / 500:.4f}, {elapsed:.0f} s", flush=True)
                total = 0.0
    net.eval()


def weights(net: nn.Sequential) -> dict[str, NDArray[np.float32]]:
    """The trained tensors as `network.build` takes them, each normalisation within the FC layer behind it."""
    tensors: dict[str, NDArray[np.float32]] = {}
    names = iter(fc.name for fc in FC_LAYERS)
    mean, scale = np.float64(0), np.float64(1)
    for layer in net:
        if isinstance(layer, nn.BatchNorm1d):
            mean = layer.running_mean.double().numpy()
            scale = 1 / np.sqrt(layer.running_var.double().numpy() + layer.eps)
        if isinstance(layer, nn.Linear):
            name = next(names)
            weight = layer.weight.detach().double().numpy() * scale
            bias = layer.bias.detach().double().numpy() - weight @ np.broadcast_to(mean, weight.shape[1])
            tensors[f"{name}.weight"] = np.ascontiguousarray(weight.T, np.float32)
            tensors[f"{name}.bias"] = bias.astype(np.float32)
            mean, scale = np.float64(0), np.float64(1)
    return tensors


def accuracy(path: Path, first: int, count: int, held_out: bool) -> tuple[float, float]:
    """Share of frames whose state the file finds, of `count` utterances: of all frames, and of those that are not silence."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    right: list[NDArray[np.bool_]] = []
    spoken: list[NDArray[np.bool_]] = []
    for seed in range(first, first + count):
        features, labels = labelled(utterance(seed, held_out))
        found = [session.run(None, {"features": frame[None]})[0].argmax() for frame in features]
        right.append(np.array(found) == labels)
        spoken.append(labels != 0)
    hits, speech = np.concatenate(right), np.concatenate(spoken)
    return float(hits.mean()), float(hits[speech].mean())


def main() -> None:
    """Render, train, write the ONNX file, measure it on unseen utterances."""
    parser = argparse.ArgumentParser(description="Train Kaldi on rendered speech.")
    parser.add_argument("--utterances", type=int, default=12_000, help="training utterances (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=2, help="passes over them (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and order (default: %(default)s)")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).with_name("kaldi.onnx"),
        help="file to write (default: %(default)s)",
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    torch.use_deterministic_algorithms(True)
    started = time.perf_counter()
    features, rows, labels = corpus(TRAINING_SEEDS.start, options.utterances)
    print(f"{len(labels)} frames rendered in {time.perf_counter() - started:.0f} s", flush=True)
    net = network()
    train(net, features, rows, labels, options.epochs, options.seed)
    with replacing(options.output) as temporary:
        ir.save(build(weights(net)), temporary)
    for name, first, held_out in (("held-out", EVALUATION_SEED, True), ("training", CALIBRATION_SEED, False)):
        every, speech = accuracy(options.output, first, 100, held_out)
        print(f"{name} voices: {every:.4f} of frames, {speech:.4f} without silence", flush=True)
    print(f"{time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
