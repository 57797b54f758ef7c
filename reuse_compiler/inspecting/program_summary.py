"""What is in a program: instructions by mnemonic, bytes by memory, where the state lives, the layers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from reuse_compiler.backend.accelerator.accesses import Configuration, accesses
from reuse_compiler.backend.accelerator.isa import INSTRUCTIONS, Space, Unit
from reuse_compiler.backend.accelerator.program import Code, LayerInfo, Program, SiteInfo

__all__ = ["MemoryUse", "MnemonicCount", "ProgramSummary", "StateUse", "summarize"]


@dataclass(frozen=True)
class MnemonicCount:
    """How often an instruction occurs in the code of both machines, and the unit that executes it."""

    mnemonic: str
    unit: str
    reuse: int
    baseline: int


@dataclass(frozen=True)
class MemoryUse:
    """The bytes of a memory up to the last one that the code of a machine touches, and its size; None for DRAM."""

    memory: str
    reuse: int
    baseline: int
    size_reuse: int | None
    size_baseline: int | None


@dataclass(frozen=True)
class StateUse:
    """The kept state in one memory, in bytes."""

    memory: str
    indices: int
    linear: int


@dataclass(frozen=True)
class ProgramSummary:
    """A program at a glance; `constants` are the bytes of weights, biases and tables in DRAM."""

    model_sha256: str
    hardware: str
    constants: int
    instructions: tuple[MnemonicCount, ...]
    memories: tuple[MemoryUse, ...]
    state: tuple[StateUse, ...]
    layers: tuple[LayerInfo, ...]
    hosts: tuple[str, ...]


def summarize(program: Program) -> ProgramSummary:
    """What is in `program`. Raises ProgramError where an instruction lacks its configuration."""
    return ProgramSummary(
        model_sha256=program.model_sha256,
        hardware=program.tiling.hardware,
        constants=program.constants.size,
        instructions=_instructions(program),
        memories=_memories(program),
        state=_state(program.reuse.sites),
        layers=program.layers,
        hosts=tuple(host.name for host in program.reuse.hosts),
    )


def _instructions(program: Program) -> tuple[MnemonicCount, ...]:
    """In the order of the opcodes, those that occur."""
    reuse, baseline = (Counter(map(type, code.instructions)) for code in (program.reuse, program.baseline))
    return tuple(
        MnemonicCount(kind.MNEMONIC, kind.UNIT.name.lower().replace("_", " "), reuse[kind], baseline[kind])
        for _, kind in sorted(INSTRUCTIONS.items())
        if reuse[kind] or baseline[kind]
    )


def _memories(program: Program) -> tuple[MemoryUse, ...]:
    reuse, baseline = _touched(program.reuse), _touched(program.baseline)
    sizes = program.tiling
    return (
        MemoryUse("DRAM", program.reuse.dram_bytes, program.baseline.dram_bytes, None, None),
        MemoryUse("eDRAM", reuse[Space.EDRAM], baseline[Space.EDRAM], sizes.edram_bytes, sizes.edram_bytes),
        MemoryUse(
            "I/O buffer",
            reuse[Space.BUFFER],
            baseline[Space.BUFFER],
            sizes.buffer_bytes_reuse,
            sizes.buffer_bytes_base,
        ),
    )


def _touched(code: Code) -> Counter[Space]:
    """The end of the last byte that `code` reads or writes in each memory."""
    configuration = Configuration()
    ends: Counter[Space] = Counter()
    for instruction in code.instructions:
        configuration.apply(instruction)
        if instruction.UNIT is Unit.CONTROL:
            continue
        for access in accesses(instruction, configuration, code.hosts):
            ends[access.memory] = max(ends[access.memory], int(access.ends.max(initial=0)))
    return ends


def _state(sites: tuple[SiteInfo, ...]) -> tuple[StateUse, ...]:
    """By memory; sites that read one tensor share their indices, which count once."""
    indices = {(site.index_memory, site.index_address): site.index_bytes for site in sites}
    linear = {(site.linear_memory, site.linear_address): site.linear_bytes for site in sites}
    names = {"buffer": "I/O buffer", "dram": "DRAM"}
    return tuple(
        StateUse(
            name,
            sum(size for (place, _), size in indices.items() if place == memory),
            sum(size for (place, _), size in linear.items() if place == memory),
        )
        for memory, name in names.items()
    )
