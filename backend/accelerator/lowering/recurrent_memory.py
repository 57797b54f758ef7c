"""Where a recurrent layer works: panels for all steps of some rows of the batch, filled before and saved behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.backend.accelerator.isa import Fill, Space
from reuse_compiler.backend.accelerator.lowering.cells import CellWork
from reuse_compiler.backend.accelerator.lowering.emitter import Region
from reuse_compiler.backend.accelerator.lowering.panels import Panel, Range
from reuse_compiler.backend.accelerator.lowering.recurrent_spec import RecurrentSpec, StepRows
from reuse_compiler.backend.accelerator.lowering.specs import Layer
from reuse_compiler.backend.accelerator.lowering.storage import Storage
from reuse_compiler.backend.accelerator.lowering.work import Context, Planned, Work

__all__ = ["RecurrentMemory"]


class RecurrentMemory:
    """The panels of `rows` of a layer; positions of steps are counted in the order in which they are done.

    Making it takes room in the staging region, and raises StagingTooSmallError where there is too little.

    Attributes
    ----------
    begin, end : Work
        What comes before the first step and behind the last.
    index, linear : dict of str to Panel
        The kept state by site, on the reuse machine.
    c, spare, reset, apart : Panel
        The cell state; room for one gate; the reset state; and what a reset gate multiplies. Only where there is one.
    """

    def __init__(self, context: Context, layer: Layer, spec: RecurrentSpec, rows: Range, *, reuse: bool) -> None:
        self._context, self._layer, self._spec, self.rows = context, layer, spec, rows
        self._storages = context.storages.by_tensor
        self.begin, self.end = Work(), Work()
        context.half(0, 1)
        # Without reuse the next product of x begins while the cell still reads its sums.
        self._sums = [self._scratch(spec.gates * spec.hidden) for _ in range(1 if reuse else 2)]
        self.spare = self._scratch(spec.hidden)
        self.c = self._scratch(spec.hidden)
        self.reset = self._scratch(spec.hidden) if "r" in spec.products else None
        self.apart = self._scratch(spec.hidden) if spec.resets_product and not reuse else None
        self.index: dict[str, Panel] = {}
        self.linear: dict[str, Panel] = {}
        for site in spec.products if reuse else ():
            self._state(site)
        self._y = self._storages[spec.y] if spec.y else None
        self._all_y = self._resident(self._y, spec.hidden)
        self._h = [] if self._all_y is not None else [self._scratch(spec.hidden) for _ in range(2)]
        self._x = self._storages[layer.inputs[0].name]
        self._all_x: Panel | None = None
        self._x_slots: list[Panel] = []
        if self._x.buffer_address is None:
            self._x_slots = [self._scratch(spec.inputs) for _ in range(2)]
        self._initial_h = self._begin_h()
        self._begin_c()
        if self._x.buffer_address is not None:
            whole = ((0, spec.steps * spec.rows), (0, spec.inputs))
            context.layer = context.parts[".x"]
            block = context.block(self.begin, self._x, _sizes(whole), whole, 4, read=True)
            self._all_x = Panel.of(block, *_sizes(whole), solid=True)

    def _scratch(self, columns: int) -> Panel:
        return Panel.of(self._context.scratch((self.rows[1], columns)), self.rows[1], columns)

    def _resident(self, storage: Storage | None, columns: int) -> Panel | None:
        """All steps of a tensor that lives in the buffer."""
        if storage is None or storage.buffer_address is None:
            return None
        whole = ((0, self._spec.steps * self._spec.rows), (0, columns))
        block = self._context.block(self.begin, storage, _sizes(whole), whole, 4, read=False)
        return Panel.of(block, *_sizes(whole), solid=True)

    def _state(self, site: str) -> None:
        """The state of a site: kept from run to run, or where steps run backwards begun anew."""
        context, spec = self._context, self._spec
        product, state = spec.products[site], context.storages.states[f"{self._layer.name}.{site}"]
        assert product.quantizer is not None
        context.layer = context.parts[f".{site}"]
        size = product.quantizer.index_dtype.itemsize
        for storage, columns, itemsize, panels in (
            (state.index, product.inputs, size, self.index),
            (state.linear, product.outputs, 4, self.linear),
        ):
            shape, box = (spec.rows, columns), (self.rows, (0, columns))
            block = context.block(self.begin, storage, shape, box, itemsize, read=not spec.reverse)
            panels[site] = Panel.of(block, self.rows[1], columns, itemsize)
            context.write_back(self.end, storage, block, shape, box, itemsize)
        if spec.reverse:
            zero = product.quantizer.zero
            self._fill(self.index[site], value=zero, element_bytes=size, repeat=self.rows[1] * product.inputs)
            source = context.constant(context.image.add(product.bias))
            copies = {"count": product.outputs, "repeat": 1, "copies": self.rows[1]}
            self._fill(self.linear[site], source=source, element_bytes=4, **copies)

    def _fill(self, panel: Panel, **fields: int) -> None:
        fill = Fill(layer=self._context.layer, space=Space.BUFFER, address=panel.address, **fields)
        self.begin.loads.append(Planned(fill, [], [panel.region]))

    def _begin_h(self) -> Panel:
        """The hidden state before the first step."""
        context, spec, initial = self._context, self._spec, self._spec.initial_h
        context.layer = context.parts[""]
        if initial is not None and not isinstance(initial, np.ndarray):
            box = (self.rows, (0, spec.hidden))
            block = context.block(self.begin, self._storages[initial.name], (spec.rows, spec.hidden), box, 4, read=True)
            return Panel.of(block, self.rows[1], spec.hidden)
        panel = self._scratch(spec.hidden)
        self._constant(panel, initial)
        return panel

    def _begin_c(self) -> None:
        """The cell state before the first step, in its place."""
        context, spec, initial = self._context, self._spec, self._spec.initial_c
        if spec.kind != "LSTM":
            return
        if initial is None or isinstance(initial, np.ndarray):
            self._constant(self.c, initial)
            return
        storage, shape, box = self._storages[initial.name], (spec.rows, spec.hidden), (self.rows, (0, spec.hidden))
        if storage.buffer_address is None:
            self.begin.loads.append(context.load(storage, self.c.block, shape, box, 4))
            return
        copied = CellWork(context, self.begin.computes)
        block = context.block(self.begin, storage, shape, box, 4, read=True)
        copied.copy(Panel.of(block, self.rows[1], spec.hidden), self.c)

    def _constant(self, panel: Panel, values: NDArray[Any] | None) -> None:
        size = self.rows[1] * self._spec.hidden
        if values is None:
            self._fill(panel, value=0, element_bytes=4, repeat=size)
            return
        source = self._context.constant(self._context.image.add(values)) + self.rows[0] * self._spec.hidden * 4
        self._fill(panel, source=source, element_bytes=4, count=size, repeat=1, copies=1)

    def _within(self, panel: Panel, rows: StepRows) -> Panel:
        return panel.some_rows(rows.start - self.rows[0], rows.count)

    def some(self, panel: Panel | None, rows: StepRows) -> Panel:
        """The rows of a step of a panel of all rows."""
        assert panel is not None
        return self._within(panel, rows)

    def sums(self, position: int, rows: StepRows) -> Panel:
        """The gates of a step before their activation."""
        return self._within(self._sums[position % len(self._sums)], rows)

    def x(self, step: int, position: int, rows: StepRows, work: Work) -> Panel:
        """The input of a step; a load joins `work` where it lies in DRAM."""
        start = step * self._spec.rows + rows.start
        if self._all_x is not None:
            return self._all_x.some_rows(start, rows.count)
        panel = self._within(self._x_slots[position % 2], rows)
        box = ((start, rows.count), (0, self._spec.inputs))
        shape = (self._spec.steps * self._spec.rows, self._spec.inputs)
        self._context.layer = self._context.parts[".x"]
        load = self._context.load(self._x, panel.block, shape, box, 4)
        work.loads.append(replace(load, reads=[_in_dram(self._x)]))
        return panel

    def h(self, step: int, position: int, rows: StepRows) -> Panel:
        """Where the hidden state of a step goes."""
        if self._all_y is not None:
            return self._all_y.some_rows(step * self._spec.rows + rows.start, rows.count)
        return self._within(self._h[position % 2], rows)

    def before(self, position: int, rows: StepRows) -> Panel:
        """The hidden state of the step before."""
        if rows.first:
            return self._within(self._initial_h, rows)
        return self.h(self._spec.order[position - 1], position - 1, rows)

    def save_output(self, step: int, h: Panel, rows: StepRows, work: Work) -> None:
        """Store the output of a step that lies in DRAM."""
        if self._y is not None and self._all_y is None:
            box = ((step * self._spec.rows + rows.start, rows.count), (0, self._spec.hidden))
            shape = (self._spec.steps * self._spec.rows, self._spec.hidden)
            saved = Work()
            self._context.write_back(saved, self._y, h.block, shape, box, 4)
            work.stores += [replace(store, writes=[_in_dram(self._y)]) for store in saved.stores]

    def save_last(self, what: str) -> None:
        """Copy the last ``h`` or ``c`` to its output, where that is used."""
        context, spec = self._context, self._spec
        name = {"h": spec.y_h, "c": spec.y_c}[what]
        if not name:
            return
        storage, shape = self._storages[name], (spec.rows, spec.hidden)
        context.layer = context.parts[""]
        copied = CellWork(context, self.end.computes)
        for rows, panel in self._last_h() if what == "h" else [(self.rows, self.c)]:
            box = (rows, (0, spec.hidden))
            if storage.buffer_address is None:
                context.write_back(self.end, storage, panel.block, shape, box, 4)
            else:
                block = context.block(self.end, storage, shape, box, 4, read=False)
                copied.copy(panel, Panel.of(block, *_sizes(box), solid=True))

    def _last_h(self) -> Iterator[tuple[Range, Panel]]:
        """The last hidden state of runs of rows that end alike."""
        spec = self._spec
        start, stop = self.rows[0], sum(self.rows)
        while start < stop:
            last = spec.last_step(start)
            count = next((n for n in range(1, stop - start) if spec.last_step(start + n) != last), stop - start)
            rows = StepRows(start, count, last < 0)
            position = 0 if last < 0 else spec.order.index(last)
            yield (start, count), self._within(self._initial_h, rows) if last < 0 else self.h(last, position, rows)
            start += count


def _in_dram(storage: Storage) -> Region:
    """All of a tensor: its rows, one a step, would be too many to keep apart."""
    assert storage.dram_address is not None
    return Region((storage, Space.DRAM), storage.dram_address, storage.dram_address + storage.bytes)


def _sizes(box: tuple[Range, Range]) -> tuple[int, int]:
    return box[0][1], box[1][1]
