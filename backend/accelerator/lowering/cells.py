"""The element-wise work of recurrent cells, for the special function unit.

A panel has the rows of a step; gates lie side by side in ONNX's order: i, o, f, c of an LSTM, z, r, h of a GRU. ``sums`` are
the gates before their activation, which the functions here replace.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from reuse_compiler.backend.accelerator.isa import Binary, Elementwise, Special
from reuse_compiler.backend.accelerator.lowering.panels import Panel
from reuse_compiler.backend.accelerator.lowering.recurrent_spec import RecurrentSpec
from reuse_compiler.backend.accelerator.lowering.runs import function_block
from reuse_compiler.backend.accelerator.lowering.specs import FunctionSpec
from reuse_compiler.backend.accelerator.lowering.work import Context, Planned

__all__ = ["CellWork", "gru_state", "gru_switches", "lstm_state", "rnn_state"]

_IDENTITY, _COMPLEMENT = FunctionSpec(Special.IDENTITY), FunctionSpec(Special.AFFINE, -1.0, 1.0)


@dataclass
class CellWork:
    """Collects the instructions of one step."""

    context: Context
    planned: list[Planned] = field(default_factory=list)

    def function(self, spec: FunctionSpec, x: Panel, y: Panel) -> None:
        """y = f(x)."""
        self.context.layer = self.context.parts[""]
        sizes = (1, 1, x.rows, x.columns)
        block = function_block(self.context, spec, x.block, y.block, sizes, (0, 0, x.stride), (0, 0, y.stride))
        self.planned.append(block)

    def copy(self, x: Panel, y: Panel) -> None:
        """y = x."""
        self.function(_IDENTITY, x, y)

    def binary(self, function: Binary, a: Panel, b: Panel | int, y: Panel) -> None:
        """y = f(a, b); `b` may be the eDRAM address of one row of constants."""
        constant = isinstance(b, int)
        instruction = Elementwise(
            layer=self.context.parts[""],
            function=function,
            constant=1 if constant else 0,
            a=a.address,
            a_stride2=a.stride,
            a_stride3=1,
            b=b if isinstance(b, int) else b.address,
            b_stride2=0 if isinstance(b, int) else b.stride,
            b_stride3=1,
            y=y.address,
            y_stride2=y.stride,
            y_stride3=1,
            size0=1,
            size1=1,
            size2=y.rows,
            size3=y.columns,
        )
        reads = [a.region] if isinstance(b, int) else [a.region, b.region]
        self.planned.append(Planned(instruction, reads, [y.region]))

    def gate(self, spec: RecurrentSpec, activation: int, sums: Panel, result: Panel) -> None:
        """Clip, then activate."""
        if spec.finite_clip:
            self.function(FunctionSpec(Special.CLIP, -spec.clip, spec.clip), sums, sums)
        self.function(spec.activations[activation], sums, result)


def lstm_state(work: CellWork, spec: RecurrentSpec, sums: Panel, c: Panel, spare: Panel, h: Panel) -> None:
    """The next c, in its place, and h. `spare` has the size of one gate."""
    size = spec.hidden
    i, o, f, n = (sums.some_columns(gate * size, size) for gate in range(4))
    peephole = None if spec.peephole is None else work.context.constant(work.context.image.add(spec.peephole))
    if peephole is None:
        together = sums.some_columns(0, (2 if spec.input_forget else 3) * size)
        work.gate(spec, 0, together, together)
    else:
        for gate, place in ((i, 0), (f, 2)):
            if gate is i or not spec.input_forget:
                _peep(work, c, peephole + place * size * 4, spare, gate)
                work.gate(spec, 0, gate, gate)
    if spec.input_forget:
        work.function(_COMPLEMENT, i, f)
    work.gate(spec, 1, n, n)
    work.binary(Binary.MUL, f, c, c)
    work.binary(Binary.MUL, i, n, spare)
    work.binary(Binary.ADD, c, spare, c)
    if peephole is not None:
        _peep(work, c, peephole + size * 4, spare, o)
        work.gate(spec, 0, o, o)
    work.function(spec.activations[2], c, spare)
    work.binary(Binary.MUL, o, spare, h)


def _peep(work: CellWork, c: Panel, weights: int, spare: Panel, gate: Panel) -> None:
    """gate += c times the peephole weights at an eDRAM address."""
    work.binary(Binary.MUL, c, weights, spare)
    work.binary(Binary.ADD, gate, spare, gate)


def gru_switches(work: CellWork, spec: RecurrentSpec, sums: Panel, h: Panel, reset: Panel | None) -> None:
    """Gates z and r, and where the reset comes before the product: `reset` = r times the state before, `h`."""
    switches = sums.some_columns(0, 2 * spec.hidden)
    work.gate(spec, 0, switches, switches)
    if reset is not None:
        work.binary(Binary.MUL, sums.some_columns(spec.hidden, spec.hidden), h, reset)


def gru_state(work: CellWork, spec: RecurrentSpec, sums: Panel, before: Panel, spare: Panel, h: Panel) -> None:
    """h = n + z * (before - n), where n is the activated hidden gate."""
    z = sums.some_columns(0, spec.hidden)
    n = sums.some_columns(2 * spec.hidden, spec.hidden)
    work.gate(spec, 1, n, n)
    work.binary(Binary.SUB, before, n, spare)
    work.binary(Binary.MUL, z, spare, spare)
    work.binary(Binary.ADD, n, spare, h)


def rnn_state(work: CellWork, spec: RecurrentSpec, sums: Panel, h: Panel) -> None:
    """The next h."""
    work.gate(spec, 0, sums, h)
