"""Execute what moves data without computing: the data master's instructions, and host calls."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.interpreter.machine import Machine, Step, executes
from reuse_compiler.backend.accelerator.isa import Fill, Host, Load, Space, Store
from reuse_compiler.backend.accelerator.operations import Operation

__all__: list[str] = []

Counts = NDArray[np.int64]


@executes(Load)
def _load(machine: Machine, operation: Operation, load: Load, counts: Counts) -> Step:
    return _copy(machine, load, Space.DRAM, load.space)


@executes(Store)
def _store(machine: Machine, operation: Operation, store: Store, counts: Counts) -> Step:
    return _copy(machine, store, Space.BUFFER, Space.DRAM)


def _copy(machine: Machine, move: Load | Store, source: Space, target: Space) -> Step:
    """Copy runs, in the widest element that all addresses, strides and sizes are multiples of."""
    far = (move.dram_address, move.dram_stride0, move.dram_stride1)
    near = (move.address, move.stride0, move.stride1)
    width = next(w for w in (8, 4, 2, 1) if all(value % w == 0 for value in (*far, *near, move.run_bytes)))
    shape = (move.count0, move.count1, move.run_bytes // width)

    def view(space: Space) -> NDArray[np.uint8]:
        address, stride0, stride1 = far if space is Space.DRAM else near
        return machine.memory.view(space, address, shape, (stride0 // width, stride1 // width, 1), f"u{width}")

    from_view, to_view = view(source).squeeze(), view(target).squeeze()

    def run() -> None:
        to_view[...] = from_view

    return run


@executes(Fill)
def _fill(machine: Machine, operation: Operation, fill: Fill, counts: Counts) -> Step:
    if fill.count:
        source = machine.memory.array(Space.EDRAM, fill.source, (1, fill.count, 1), np.float32)
        target = machine.memory.array(fill.space, fill.address, (fill.copies, fill.count, fill.repeat), np.float32)

        def spread() -> None:
            target[...] = source

        return spread
    element = np.array(fill.value, f"u{fill.element_bytes}")
    elements = machine.memory.array(fill.space, fill.address, (fill.repeat,), element.dtype)

    def run() -> None:
        elements[...] = element

    return run


@executes(Host)
def _host(machine: Machine, operation: Operation, call: Host, counts: Counts) -> Step:
    host, session = machine.code.hosts[call.model], machine.hosts[call.model]
    inputs = {binding.name: machine.memory.tensor(binding) for binding in host.inputs}
    outputs = [machine.memory.tensor(binding) for binding in host.outputs]
    names = [*(binding.name for binding in host.outputs), *host.kept_outputs]

    def run() -> None:
        kept = {name: machine.kept[name] for name in host.kept_inputs}
        results = session.run(names, {**inputs, **kept})
        for target, result in zip(outputs, results, strict=False):
            target[...] = result
        machine.kept.update(zip(host.kept_outputs, results[len(outputs) :], strict=True))

    return run
