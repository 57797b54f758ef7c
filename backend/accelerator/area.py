"""Area: square millimetres by component, from the hardware alone."""

from __future__ import annotations

from reuse_compiler.backend.accelerator.hardware import Hardware

__all__ = ["area_mm2"]


def area_mm2(hardware: Hardware, *, reuse: bool) -> dict[str, float]:
    """Area of each component. The baseline has no tables and the smaller I/O buffer."""
    buffer = hardware.buffer.reuse if reuse else hardware.buffer.base
    areas = {
        "compute": hardware.compute.area_mm2.value,
        "edram": hardware.edram.area_mm2.value,
        "buffer": buffer.area_mm2.value,
    }
    return areas | {"tables": hardware.tables.area_mm2.value} if reuse else areas
