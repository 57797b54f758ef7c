"""Energy: picojoules by component, from event counts, cycles and the hardware alone."""

from __future__ import annotations

from collections.abc import Mapping

from reuse_compiler.backend.accelerator.hardware import BufferMemory, Hardware
from reuse_compiler.backend.accelerator.isa import Event

__all__ = ["COMPONENTS", "energy_pj"]

COMPONENTS = ("compute", "quantizer", "special", "edram", "buffer", "tables", "dram", "host")

_PARTIAL_SUM_BYTES_PER_LANE = 4


def energy_pj(events: Mapping[Event, int], cycles: int, hardware: Hardware, *, reuse: bool) -> dict[str, float]:
    """Energy of each component: its events, and its leakage over `cycles`.

    The baseline has no quantizer and no tables, and the smaller I/O buffer. A host operation is priced as the
    accelerator's own (assumed).
    """
    compute, special = hardware.compute, hardware.special
    buffer = hardware.buffer.reuse if reuse else hardware.buffer.base
    mac = compute.multiply_pj.value + compute.add_pj.value + compute.register_pj.value
    get = {event: events.get(event, 0) for event in Event}
    leak = 1e9 * cycles / hardware.clock.frequency_hz.value  # pJ per mW
    components = {
        "compute": get[Event.MACS] * mac + compute.leakage_mw.value * leak,
        "quantizer": get[Event.INPUTS_SCANNED] * hardware.quantizer.scan_pj.value
        + get[Event.INPUTS_CHANGED] * hardware.quantizer.changed_pj.value
        + get[Event.COMPARISONS] * hardware.quantizer.compare_pj.value,
        "special": get[Event.SPECIAL_OPERATIONS] * special.operation_pj.value + special.leakage_mw.value * leak,
        "edram": _memory(get[Event.EDRAM_READ], get[Event.EDRAM_WRITE], hardware.edram, leak),
        "buffer": _memory(get[Event.BUFFER_READ], get[Event.BUFFER_WRITE], buffer, leak),
        "tables": get[Event.TABLE_READ] * hardware.tables.read_pj.value
        + get[Event.TABLE_WRITE] * hardware.tables.write_pj.value
        + (hardware.tables.leakage_mw.value * leak if reuse else 0.0),
        "dram": get[Event.DRAM_READ] * hardware.dram.read_pj_per_byte.value
        + get[Event.DRAM_WRITE] * hardware.dram.write_pj_per_byte.value
        + hardware.dram.background_mw.value * leak,
        "host": get[Event.HOST_MACS] * mac + get[Event.HOST_OPERATIONS] * special.operation_pj.value,
    }
    if compute.partial_sums.value == "buffer":
        moved = get[Event.MAC_CYCLES] * compute.lanes.value * _PARTIAL_SUM_BYTES_PER_LANE
        components["buffer"] += moved * (buffer.read_pj_per_byte.value + buffer.write_pj_per_byte.value)
    return components


def _memory(read: int, written: int, memory: BufferMemory, leak: float) -> float:
    dynamic = read * memory.read_pj_per_byte.value + written * memory.write_pj_per_byte.value
    return dynamic + memory.leakage_mw.value * leak
