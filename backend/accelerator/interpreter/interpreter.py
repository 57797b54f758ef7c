"""Run a code on frames: values, the kept state, and the dynamic counts of every frame."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from reuse_compiler.backend.accelerator.interpreter import (
    compute,
    elementwise,
    matmul,
    movement,
    moves,
    reduce,
    resample,
    special,
)
from reuse_compiler.backend.accelerator.interpreter.machine import Machine, Step, prepare
from reuse_compiler.backend.accelerator.isa import DeltaFc, DenseFc, DenseMatmul, Space
from reuse_compiler.backend.accelerator.operations import Operation, operations
from reuse_compiler.backend.accelerator.program import Code, Program, SiteInfo
from reuse_compiler.errors import ProgramError

__all__ = ["Interpreter"]

_EXECUTORS = (
    compute,
    elementwise,
    matmul,
    movement,
    moves,
    reduce,
    resample,
    special,
)  # importing them registers what they execute

Array = NDArray[Any]

_ROWS_FOR_THREADS = 8
"""Products of fewer rows are bound by the memory. A second thread brings them a quarter at most, and on a machine that is
busy, where it waits for its turn while the first spins, makes them ten times slower (measured)."""


class Interpreter:
    """Executes one code of a program. Weights are loaded when it is made, instructions decoded once.

    Parameters
    ----------
    program : Program
    code : Code, optional
        `program.reuse` (the default) or `program.baseline`.
    threads : int
        Threads of the arithmetic inside an instruction.
    """

    def __init__(self, program: Program, code: Code | None = None, threads: int = 1) -> None:
        self.code = program.reuse if code is None else code
        self._machine = Machine(self.code, program.constants, program.tiling.edram_bytes, threads)
        sections = self.code.sections
        nothing = np.zeros(0, np.int64)
        for step in prepare(self._machine, operations(sections.setup), nothing):
            step()
        self.frame_operations = operations(sections.frame)
        self.counts = np.zeros(sum(operation.columns for operation in self.frame_operations), np.int64)
        self._start = prepare(self._machine, operations(sections.start), nothing)
        self._steps = {
            site.node: np.zeros((site.time_steps, *site.shape), site.index_dtype)
            for site in self.code.sites
            if site.time_steps
        }
        self._frame = prepare(self._machine, self.frame_operations, self.counts, self._recording())
        self._inputs = {binding.name: self._machine.memory.tensor(binding) for binding in self.code.inputs}
        self._outputs = {binding.name: self._machine.memory.tensor(binding) for binding in self.code.outputs}
        self._blas_threads = threads if _most_rows(self.frame_operations) >= _ROWS_FOR_THREADS else 1
        self.reset()

    def reset(self) -> None:
        """Begin a sequence: execute its section, which writes the state that a sequence starts with."""
        for step in self._start:
            step()
        for site in self.code.sites:
            if site.time_steps:
                self._steps[site.node][...] = site.zero

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Execute one frame: arrays by input name to arrays by output name. `counts` then holds its trace row."""
        for name, target in self._inputs.items():
            target[...] = inputs[name]
        kept = self._machine.kept
        kept.update((name, inputs[name]) for name in self.code.kept_inputs)
        with _blas().limit(limits=self._blas_threads, user_api="blas"):
            for step in self._frame:
                step()
        placed = {name: output.copy() for name, output in self._outputs.items()}
        return placed | {name: kept[name] for name in self.code.kept_outputs}

    @property
    def indices(self) -> dict[str, Array]:
        """What the last frame made of every reuse site's input, by node name and in its shape: the present indices; of a
        recurrent site those that it held after each time step."""
        return {**self.held_indices, **{node: steps.copy() for node, steps in self._steps.items()}}

    @property
    def held_indices(self) -> dict[str, Array]:
        """Present indices of every reuse site by node name: with `linear` the state that a sequence continues from."""
        return {site.node: self._place(site, index=True).copy() for site in self.code.sites}

    @property
    def linear(self) -> dict[str, Array]:
        """Present linear outputs of every reuse site by node name: float32."""
        return {site.node: self._place(site, index=False).copy() for site in self.code.sites}

    def restore(self, indices: Mapping[str, Array], linear: Mapping[str, Array]) -> None:
        """Continue from a state that any executor has left, by node name: as `held_indices` and `linear` give it.

        Raises ProgramError naming the site whose indices or linear outputs are missing or do not fit; then the state is
        as it was.
        """
        moves = []
        for site in self.code.sites:
            for name, given, place in (
                ("indices", indices, self._place(site, index=True)),
                ("linear outputs", linear, self._place(site, index=False)),
            ):
                array = given.get(site.node)
                if array is None or (array.shape, array.dtype) != (place.shape, place.dtype):
                    found = "none" if array is None else f"{array.dtype} {list(array.shape)}"
                    raise ProgramError(
                        f"{name} of site {site.node} are {found}: they must be {place.dtype} {list(place.shape)}: restore"
                        " what another executor of this program has left"
                    )
                moves.append((place, array))
        for place, array in moves:
            place[...] = array

    def _recording(self) -> dict[int, list[Step]]:
        """What copies the indices of each time step of recurrent sites, by the number of the instruction before."""
        after: dict[int, list[Step]] = {}
        for site in self.code.sites:
            for place in site.steps:
                shape = (place.rows, *site.shape[1:])
                held = self._machine.memory.array(Space.BUFFER, place.address, shape, site.index_dtype)
                target = self._steps[site.node][place.step, place.row : place.row + place.rows]
                after.setdefault(place.after, []).append(partial(np.copyto, target, held))
        return after

    def _place(self, site: SiteInfo, *, index: bool) -> Array:
        if index:
            space, address, shape, dtype = site.index_memory, site.index_address, site.shape, site.index_dtype
        else:
            space, address, shape, dtype = site.linear_memory, site.linear_address, site.linear_shape, "float32"
        return self._machine.memory.array(Space[space.upper()], address, shape, dtype)


@cache
def _blas() -> ThreadpoolController:
    """The libraries that numpy multiplies with; finding them takes a millisecond."""
    return ThreadpoolController()


def _most_rows(code: list[Operation]) -> int:
    """Rows of the tallest product."""
    rows = [0]
    for operation in code:
        match operation.instruction:
            case DenseFc() | DeltaFc() | DenseMatmul():
                rows.append(operation.instruction.rows)
    return max(rows)
