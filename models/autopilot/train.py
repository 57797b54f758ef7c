"""Trains AutoPilot on rendered views and writes ``autopilot.onnx``.

    pip install 'reuse-compiler[train]'
    python -m reuse_compiler.models.autopilot.train [--views N] [--epochs N] [--seed N] [--output FILE]

The views are independent of each other: a random road at a random place, the car at a random offset and heading, so that
the network learns to come back to the lane and not to follow a driver. One core does all the work.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from torch import nn

from reuse_compiler.files import replacing
from reuse_compiler.models import autopilot
from reuse_compiler.models.autopilot.camera import COLUMNS, ROWS
from reuse_compiler.models.autopilot.network import CONV_LAYERS, FC_LAYERS, ConvLayer, FcLayer, build
from reuse_compiler.models.autopilot.recording import EVALUATION_SEED, TRAINING_SEEDS, labelled, photograph
from reuse_compiler.models.autopilot.road import Moment, Pose, Road, steering_angle

__all__ = ["main", "network", "steered", "train", "views", "weights"]

BATCH = 64
LEARNING_RATE = 1.5e-3
WEIGHT_DECAY = 0.02
LABEL_DEVIATION = 0.13  # radians; scales the loss to about 1 for a network that knows nothing
HELD_OUT_SEEDS = range(EVALUATION_SEED, EVALUATION_SEED + 8)

Pictures = NDArray[np.uint8]
Angles = NDArray[np.float32]


def views(seed: int, count: int) -> tuple[Pictures, Angles]:
    """Independent labelled views: RGB uint8 [count, 3, 66, 200] and angles float32 [count] in radians."""
    rng = np.random.default_rng(seed)
    pictures = np.empty((count, 3, ROWS, COLUMNS), np.uint8)
    angles = np.empty(count, np.float32)
    for number in range(count):
        scene = int(rng.integers(TRAINING_SEEDS.start, TRAINING_SEEDS.stop))
        road = Road(scene, bend=float(rng.uniform(-1.5, 1.5)))
        pose = Pose(
            s=float(rng.uniform(0, 50_000)),
            offset=float(np.clip(rng.normal(0, 0.35), -1, 1)),
            heading=float(np.clip(rng.normal(0, 0.012), -0.04, 0.04)),
        )
        path = road.ahead(pose)
        angles[number] = steering_angle(path)
        moment = Moment(
            time=float(rng.uniform(0, 3600)),
            pose=pose,
            path=path,
            yaw=float(rng.uniform(-np.pi, np.pi)),
            speed=float(rng.uniform(14, 27)),
            angle=float(angles[number]),
        )
        pictures[number] = photograph(moment, scene, number).transpose(2, 0, 1)
    return pictures, angles


def network() -> nn.Sequential:
    """The layers of `reuse_compiler.models.autopilot.network` up to z, from torch's present random state."""
    layers: list[nn.Module] = []
    for conv in CONV_LAYERS:
        layers += [nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel, conv.stride), nn.ReLU()]
    layers.append(nn.Flatten())
    for fc in FC_LAYERS:
        layers += [nn.Linear(fc.in_features, fc.out_features), nn.ReLU()]
    layers.pop()
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


def train(net: nn.Sequential, pictures: Pictures, angles: Angles, epochs: int, seed: int) -> None:
    """Fit `net` in place: AdamW, a one-cycle learning rate, Huber loss on the angle, pictures jittered in light."""
    generator = torch.Generator().manual_seed(seed)
    net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    steps = epochs * (len(angles) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.15)
    net.train()
    for epoch in range(epochs):
        started, total = time.perf_counter(), 0.0
        order = torch.randperm(len(angles), generator=generator)
        batches = order[: len(order) // BATCH * BATCH].reshape(-1, BATCH)
        for chosen in batches:
            image = _jittered(torch.from_numpy(pictures[chosen.numpy()]), generator)
            target = torch.from_numpy(angles[chosen.numpy()])
            steering = 2 * torch.atan(net(image)[:, 0])
            loss = nn.functional.huber_loss(steering / LABEL_DEVIATION, target / LABEL_DEVIATION, delta=1.0)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
        seconds = time.perf_counter() - started
        print(f"epoch {epoch + 1}/{epochs}: loss {total / len(batches):.5f}, {seconds:.0f} s", flush=True)


def steered(net: nn.Sequential, seed: int, frames: int = 300) -> NDArray[np.float64]:
    """Angles over a drive, float64 [frames, 2] in radians: the network's, and the geometry's."""
    net.eval()
    with torch.no_grad():
        return np.array(
            [
                (2 * torch.atan(net(torch.from_numpy(frame["image"]))[0, 0]).item(), angle)
                for frame, angle in labelled(frames, seed)
            ]
        )


def weights(net: nn.Sequential) -> dict[str, NDArray[np.float32]]:
    """The trained tensors, named and laid out as `reuse_compiler.models.autopilot.network.build` takes them."""
    trained = [layer for layer in net if isinstance(layer, nn.Conv2d | nn.Linear)]
    tensors: dict[str, NDArray[np.float32]] = {}
    layers: tuple[ConvLayer | FcLayer, ...] = (*CONV_LAYERS, *FC_LAYERS)
    for description, layer in zip(layers, trained, strict=True):
        weight = layer.weight.detach().numpy()
        tensors[f"{description.name}.weight"] = np.ascontiguousarray(weight.T if weight.ndim == 2 else weight)
        tensors[f"{description.name}.bias"] = layer.bias.detach().numpy()
    return tensors


def main() -> None:
    """Render, train, measure on held-out drives, write the ONNX file."""
    parser = argparse.ArgumentParser(description="Train AutoPilot on rendered views.")
    parser.add_argument("--views", type=int, default=40_000, help="training pictures (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=9, help="passes over them (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of views, weights and order (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=autopilot.path(), help="file to write (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    torch.use_deterministic_algorithms(True)
    started = time.perf_counter()
    pictures, angles = views(options.seed, options.views)
    print(f"{len(angles)} views rendered in {time.perf_counter() - started:.0f} s", flush=True)
    net = network()
    train(net, pictures, angles, options.epochs, options.seed)
    with replacing(options.output) as temporary:
        ir.save(build(weights(net)), temporary)
    drives = {seed: steered(net, seed) for seed in HELD_OUT_SEEDS}
    for name, pairs in [*drives.items(), ("all drives", np.concatenate(list(drives.values())))]:
        squares = np.square(pairs[:, 0] - pairs[:, 1]).mean()
        print(f"{name}: RMSE {np.sqrt(squares):.5f} rad, R2 {1 - squares / pairs[:, 1].var():.4f}", flush=True)


def _jittered(pictures: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Network inputs of uint8 pictures [n, 3, 66, 200], each with its own contrast and colour cast."""
    image = pictures.to(torch.float32) / 127.5 - 1
    gain = 1 + 0.10 * torch.randn((len(image), 1, 1, 1), generator=generator)
    cast = 0.06 * torch.randn((len(image), 3, 1, 1), generator=generator)
    image = (image * gain + cast).clamp(-1, 1)
    return image.contiguous(memory_format=torch.channels_last)


if __name__ == "__main__":
    main()
