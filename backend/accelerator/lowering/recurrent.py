"""Lower a recurrent layer: its time steps one after the other, over rows of the batch that the staging region holds.

A step is a product for each site, delta.fc or dense.fc, and the element-wise work of the cell. The input of the next step
does not wait for the cell: its product is computed beside. On the reuse machine the products stay apart, since each is
kept and corrected; without reuse they accumulate in one place.

Weights that do not stay in the eDRAM are loaded once a frame where both of its staging halves together hold those of the
layer, and for every step anew where not. What the cell works on lives in the staging region of the I/O buffer, as do rows
of the input and of the output where these lie in DRAM, and the kept state, which is then moved once a frame.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from reuse_compiler.backend.accelerator.isa import Binary, Fill, Load, Space
from reuse_compiler.backend.accelerator.lowering.cells import CellWork, gru_state, gru_switches, lstm_state, rnn_state
from reuse_compiler.backend.accelerator.lowering.constants import Constant
from reuse_compiler.backend.accelerator.lowering.emitter import Region
from reuse_compiler.backend.accelerator.lowering.fc import Tile, delta_fc, dense_fc, tile_weights, weight_parts
from reuse_compiler.backend.accelerator.lowering.panels import Panel, Range
from reuse_compiler.backend.accelerator.lowering.quantizing import quantizer_configuration
from reuse_compiler.backend.accelerator.lowering.recurrent_memory import RecurrentMemory
from reuse_compiler.backend.accelerator.lowering.recurrent_spec import RecurrentSpec, StepRows
from reuse_compiler.backend.accelerator.lowering.specs import Layer
from reuse_compiler.backend.accelerator.lowering.storage import aligned
from reuse_compiler.backend.accelerator.lowering.tiling import split_range
from reuse_compiler.backend.accelerator.lowering.work import (
    WEIGHTS,
    Context,
    Planned,
    StagingTooSmallError,
    Work,
    pipeline,
)
from reuse_compiler.backend.accelerator.program import StepIndices
from reuse_compiler.quantizers import Quantizer

__all__ = ["StepNote", "lower_recurrent"]


@dataclass(frozen=True)
class StepNote:
    """Where indices of a site lie after a step; the number of the instruction is not known yet."""

    site: str
    indices: StepIndices

    def after(self, number: int) -> StepIndices:
        """With the number of the instruction."""
        return replace(self.indices, after=number)


@dataclass(frozen=True)
class _Target:
    """Where a product of some outputs goes; `bias` is the eDRAM address of the bias of output 0."""

    outputs: Range
    panel: Panel
    accumulate: bool = False
    bias: int = 0  # not read where the product accumulates


def lower_recurrent(context: Context, layer: Layer, spec: RecurrentSpec) -> None:
    """Emit the instructions of `layer`. Raises StagingTooSmallError where the staging region does not hold one row."""
    reuse = context.reuse and bool(spec.quantizers)
    first = Work()
    context.held = _hold_weights(context, spec, first)
    first.loads += _silence(context, spec)
    pipeline(context.emitter, [first])
    for rows in split_range(spec.rows, _rows_at_once(context, layer, spec, reuse)):
        pipeline(context.emitter, _Sweep(context, layer, spec, rows, reuse=reuse).works())
    context.held = {}


def _hold_weights(context: Context, spec: RecurrentSpec, work: Work) -> dict[Constant, Region]:
    """Load the weights that do not stay in the eDRAM side by side into its staging region, where that holds them."""
    streamed = {site: context.image.add(product.weight) for site, product in spec.products.items()}
    streamed = {site: constant for site, constant in streamed.items() if context.is_streamed(constant)}
    held: dict[Constant, Region] = {}
    start, size = context.residency.staging_start, 0
    for constant in streamed.values():
        if constant not in held:
            held[constant] = Region(WEIGHTS, start + size, start + size + constant.bytes)
            size += aligned(constant.bytes)
    if size > 2 * context.residency.staging_half:
        return {}
    for site, constant in streamed.items():
        load = Load(
            layer=context.parts[f".{site}"],
            space=Space.EDRAM,
            dram_address=constant.address,
            address=held[constant].start,
            run_bytes=constant.bytes,
            count0=1,
            count1=1,
        )
        work.loads.append(Planned(load, [], [held[constant]]))
    return held


def _silence(context: Context, spec: RecurrentSpec) -> Iterator[Planned]:
    """The output is 0 behind the end of each row."""
    if not spec.y:
        return
    storage = context.storages.by_tensor[spec.y]
    in_buffer = storage.buffer_address is not None
    base = storage.buffer_address if in_buffer else storage.dram_address
    assert base is not None
    space = Space.BUFFER if in_buffer else Space.DRAM
    for start, count in spec.beyond:
        address, size = base + start * spec.hidden * 4, count * spec.hidden
        fill = Fill(layer=context.layer, space=space, address=address, element_bytes=4, repeat=size)
        area = "activations" if in_buffer else (storage, Space.DRAM)
        yield Planned(fill, [], [Region(area, address, address + size * 4)])


def _rows_at_once(context: Context, layer: Layer, spec: RecurrentSpec, reuse: bool) -> int:
    """The most rows of the batch whose panels the staging region holds."""
    loaded, rows = dict(context.loaded), spec.rows
    while rows:
        try:
            RecurrentMemory(context, layer, spec, (0, rows), reuse=reuse)
        except StagingTooSmallError:
            rows //= 2
        else:
            return rows
        finally:
            context.loaded = dict(loaded)
    raise StagingTooSmallError(layer.name)


class _Sweep:
    """All steps of some rows of the batch."""

    def __init__(
        self,
        context: Context,
        layer: Layer,
        spec: RecurrentSpec,
        rows: Range,
        *,
        reuse: bool,
    ) -> None:
        self._context, self._layer, self._spec = context, layer, spec
        self._rows, self._reuse, self._streamed = rows, reuse, 0
        self._memory = RecurrentMemory(context, layer, spec, rows, reuse=reuse)
        self._parts: dict[tuple[str, Range], tuple[list[Range], list[Range]]] = {}
        self._configured: Quantizer | None = None
        biases = {} if reuse else spec.dense_biases
        self._biases = {site: context.constant(context.image.add(bias)) for site, bias in biases.items()}
        weights = [context.image.add(weight) for weight in spec.weights]
        self._alike = not any(context.passes_through(constant) for constant in weights)
        self._known: dict[tuple[Panel | StepRows, ...], list[Work]] = {}

    def works(self) -> list[Work]:
        """Of all steps, what comes before, and what comes behind."""
        works = [self._memory.begin]
        for position, step in enumerate(self._spec.order):
            for rows in self._step_rows(step):
                works += self._step(step, position, rows)
            works[-1].notes += self._notes(step)
        self._memory.save_last("h")
        if self._spec.kind == "LSTM":
            self._memory.save_last("c")
        return [*works, self._memory.end]

    def _step_rows(self, step: int) -> Iterator[StepRows]:
        """The rows of this sweep that a step works on."""
        first, behind = self._rows[0], sum(self._rows)
        for rows in self._spec.schedule[step]:
            start, stop = max(rows.start, first), min(rows.start + rows.count, behind)
            if start < stop:
                yield StepRows(start, stop - start, rows.first)

    def _notes(self, step: int) -> Iterator[StepNote]:
        for site, index in self._memory.index.items():
            place = StepIndices(after=0, step=step, row=self._rows[0], rows=self._rows[1], address=index.address)
            yield StepNote(f"{self._layer.name}.{site}", place)

    def _step(self, step: int, position: int, rows: StepRows) -> list[Work]:
        """What one step loads, its products and its cell, and what it stores."""
        memory, start = self._memory, Work()
        x, before = memory.x(step, position, rows, start), memory.before(position, rows)
        sums, h = memory.sums(position, rows), memory.h(step, position, rows)
        key = (rows, x, before, sums, h)
        body = self._known.get(key) or self._body(*key)
        if position and self._alike:  # from the second step on each finds the quantizer that the one before left
            self._known[key] = body
        works = [start, *(Work(computes=work.computes, controls=work.controls, loads=work.loads) for work in body)]
        self._context.layer = self._context.parts[""]
        memory.save_output(step, h, rows, works[-1])
        return works

    def _body(self, rows: StepRows, x: Panel, before: Panel, sums: Panel, h: Panel) -> list[Work]:
        """The products and the cell of one step."""
        memory, spec = self._memory, self._spec
        works = self._product("x", x, rows, [self._whole("x", sums, rows)])
        works += self._product("h", before, rows, self._recurrent_targets(sums, rows))
        cell = CellWork(self._context)
        if spec.kind == "GRU":
            self._add_products(cell, sums, rows, 2)
            works += self._switch(cell, sums, before, rows)
            gru_state(cell, spec, sums, before, memory.some(memory.spare, rows), h)
        else:
            self._add_products(cell, sums, rows, spec.gates)
            if spec.kind == "LSTM":
                lstm_state(cell, spec, sums, memory.some(memory.c, rows), memory.some(memory.spare, rows), h)
            else:
                rnn_state(cell, spec, sums, h)
        return [*works, Work(computes=cell.planned)]

    def _switch(self, cell: CellWork, sums: Panel, before: Panel, rows: StepRows) -> list[Work]:
        """Gates z and r of a GRU, and the sum of its hidden gate."""
        memory, spec, size = self._memory, self._spec, self._spec.hidden
        reset = None if memory.reset is None else memory.some(memory.reset, rows)
        gru_switches(cell, spec, sums, before, reset)
        works = []
        hidden = sums.some_columns(2 * size, size)
        if reset is not None:
            works.append(Work(computes=cell.planned))
            works += self._product("r", reset, rows, [self._whole("r", hidden, rows)])
            cell.planned = []
            if self._reuse:
                fresh = memory.some(memory.linear["x"], rows).some_columns(2 * size, size)
                cell.binary(Binary.ADD, fresh, memory.some(memory.linear["r"], rows), hidden)
            return works
        spare, gate = memory.some(memory.spare, rows), sums.some_columns(size, size)
        if self._reuse:
            product = memory.some(memory.linear["h"], rows).some_columns(2 * size, size)
            fresh = memory.some(memory.linear["x"], rows).some_columns(2 * size, size)
        else:
            product, fresh = memory.some(memory.apart, rows), hidden
        cell.binary(Binary.MUL, gate, product, spare)
        cell.binary(Binary.ADD, fresh, spare, hidden)
        return works

    def _add_products(self, cell: CellWork, sums: Panel, rows: StepRows, gates: int) -> None:
        """The first gates of the sums, where products stay apart."""
        if self._reuse:
            x, h = (
                self._memory.some(self._memory.linear[site], rows).some_columns(0, gates * self._spec.hidden)
                for site in ("x", "h")
            )
            cell.binary(Binary.ADD, x, h, sums.some_columns(0, gates * self._spec.hidden))

    def _whole(self, site: str, sums: Panel, rows: StepRows) -> _Target:
        """A product with one target: the linear outputs that are kept, or the sums, which that of x begins."""
        outputs = (0, self._spec.products[site].outputs)
        if self._reuse:
            return _Target(outputs, self._memory.some(self._memory.linear[site], rows))
        return _Target(outputs, sums.some_columns(0, outputs[1]), accumulate=site != "x", bias=self._biases["x"])

    def _recurrent_targets(self, sums: Panel, rows: StepRows) -> list[_Target]:
        """Of the product of the hidden state; what a reset gate multiplies stays apart."""
        if self._reuse or self._memory.apart is None:
            return [self._whole("h", sums, rows)]
        size = self._spec.hidden
        apart = _Target((2 * size, size), self._memory.some(self._memory.apart, rows), bias=self._biases["h"])
        switches = _Target((0, 2 * size), sums.some_columns(0, 2 * size), accumulate=True, bias=self._biases["x"])
        return [switches, apart]

    def _product(self, site: str, operand: Panel, rows: StepRows, targets: list[_Target]) -> list[Work]:
        """The tiles of one product of one step; those that load weights are works of their own."""
        context, product = self._context, self._spec.products[site]
        context.layer = context.parts[f".{site}"]
        works = [Work()]
        if self._reuse and product.quantizer != self._configured:
            assert product.quantizer is not None
            self._configured = product.quantizer
            works[0].controls.append(quantizer_configuration(context, product.quantizer))
        for row, target, tile in self._tiles(site, operand.rows, targets):
            if context.passes_through(context.image.add(product.weight)):
                works.append(Work())
                self._streamed += 1
            weights = tile_weights(context, product, works[-1], tile, self._streamed)
            part = operand.part(row, tile.inputs).block
            z = target.panel.part(row, (tile.outputs[0] - target.outputs[0], tile.outputs[1])).block
            if self._reuse:
                index = self._memory.some(self._memory.index[site], rows).part(row, tile.inputs).block
                planned = delta_fc(context, tile, part, index, z, weights, listed=False)
            else:
                again = target.accumulate or not tile.first
                planned = dense_fc(context, tile, part, z, weights, target.bias, accumulate=again)
            works[-1].computes.append(planned)
        return works

    def _tiles(self, site: str, rows: int, targets: list[_Target]) -> Iterator[tuple[Range, _Target, Tile]]:
        context, product = self._context, self._spec.products[site]
        parts = []
        for target in targets:
            if (site, target.outputs) not in self._parts:
                self._parts[site, target.outputs] = weight_parts(context, product, target.outputs)
            parts.append(self._parts[site, target.outputs])
        most = max(context.tiling.accumulators // max(outputs[0][1] for outputs, _ in parts), 1)
        for row in split_range(rows, most):
            for target, (outputs, inputs) in zip(targets, parts, strict=True):
                for out, part in itertools.product(outputs, inputs):
                    last = target is targets[-1] and out == outputs[-1]
                    yield row, target, Tile(row, part, out, part == inputs[0], part == inputs[-1], last)
