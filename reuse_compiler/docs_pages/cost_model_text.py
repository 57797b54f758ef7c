"""What the page of the cost model says beside its tables."""

from __future__ import annotations

__all__ = ["BEHIND_ENERGY", "BEHIND_TIMING", "BUSY", "CONSTANTS", "ENERGY", "INTRODUCTION", "TIMING"]

INTRODUCTION = """
# Cost model

<!-- Written by `make docs` from reuse_compiler/docs_pages/cost_model*.py and backend/accelerator/hardware/: change them, not this page. -->

Cycles, energy and area come from a model of an accelerator, not from silicon. The interpreter runs the program and writes a
*trace*: for every frame, how many inputs of which fan-out changed. Everything else follows from the instructions. What costs
are computed from is therefore the program, the trace and the hardware file, and never values. So one trace can be costed for
another clock, another DRAM or other energies without running the model again. Other memory sizes want another program: `compile` it for that hardware.

The baseline is the same accelerator and the same lowering with every layer dense: no quantizer, no tables, no kept state, a smaller I/O buffer. It
does not skip zeros. Its costs are the same in every frame, and it is never executed.

A layer's row in a report has the sum of all its instructions over all frames, sequence starts included. The one-time load of the
weights stands apart, under `setup`.

## Events

Instructions cause events. [The instruction set](isa.md) says of each instruction which ones.
"""

TIMING = """
A changed input reads its two centroids and the weights of its fan-out. A `delta` instruction in which anything changed reads and writes its linear outputs
once. An input under a deadband reads its past centroid too, and one with a table a boundary for every comparison of the binary search.

## The timing rule

The control unit issues instructions in program order, one in `clock.issue_cycles`. Each unit executes its own in order. For the
instruction at position *p* of a section, on a unit *u*:

```text
start = the latest of  p * clock.issue_cycles
                       end of the instruction before on u
                       ready of every instruction that it waits for
end   = start + busy           u is free again
ready = end + latency of u     what waits for this one may start
```

What an instruction waits for is written in its header. Latencies are `data_master.latency_cycles`, `compute.latency_cycles` and `special.latency_cycles`;
the host has none. Overlap of loads, computation and stores is not a number that is assumed: it is what these waits allow.

A frame takes until the last `ready` of its section, and no less than it takes to issue all instructions. Frames do not overlap: a section ends
with `sync`. A layer is charged with what its instructions add to the end of all work so far, so that layers add up to the frame.

*busy* is the number of cycles that the instruction keeps its unit. ⌈ ⌉ rounds up, *fan-out* is the number of multiply-accumulates
that an input takes part in, at the border of a CONV fewer than inside:
"""

_TRANSFER = "`dram.latency_cycles` + ⌈bytes / `dram.bytes_per_cycle`⌉, 0 for no bytes"

BUSY = (
    ("`load`, `store`", _TRANSFER),
    ("`fill`", f"to DRAM: {_TRANSFER}; to the I/O buffer: ⌈bytes / `data_master.buffer_bytes_per_cycle`⌉"),
    ("`quantize`", "scan = ⌈inputs / `quantizer.inputs_per_cycle`⌉"),
    (
        "`delta.fc`, `delta.conv`",
        "max(scan, Σ over changed inputs ⌈fan-out / `compute.lanes`⌉); the sum of the two where `quantizer.overlapped` is no",
    ),
    ("`dense.fc`, `dense.matmul`", "matrices × rows × inputs × ⌈outputs / `compute.lanes`⌉"),
    ("`dense.conv`", "Σ over all inputs ⌈fan-out / `compute.lanes`⌉"),
    (
        "`function`, `elementwise`, `select`, `pool`, `reduce`, `scan`, `resample`, `copy`, `gather`",
        "⌈elements × passes / `special.lanes`⌉",
    ),
    (
        "`host`",
        "⌈macs / `compute.lanes`⌉ + ⌈elements × passes / `special.lanes`⌉ + the transfers of its inputs and of its outputs, each as a `load`",
    ),
    ("`configure.*`, `loop`, `sync`, `halt`", "0: the control unit executes them as it meets them"),
)
"""Busy cycles by instruction."""

BEHIND_TIMING = """
Passes are how often an element goes through the special function unit: `special.passes`, by what the function is made of. [The
choices](isa.md#choices) of functions list them. A pooling window counts each of its elements, a reduction that squares counts two.

## The energy rule

Energy is events times energy an event, and leakage times time. With *t* = cycles / `clock.frequency_hz`, in nanoseconds, a leakage in mW
times *t* is in pJ. *MAC* stands for `compute.multiply_pj` + `compute.add_pj` + `compute.register_pj`.
"""

_MEMORY = "read bytes × `{0}.read_pj_per_byte` + written bytes × `{0}.write_pj_per_byte` + `{0}.{1}` × *t*"

ENERGY = {
    "compute": "`macs` × *MAC* + `compute.leakage_mw` × *t*",
    "quantizer": (
        "`inputs_scanned` × `quantizer.scan_pj` + `inputs_changed` × `quantizer.changed_pj`"
        " + `comparisons` × `quantizer.compare_pj`"
    ),
    "special": "`special_operations` × `special.operation_pj` + `special.leakage_mw` × *t*",
    "edram": _MEMORY.format("edram", "leakage_mw"),
    "buffer": (
        "with `buffer.reuse`, in the baseline `buffer.base`: "
        + _MEMORY.format("buffer.*", "leakage_mw")
        + "; where `compute.partial_sums` is `buffer`, also `mac_cycles` × `compute.lanes` × 4 bytes, read and written"
    ),
    "tables": (
        "`table_read_words` × `tables.read_pj` + `table_write_words` × `tables.write_pj` + `tables.leakage_mw` × *t*;"
        " the baseline has none"
    ),
    "dram": _MEMORY.format("dram", "background_mw"),
    "host": "`host_macs` × *MAC* + `host_operations` × `special.operation_pj`: priced as the accelerator's own, an assumption",
}
"""Energy by component."""

BEHIND_ENERGY = """
By hand, a million multiply-accumulates of the baseline in 7,813 cycles, that is 15.6 µs, whose weights come from the eDRAM: the compute engine takes
1,000,000 × 3.407 pJ + 35 mW × 15,626 ns = 3.954 µJ, the eDRAM 4,000,000 bytes × 1.05 pJ + 264 mW × 15,626 ns = 8.325 µJ.

```python
from reuse_compiler import load_hardware
from reuse_compiler.backend.accelerator.energy import energy_pj
from reuse_compiler.backend.accelerator.isa import Event

events = {Event.MACS: 1_000_000, Event.EDRAM_READ: 4_000_000}
for component, energy in energy_pj(events, 7_813, load_hardware("isca18"), reuse=False).items():
    print(f"{component:10} {energy / 1e6:.3f} µJ")
```

```text
compute    3.954 µJ
quantizer  0.000 µJ
special    0.000 µJ
edram      8.325 µJ
buffer     1.884 µJ
tables     0.000 µJ
dram       1.188 µJ
host       0.000 µJ
```

Areas are those of the compute engine, the eDRAM, the I/O buffer of the machine in question and, of the reuse machine, its tables: `area_mm2` of each,
added up.

## What is assumed

Beside the constants that are tagged A below:

- Queues never fill, and the control unit never stalls but for `clock.issue_cycles`.
- Memories inside the chip have no bank conflicts, and their reads and writes hide behind the computation; they cost energy, not cycles.
- DRAM has a latency a transfer and a bandwidth, no pages and no refresh pauses.
- Centroids and boundaries that the tables have no room for cost what a table read costs.
- Both alternatives of a `select` are read, and an entry of a `gather` that leaves y as it is counts as if it moved.
- The host works at the accelerator's own rates, behind a DRAM round trip of its inputs and outputs. It costs the same with reuse and without.
"""

CONSTANTS = """
## Constants

`reusec hardware NAME` prints them, a report repeats them in `hardware.constants`. The letter in front of a source says of what kind it is: **P** the
paper (Riera, Arnau, González, ISCA 2018); **C** a run of CACTI 7.0 at 32 nm and 350 K; **L** literature; **S** scaled from literature; **A** an
assumption of this project. [Adding a hardware](extending/hardware.md) shows how to change them.
"""
