"""Area: the sums of facts about the default hardware."""

from __future__ import annotations

import pytest

from reuse_compiler.backend.accelerator.area import area_mm2
from reuse_compiler.backend.accelerator.hardware import Hardware, load_hardware


def test_the_reuse_machine_adds_tables_and_has_the_larger_buffer(hardware: Hardware) -> None:
    assert area_mm2(hardware, reuse=False) == {"compute": 0.70, "edram": 44.6, "buffer": 2.416}
    assert area_mm2(hardware, reuse=True) == {"compute": 0.70, "edram": 44.6, "buffer": 2.608, "tables": 0.004}


def test_large_macros_are_smaller() -> None:
    assert sum(area_mm2(load_hardware("isca18-macro"), reuse=True).values()) == pytest.approx(
        0.70 + 32.8 + 2.608 + 0.004
    )
