"""Trains EESEN on synthesized speech and writes ``eesen.onnx``.

    pip install 'reuse-compiler[train,speech]'
    python -m reuse_compiler.models.eesen.train FOLDER [--utterances N] [--minutes N] [--resume] [--seed N] [--output FILE]

FOLDER keeps what was rendered and the state of the training, so that ``--resume`` goes on where it stopped; with more
minutes than before it goes on longer. One core does all the work.

The recurrent layers would stay long where CTC starts, at blanks alone. So the loss is at first the cross-entropy of every
step with the phone that the synthesizer says is spoken there, silence being the blank; then a mixture; then CTC alone.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import nn

from reuse_compiler.files import replacing
from reuse_compiler.models.eesen.decoding import BLANK, label_error_rate
from reuse_compiler.models.eesen.features import with_deltas
from reuse_compiler.models.eesen.labels import label_of, spoken
from reuse_compiler.models.eesen.network import CELLS, FEATURES, LAYERS, OUTPUTS, STEPS, build
from reuse_compiler.models.eesen.recording import EVALUATION_SEED, SECONDS, VALIDATION_SEED, labelled
from reuse_compiler.models.speech import FILTERS, PHONES, log_mel, phone_classes, utterance

__all__ = [
    "Corpus",
    "Pace",
    "error_rate",
    "load_corpus",
    "main",
    "measure",
    "network",
    "render",
    "scored",
    "train",
    "weights",
]

BATCH = 16
LEARNING_RATE = 1e-3
WARM_UP_STEPS = 100
LARGEST_GRADIENT = 1.0
EVALUATION_STEPS = 150
VALIDATION_UTTERANCES = 48
MOST_LABELS = 80  # of 3 s
MASKED_MELS = 6  # at most, in each of two bands
FORGET = 1  # of torch's gates i, f, c, o
MEASURED_UTTERANCES = 200
MEASURED = (
    ("held-out voices", EVALUATION_SEED, True),
    ("training voices, not trained on", EVALUATION_SEED, False),
    ("the training", 0, False),
)
OUTPUT = Path(__file__).with_name("eesen.onnx")

Float = NDArray[np.float32]


@dataclass(frozen=True)
class Corpus:
    """Labelled excerpts of 3 s.

    Attributes
    ----------
    mels : float16 array, shape [n, 300, 40]
    steps : int8 array, shape [n, 300]
        The label of every step.
    transcripts : int8 array, shape [n, MOST_LABELS]
        The labels said, then zeros.
    """

    mels: NDArray[np.float16]
    steps: NDArray[np.int8]
    transcripts: NDArray[np.int8]


@dataclass(frozen=True)
class Pace:
    """What is due at a share 0..1 of the training: the learning rate's factor, and the weight of cross-entropy against CTC."""

    rate: float
    cross_entropy: float

    @classmethod
    def at(cls, share: float) -> Pace:
        """Full rate for the first half, then down to a hundredth; cross-entropy alone for a quarter, gone at a half."""
        falling = min(max((share - 0.5) / 0.5, 0.0), 1.0)
        return cls(0.01**falling, min(max(2 - 4 * share, 0.0), 1.0))


def network() -> nn.ModuleDict:
    """The layers of `reuse_compiler.models.eesen.network`, from torch's present random state; second biases stay zero."""
    lstm = nn.LSTM(FEATURES, CELLS, len(LAYERS), bidirectional=True)
    for name, parameter in lstm.named_parameters():
        for gate, rows in enumerate(parameter.detach().chunk(4)):
            if name.startswith("weight_ih"):
                nn.init.xavier_uniform_(rows)
            elif name.startswith("weight_hh"):
                nn.init.orthogonal_(rows)
            else:
                nn.init.constant_(rows, float(name.startswith("bias_ih") and gate == FORGET))
        parameter.requires_grad_(not name.startswith("bias_hh"))
    return nn.ModuleDict({"lstm": lstm, "fc": nn.Linear(2 * CELLS, OUTPUTS)})


def scored(net: nn.ModuleDict, features: torch.Tensor) -> torch.Tensor:
    """Logits [steps, batch, 50] of features [steps, batch, 120]."""
    hidden, _ = net["lstm"](features)
    scores: torch.Tensor = net["fc"](hidden)
    return scores


def render(folder: Path, count: int) -> None:
    """Write `count` excerpts of the training voices, seeds from 0, to `folder` as the arrays of `Corpus`."""
    classes = np.array([label_of(phone) for phone in PHONES], np.int8)
    mels = np.empty((count, STEPS, FILTERS), np.float16)
    steps = np.empty((count, STEPS), np.int8)
    transcripts = np.zeros((count, MOST_LABELS), np.int8)
    for seed in range(count):
        one = utterance(seed, seconds=SECONDS)
        mels[seed] = log_mel(one.samples)
        steps[seed] = classes[phone_classes(one, STEPS)]
        labels = spoken(one)
        transcripts[seed, : len(labels)] = labels
        if seed % 1000 == 999:
            print(f"{seed + 1} utterances rendered", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in (("mels", mels), ("steps", steps), ("transcripts", transcripts)):
        with replacing(folder / f"{name}.npy") as temporary:
            np.save(temporary, array)


def load_corpus(folder: Path) -> Corpus:
    """What `render` wrote."""
    return Corpus(*(np.load(folder / f"{name}.npy") for name in ("mels", "steps", "transcripts")))


def weights(net: nn.ModuleDict) -> dict[str, Float]:
    """The trained tensors, named and laid out as `reuse_compiler.models.eesen.network.build` takes them."""
    trained = {name: parameter.detach().numpy() for name, parameter in net.named_parameters()}
    tensors: dict[str, Float] = {}
    parts = {"weight": "weight_ih", "recurrence": "weight_hh", "bias": "bias_ih"}
    for number, layer in enumerate(LAYERS):
        for part, name in parts.items():
            both = [trained[f"lstm.{name}_l{number}{direction}"] for direction in ("", "_reverse")]
            tensors[f"{layer}.{part}"] = np.stack([_onnx_order(array) for array in both])
    tensors["fc.weight"] = np.ascontiguousarray(trained["fc.weight"].T)
    tensors["fc.bias"] = trained["fc.bias"]
    return tensors


def train(
    net: nn.ModuleDict, corpus: Corpus, folder: Path, output: Path, minutes: float, seed: int, resume: bool
) -> None:
    """Fit `net` in place for `minutes` in all: Adam, gradients cut at norm 1, products in bfloat16.

    Every 150 steps the state goes to `folder`, and the network to `output` where it has fewer errors on held-out voices
    than ever before. The rate and the mixture of losses follow the share of the minutes that is over.
    """
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=LEARNING_RATE, fused=True)
    state = folder / "state.pt"
    number, before, best = 0, 0.0, math.inf
    if resume:
        kept = torch.load(state)
        net.load_state_dict(kept["net"])
        optimizer.load_state_dict(kept["optimizer"])
        number, before, best = kept["number"], kept["seconds"], kept["best"]
    held_out = list(labelled(VALIDATION_UTTERANCES, VALIDATION_SEED))
    losses: list[float] = []
    started = time.perf_counter()
    for chosen in _order(len(corpus.mels), seed, number):
        seconds = before + time.perf_counter() - started
        share = seconds / (60 * minutes)
        if (number % EVALUATION_STEPS == 0 and losses) or share >= 1:
            rate = error_rate(net, held_out)
            if rate < best:
                best = rate
                with replacing(output) as temporary:
                    ir.save(build(weights(net)), temporary)
            _keep(state, net, optimizer, number, seconds, best)
            print(
                f"{seconds / 60:.1f} min, {number} steps, {number * BATCH / len(corpus.mels):.2f} epochs: loss"
                f" {np.mean(losses or [math.nan]):.3f}, held-out label error rate {rate:.4f}, best {best:.4f}",
                flush=True,
            )
            losses = []
        if share >= 1:
            return
        pace = Pace.at(share)
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * pace.rate * min(1.0, (number + 1) / WARM_UP_STEPS)
        loss = _loss(net, corpus, chosen, pace.cross_entropy, np.random.default_rng([seed, number]))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), LARGEST_GRADIENT)
        optimizer.step()
        losses.append(loss.item())
        number += 1


def error_rate(net: nn.ModuleDict, utterances: list[tuple[Float, list[int]]]) -> float:
    """The label error rate in float32."""
    features = torch.from_numpy(np.concatenate([one for one, _ in utterances], axis=1))
    with torch.no_grad():
        scores = scored(net, features).numpy()
    return label_error_rate(list(scores.transpose(1, 0, 2)), [labels for _, labels in utterances])


def measure(file: Path, utterances: int, seed: int, held_out: bool) -> float:
    """The label error rate of an ONNX file in onnxruntime, on utterances of held-out voices or of those of training."""
    session = ort.InferenceSession(file, providers=["CPUExecutionProvider"])
    pairs = list(labelled(utterances, seed, held_out=held_out))
    scores = [session.run(None, {"features": features})[0] for features, _ in pairs]
    return label_error_rate(scores, [labels for _, labels in pairs])


def main() -> None:
    """Render, train, measure on held-out voices, write the ONNX file."""
    parser = argparse.ArgumentParser(description="Train EESEN on synthesized speech.")
    parser.add_argument("folder", type=Path, help="keeps features and the training's state")
    parser.add_argument("--utterances", type=int, default=10_000, help="of 3 s, to render (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=65, help="of training in all (default: %(default)s)")
    parser.add_argument("--resume", action="store_true", help="go on from the state in FOLDER")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and masks (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="file to write (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    started = time.perf_counter()
    if not (options.folder / "transcripts.npy").exists():
        render(options.folder, options.utterances)
    corpus = load_corpus(options.folder)
    print(f"{len(corpus.mels)} utterances in {time.perf_counter() - started:.0f} s", flush=True)
    train(network(), corpus, options.folder, options.output, options.minutes, options.seed, options.resume)
    for name, seed, held_out in MEASURED:
        rate = measure(options.output, MEASURED_UTTERANCES, seed, held_out)
        print(f"label error rate on {MEASURED_UTTERANCES} utterances of {name}, seed {seed}: {rate:.4f}", flush=True)


def _onnx_order(rows: Float) -> Float:
    """Rows of the gates i, o, f, c of torch's i, f, c, o."""
    i, f, c, o = np.split(rows, 4)
    return np.concatenate([i, o, f, c])


def _order(count: int, seed: int, first: int) -> Iterator[NDArray[np.int64]]:
    """Batches of indices without end, from batch `first` on; every epoch is a permutation of its own."""
    batches = count // BATCH
    number = first
    while True:
        epoch, place = divmod(number, batches)
        if number == first or place == 0:
            order = np.random.default_rng([seed, 1, epoch]).permutation(count)
        yield order[place * BATCH : (place + 1) * BATCH]
        number += 1


def _loss(
    net: nn.ModuleDict, corpus: Corpus, chosen: NDArray[np.int64], cross_entropy: float, rng: np.random.Generator
) -> torch.Tensor:
    """Mean loss a step: `cross_entropy` times that, and the rest CTC a label."""
    features = np.stack([with_deltas(_masked(corpus.mels[n].astype(np.float32), rng)) for n in chosen], axis=1)
    with torch.autocast("cpu", torch.bfloat16):
        scores = scored(net, torch.from_numpy(features))
    logs = scores.float().log_softmax(-1)
    total = torch.zeros(())
    if cross_entropy > 0:
        wanted = torch.from_numpy(corpus.steps[chosen].T.astype(np.int64))
        total = total + cross_entropy * nn.functional.nll_loss(logs.flatten(0, 1), wanted.flatten())
    if cross_entropy < 1:
        labels = torch.from_numpy(corpus.transcripts[chosen].astype(np.int64))
        lengths = torch.count_nonzero(labels, dim=1)
        steps = torch.full_like(lengths, STEPS)
        total = total + (1 - cross_entropy) * nn.functional.ctc_loss(logs, labels, steps, lengths, BLANK)
    return total


def _masked(mels: Float, rng: np.random.Generator) -> Float:
    """`mels` [300, 40] with two bands of up to 6 energies at their mean, which the log-mel normalization makes 0."""
    for width in rng.integers(0, MASKED_MELS + 1, 2):
        first = rng.integers(0, FILTERS - width + 1)
        mels[:, first : first + width] = 0
    return mels


def _keep(
    state: Path, net: nn.ModuleDict, optimizer: torch.optim.Optimizer, number: int, seconds: float, best: float
) -> None:
    kept = {
        "net": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "number": number,
        "seconds": seconds,
        "best": best,
    }
    with replacing(state) as temporary:
        torch.save(kept, temporary)


if __name__ == "__main__":
    main()
