"""Trains the small C3D on rendered clips and writes ``c3d_small.onnx``.

    pip install 'reuse-compiler[train]'
    python -m reuse_compiler.models.c3d_small.train [--steps N] [--seed N] [--output FILE]

No clip is seen twice: each is filmed when its turn comes. Batch normalization helps the training along and is folded into
the layer before it at the end, so the network in the file is the plain one. One core does all the work.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from torch import nn

from reuse_compiler.files import replacing
from reuse_compiler.models.c3d.actions import ACTIONS
from reuse_compiler.models.c3d.network import INPUT_SHAPE, POOLED
from reuse_compiler.models.c3d.recording import EVALUATION_SEED, TRAINING_SEEDS
from reuse_compiler.models.c3d.stage import FRAMES, film
from reuse_compiler.models.c3d_small import FILE
from reuse_compiler.models.c3d_small.network import GEOMETRY, build

__all__ = ["batch", "confusion", "main", "network", "train", "weights"]

BATCH = 32
LEARNING_RATE = 4e-3
WEIGHT_DECAY = 0.02
SMOOTHING = 0.05  # of the labels
LEAST_SCALE = 0.05  # of a batch normalization; positive, so that a max-pool may stand on either side of it
CHECKED = 80  # steps from one look at the validation clips to the next
CLIP = INPUT_SHAPE[2]  # frames
VALIDATION_SEEDS = range(900_000, 900_010)
HELD_OUT_SEEDS = range(EVALUATION_SEED, EVALUATION_SEED + 20)

Pictures = NDArray[np.uint8]


def batch(seed: int, number: int) -> tuple[Pictures, NDArray[np.int64]]:
    """Independent clips, as many of each action: RGB uint8 [32, 16, 112, 112, 3], and the actions [32]."""
    draw = np.random.default_rng([seed, number])
    actions = draw.permutation(np.arange(BATCH) % len(ACTIONS))
    scenes = draw.integers(TRAINING_SEEDS.start, TRAINING_SEEDS.stop, BATCH)
    starts = draw.integers(0, FRAMES - CLIP + 1, BATCH)
    clips = [
        film(int(action), int(scene), int(start), CLIP)
        for action, scene, start in zip(actions, scenes, starts, strict=True)
    ]
    return np.stack(clips), actions


def network() -> nn.Sequential:
    """The layers of `reuse_compiler.models.c3d.network` with batch normalizations, from torch's present random state."""
    layers: list[nn.Module] = []
    inputs = INPUT_SHAPE[1]
    for number, channels in enumerate(GEOMETRY.channels, 1):
        layers.append(nn.Conv3d(inputs, channels, 3, padding=1, bias=False))
        if number in POOLED:
            layers.append(nn.MaxPool3d(POOLED[number].kernel, padding=POOLED[number].pads))
        layers += [nn.BatchNorm3d(channels), nn.ReLU()]
        inputs = channels
    layers.append(nn.Flatten())
    inputs *= 4 * 4
    for outputs in (GEOMETRY.hidden, GEOMETRY.hidden):
        layers += [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU()]
        inputs = outputs
    layers.append(nn.Linear(inputs, GEOMETRY.classes))
    for layer in layers:
        if isinstance(layer, nn.Conv3d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return nn.Sequential(*layers).to(memory_format=torch.channels_last_3d)


def train(net: nn.Sequential, steps: int, seed: int) -> Iterator[tuple[int, float]]:
    """Fit `net` in place, yielding the number of every step and its loss: AdamW, a one-cycle learning rate, cross-entropy."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.2)
    criterion = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    scales = [layer.weight for layer in net if isinstance(layer, nn.BatchNorm3d | nn.BatchNorm1d)]
    for step in range(steps):
        pictures, actions = batch(seed, step)
        net.train()
        loss = criterion(net(_inputs(pictures)), torch.from_numpy(actions))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            for scale in scales:
                scale.clamp_(min=LEAST_SCALE)
        yield step, loss.item()


def confusion(net: nn.Sequential, seeds: range) -> NDArray[np.int64]:
    """Clips [actions, actions] of an action (row) that the network took for one (column): three of every recording."""
    table = np.zeros((len(ACTIONS), len(ACTIONS)), np.int64)
    net.eval()
    with torch.no_grad():
        for seed in seeds:
            for action in range(len(ACTIONS)):
                recording = film(action, seed)
                scores = net(_inputs(recording.reshape(FRAMES // CLIP, CLIP, *recording.shape[1:])))
                np.add.at(table[action], scores.argmax(dim=1).numpy(), 1)
    return table


def weights(net: nn.Sequential) -> dict[str, NDArray[np.float32]]:
    """The trained tensors with batch normalizations folded in, named and laid out as `network.build` takes them."""
    layers = [layer for layer in net if isinstance(layer, nn.Conv3d | nn.Linear)]
    scalings = [layer for layer in net if isinstance(layer, nn.BatchNorm3d | nn.BatchNorm1d)]
    names = [f"conv{number}" for number in range(1, 9)] + ["fc1", "fc2", "fc3"]
    tensors: dict[str, NDArray[np.float32]] = {}
    for name, layer, scaling in zip(names, layers, [*scalings, None], strict=True):
        weight = layer.weight.detach().numpy().astype(np.float64)
        bias = np.zeros(len(weight)) if layer.bias is None else layer.bias.detach().numpy().astype(np.float64)
        if scaling is not None:
            assert scaling.running_mean is not None
            assert scaling.running_var is not None
            gain = scaling.weight.detach().numpy() / np.sqrt(scaling.running_var.numpy() + scaling.eps)
            weight = weight * gain.reshape(-1, *[1] * (weight.ndim - 1))
            bias = scaling.bias.detach().numpy() - scaling.running_mean.numpy() * gain
        tensors[f"{name}.weight"] = np.ascontiguousarray(weight.T if weight.ndim == 2 else weight, np.float32)
        tensors[f"{name}.bias"] = bias.astype(np.float32)
    return tensors


def main() -> None:
    """Train, write the ONNX file whenever the validation clips come out better, measure on held-out recordings."""
    parser = argparse.ArgumentParser(description="Train the small C3D on rendered clips.")
    parser.add_argument("--steps", type=int, default=1300, help=f"batches of {BATCH} clips (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of clips and weights (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=FILE, help="file to write (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    net = network()
    best, kept = -1, net.state_dict()
    started = time.perf_counter()
    recent: list[float] = []
    for step, loss in train(net, options.steps, options.seed):
        recent.append(loss)
        if (step + 1) % CHECKED and step + 1 < options.steps:
            continue
        table = confusion(net, VALIDATION_SEEDS)
        right, seconds = int(np.trace(table)), time.perf_counter() - started
        print(
            f"step {step + 1}: loss {np.mean(recent):.3f}, {right / table.sum():.3f} right, {seconds:.0f} s",
            flush=True,
        )
        recent.clear()
        if right > best:
            best, kept = right, copy.deepcopy(net.state_dict())
            with replacing(options.output) as temporary:
                ir.save(build(weights(net)), temporary)
    net.load_state_dict(kept)
    table = confusion(net, HELD_OUT_SEEDS)
    print(f"held out: {np.trace(table) / table.sum():.4f} of {table.sum()} clips")
    for action, row in zip(ACTIONS, table, strict=True):
        print(f"{action:26}{' '.join(f'{count:3}' for count in row)}")


def _inputs(pictures: Pictures) -> torch.Tensor:
    """Network inputs float32 [n, 3, 16, 112, 112] in [-1, 1] of clips uint8 [n, 16, 112, 112, 3]."""
    clips = torch.from_numpy(pictures).permute(0, 4, 1, 2, 3).to(torch.float32) / 127.5 - 1
    return clips.contiguous(memory_format=torch.channels_last_3d)


if __name__ == "__main__":
    main()
