"""The same-input check: what the cost model says when a given share of every layer's inputs changes.

Changed inputs are drawn at random, independently and at one rate for all layers of a network. So the cost model is held
against the paper's figures without the differences in data: nobody else has the paper's recordings and weights.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.cost import CostModel
from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.isa import DeltaConv, DeltaFc, Quantize
from reuse_compiler.backend.accelerator.operations import Operation, operations
from reuse_compiler.backend.accelerator.program import Program
from reuse_compiler.reproduce.documents import SameInput
from reuse_compiler.reproduce.paper import speedup_bound

__all__ = ["DRAWN_FRAMES", "drawn_trace", "same_input"]

DRAWN_FRAMES = 32
"""So many that the rate of a small layer is close to what was asked for."""


def drawn_trace(program: Program, reuse: float, frames: int, seed: int = 0) -> NDArray[np.int64]:
    """A trace int64 [frames, columns] of `program` in which each input changes with probability 1 - `reuse`.

    No skipped product counts as one with an input of 0.0.
    """
    generator = np.random.default_rng(seed)
    code = operations(program.reuse.sections.frame)
    looked_at = np.zeros(len(program.layers), np.int64)  # by all tiles of a layer; an input may be in several
    for operation in code:
        if isinstance(operation.instruction, DeltaConv | DeltaFc):
            assert operation.classes is not None
            looked_at[operation.instruction.layer] += int(operation.classes.sizes.sum())
    rows = []
    for operation in code:
        instruction = operation.instruction
        if isinstance(instruction, Quantize):
            inputs = instruction.outer * instruction.channels * instruction.inner
            rows.append(generator.binomial(inputs, 1 - reuse, (frames, 1)))
        elif isinstance(instruction, DeltaConv | DeltaFc):
            layer = instruction.layer
            once = program.layers[layer].inputs / int(looked_at[layer])
            rows.append(_delta(operation, once, reuse, frames, generator))
    return np.concatenate(rows, axis=1).astype(np.int64) if rows else np.zeros((frames, 0), np.int64)


def _delta(
    operation: Operation, once: float, reuse: float, frames: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """The columns of a delta instruction; it commits the share `once` of what it looks at."""
    assert operation.classes is not None
    changed = generator.binomial(operation.classes.sizes, 1 - reuse, (frames, operation.classes.sizes.size))
    total = changed.sum(axis=1, keepdims=True)
    return np.concatenate(
        [changed, np.floor(total * once).astype(np.int64), np.zeros_like(total), (total > 0).astype(np.int64)], axis=1
    )


def same_input(network: str, program: Program, hardware: Hardware, reuse: float) -> SameInput:
    """Costs of `program` at the rate `reuse`, in a sequence that runs already."""
    model = CostModel(program, hardware)
    model.add(drawn_trace(program, reuse, DRAWN_FRAMES))
    costs = model.costs()
    macs = sum(info.macs for info in program.layers) * DRAWN_FRAMES
    done = sum(layer.macs_done for layer in costs.layers)
    return SameInput(
        network=network,
        reuse=reuse,
        drawn_reuse=1 - done / macs,
        speedup=costs.speedup,
        speedup_bound=speedup_bound(reuse),
        energy_saving=costs.energy_saving,
    )
