"""The machine that a section is prepared for: memories, convolutions, host sessions, and the trace row being written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.interpreter.arithmetic import Convolutions, host_session
from reuse_compiler.backend.accelerator.interpreter.memory import Memory
from reuse_compiler.backend.accelerator.isa import ConfigureQuantizer, ConfigureTable, Instruction, Space
from reuse_compiler.backend.accelerator.operations import Operation
from reuse_compiler.backend.accelerator.program import Code
from reuse_compiler.errors import PlanError, ProgramError
from reuse_compiler.quantizers import LinearQuantizer, Quantizer, TableQuantizer

__all__ = ["Machine", "Step", "executes", "prepare"]

Step = Callable[[], None]
"""An instruction bound to the memory that it works on; calling it executes it."""


class Machine:
    """State and resources of one execution."""

    def __init__(self, code: Code, constants: NDArray[Any], edram_bytes: int, threads: int) -> None:
        self.code = code
        self.memory = Memory(code, constants, edram_bytes)
        self.convolutions = Convolutions(threads)
        self.kept: dict[str, Any] = {}  # values that stay on the host, by name
        self.hosts = [host_session(host.model, threads) for host in code.hosts]
        self._quantizers: dict[ConfigureQuantizer | ConfigureTable, Quantizer] = {}

    def quantizer(self, configured: ConfigureQuantizer | ConfigureTable) -> Quantizer:
        """The quantizer that a configuration describes; per-channel deadbands and tables are read from the eDRAM.

        Raises ProgramError where a table's centroids are none, or its boundaries or zero not those of its centroids.
        """
        if configured not in self._quantizers:
            deadband: float | tuple[float, ...] = configured.deadband
            if configured.deadband_channels:
                deadband = self._floats(configured.deadband_address, configured.deadband_channels)
            if isinstance(configured, ConfigureTable):
                self._quantizers[configured] = self._table(configured, deadband)
            else:
                step, zero, clusters = configured.step, configured.zero, configured.clusters
                self._quantizers[configured] = LinearQuantizer(step, zero, clusters, deadband)
        return self._quantizers[configured]

    def _table(self, configured: ConfigureTable, deadband: float | tuple[float, ...]) -> TableQuantizer:
        values = self._floats(configured.table_address, max(2 * configured.clusters - 1, 0))
        try:
            table = TableQuantizer(values[: configured.clusters], deadband)
        except PlanError as error:
            raise ProgramError(f"{configured.MNEMONIC}: {error}") from error
        if (values[configured.clusters :], configured.zero) != (table.boundaries, table.zero):
            raise ProgramError(
                f"{configured.MNEMONIC}: the boundaries or zero are not those of the centroids: lower again"
            )
        return table

    def _floats(self, address: int, count: int) -> tuple[float, ...]:
        return tuple(self.memory.array(Space.EDRAM, address, (count,), np.float32).tolist())


Prepared = TypeVar("Prepared", bound=Instruction)
Preparer = Callable[[Machine, Operation, Any, NDArray[np.int64]], Step]

_PREPARERS: dict[type[Instruction], Preparer] = {}


def executes(
    kind: type[Prepared],
) -> Callable[
    [Callable[[Machine, Operation, Prepared, NDArray[np.int64]], Step]],
    Callable[[Machine, Operation, Prepared, NDArray[np.int64]], Step],
]:
    """Register the function that binds an instruction of `kind` to a machine; its last argument are the instruction's
    columns of the trace row."""

    def register(
        prepare_kind: Callable[[Machine, Operation, Prepared, NDArray[np.int64]], Step],
    ) -> Callable[[Machine, Operation, Prepared, NDArray[np.int64]], Step]:
        _PREPARERS[kind] = prepare_kind
        return prepare_kind

    return register


def prepare(
    machine: Machine,
    section: list[Operation],
    row: NDArray[np.int64],
    after: Mapping[int, Sequence[Step]] | None = None,
) -> list[Step]:
    """Bind every operation of a section that does something; dynamic counts go to their columns of `row`. `after` has
    what else is to be done, by the number of the operation before.

    Raises ProgramError naming the instruction where an operand is out of bounds.
    """
    steps: list[Step] = []
    column = 0
    for number, operation in enumerate(section):
        instruction = operation.instruction
        preparer = _PREPARERS.get(type(instruction))
        if preparer is not None:
            try:
                steps.append(preparer(machine, operation, instruction, row[column : column + operation.columns]))
            except ProgramError as error:
                raise ProgramError(f"instruction {number}, {instruction.MNEMONIC}: {error}") from error
        steps += (after or {}).get(number, ())
        column += operation.columns
    return steps
