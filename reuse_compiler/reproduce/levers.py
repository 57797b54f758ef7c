"""Which constant moves what: the same-input check with one constant of the hardware changed at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reuse_compiler.backend.accelerator.cost import CostModel, Costs
from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.program import Program
from reuse_compiler.reproduce.same_input import DRAWN_FRAMES, drawn_trace
from reuse_compiler.reproduce.sensitivity import Row, Savings, Variation

__all__ = ["LEVERS", "levers"]

LEVERS: Mapping[str, tuple[float, ...]] = {
    "quantizer.inputs_per_cycle": (1, 4),
    "special.lanes": (1, 4),
    "compute.multiply_pj": (0.5, 2.0),
    "edram.read_pj_per_byte": (0.5, 2.0),
    "edram.leakage_mw": (0.5, 2.0),
    "buffer.reuse.read_pj_per_byte": (0.5, 2.0),
    "buffer.reuse.leakage_mw": (0.5, 2.0),
    "quantizer.scan_pj": (0.5, 2.0),
    "special.operation_pj": (0.5, 2.0),
    "dram.read_pj_per_byte": (0.5, 2.0),
    "dram.background_mw": (0.5, 2.0),
}
"""Rates as they are set, energies and powers as factors. What has a baseline's twin moves with it."""
_RATES = ("quantizer.inputs_per_cycle", "special.lanes")
_TWINS = {
    "buffer.reuse.read_pj_per_byte": "buffer.base.read_pj_per_byte",
    "buffer.reuse.leakage_mw": "buffer.base.leakage_mw",
}


def levers(program: Program, hardware: Hardware, reuse: float) -> Iterator[Row]:
    """Speedup and energy saving of `program` at the rate `reuse`; the first row is the hardware as it is."""
    trace = drawn_trace(program, reuse, DRAWN_FRAMES)
    values = {
        name: float(str(value)) for name, value, *_ in hardware.constants() if name in {*LEVERS, *_TWINS.values()}
    }
    as_it_is = CostModel(program, hardware)
    as_it_is.add(trace)
    yield Variation("as it is", "", "trace"), _savings(as_it_is.costs(), reuse)
    for name, tried in LEVERS.items():
        for value in tried:
            if name in _RATES:
                model = CostModel(program, hardware.varied({name: value}))
                model.add(trace)
                yield Variation(name, f"{value:g}", "trace"), _savings(model.costs(), reuse)
                continue
            both = [name, *([_TWINS[name]] if name in _TWINS else [])]
            changed = hardware.varied({constant: values[constant] * value for constant in both})
            yield Variation(name, f"times {value:g}", "trace"), _savings(as_it_is.costs(changed), reuse)


def _savings(costs: Costs, reuse: float) -> Savings:
    return Savings(costs.speedup, costs.energy_saving, reuse, reuse)
