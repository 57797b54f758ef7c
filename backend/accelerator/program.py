"""The program: code for the reuse machine and for its baseline over one set of constants, and where its data lies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.isa import Halt, Instruction, Loop, Over
from reuse_compiler.errors import ProgramError

__all__ = ["Binding", "Code", "HostModel", "LayerInfo", "Program", "Sections", "SiteInfo", "StepIndices", "Tiling"]


@dataclass(frozen=True)
class Binding:
    """A named tensor at a byte address in DRAM."""

    name: str
    address: int
    shape: tuple[int, ...]
    dtype: str

    @property
    def bytes(self) -> int:
        """Size of the tensor in bytes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class LayerInfo:
    """What the costs of one layer are booked on. `inputs` are the elements of a site's input, else 0."""

    name: str
    op: str
    backend: Literal["reuse", "dense", "host"]
    macs: int
    inputs: int
    clusters: int = 0
    step: float | None = 0.0  # none of a table
    deadband: float | tuple[float, ...] = 0.0


@dataclass(frozen=True)
class HostModel:
    """A sub-model for the host, ONNX bytes, and where its operands lie in DRAM. Those that have no place in a memory, by
    name in `kept_*`, go from host to host."""

    name: str
    model: bytes
    inputs: tuple[Binding, ...]
    outputs: tuple[Binding, ...]
    kept_inputs: tuple[str, ...] = ()
    kept_outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class StepIndices:
    """Where a recurrent site holds indices in the course of a frame: after instruction `after` of the frame section those
    of time step `step`, of `rows` rows of the batch from `row` on, lie at byte `address` of the I/O buffer."""

    after: int
    step: int
    row: int
    rows: int
    address: int


@dataclass(frozen=True)
class SiteInfo:
    """The kept state of one reuse site and where it lies: `*_memory` is "buffer" or "dram".

    `shape` is that of the indices it holds, of a recurrent site those of one time step. It has `time_steps` of them, and
    `steps` says where to find those of each; other sites have none.
    """

    node: str
    layer: int
    index_memory: str
    index_address: int
    index_bytes: int
    linear_memory: str
    linear_address: int
    linear_bytes: int
    shape: tuple[int, ...]
    linear_shape: tuple[int, ...]
    index_dtype: str
    zero: int = 0  # the index that a sequence starts with
    time_steps: int = 0
    steps: tuple[StepIndices, ...] = ()


@dataclass(frozen=True)
class Sections:
    """The three parts of a code: once, at the start of every sequence, and for every frame. Each ends with a sync."""

    setup: tuple[Instruction, ...]
    start: tuple[Instruction, ...]
    frame: tuple[Instruction, ...]


@dataclass(frozen=True)
class Code:
    """Instructions of one machine, its memory sizes in bytes, and the tensors that the outside reads and writes."""

    instructions: tuple[Instruction, ...]
    dram_bytes: int
    buffer_bytes: int
    inputs: tuple[Binding, ...]
    outputs: tuple[Binding, ...]
    hosts: tuple[HostModel, ...]
    sites: tuple[SiteInfo, ...]
    kept_inputs: tuple[str, ...] = ()  # tensors without a place in a memory: the host keeps them
    kept_outputs: tuple[str, ...] = ()

    @cached_property
    def sections(self) -> Sections:
        """Split at the loops. Raises ProgramError where the code is not setup, loop over sequences with start and loop
        over frames, halt."""
        loops = [i for i, instruction in enumerate(self.instructions) if isinstance(instruction, Loop)]
        if len(loops) != 2:
            raise ProgramError(f"code has {len(loops)} loops: it must have one over sequences and one over frames")
        outer, inner = loops
        first, second = self.instructions[outer], self.instructions[inner]
        assert isinstance(first, Loop)
        assert isinstance(second, Loop)
        end = inner + 1 + second.length
        nested = first.over is Over.SEQUENCES and second.over is Over.FRAMES and outer + 1 + first.length == end
        if not nested or end != len(self.instructions) - 1 or not isinstance(self.instructions[-1], Halt):
            raise ProgramError("code is not a loop over sequences around a loop over frames with halt behind them")
        return Sections(
            setup=self.instructions[:outer],
            start=self.instructions[outer + 1 : inner],
            frame=self.instructions[inner + 1 : end],
        )


@dataclass(frozen=True)
class Tiling:
    """The hardware sizes that the tiling was made for; another value of these is a lowering of its own."""

    hardware: str
    lanes: int
    accumulators: int
    edram_bytes: int
    buffer_bytes_base: int
    buffer_bytes_reuse: int


@dataclass(frozen=True)
class Program:
    """Both codes, the constants (the DRAM image from address 0: uint8), the layers, and what it was made from."""

    reuse: Code
    baseline: Code
    constants: NDArray[Any]
    layers: tuple[LayerInfo, ...]
    tiling: Tiling
    model_sha256: str
