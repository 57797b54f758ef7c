"""The cycles of a small LSTM, followed by hand from instruction to instruction.

Two steps of one row, 96 inputs, 64 cells: 256 gates, two cycles of 128 lanes for an input. Both machines fill h and c with
zeros (256 bytes each, 64 a cycle) and load the first input: 4 + 4 + 50 + ceil(384 / 51.2) = 66 cycles, ready at 72. The cell
takes 12 cycles a pass and 192 elements, 4 a pass and 64, and each instruction reads what the ones before have written 4
cycles after they end. What remains behind the last step are stores of Y, Y_h and Y_c, 50 + ceil(256 / 51.2) = 55 cycles each,
and 6 until they are complete.
"""

from __future__ import annotations

import numpy as np
import pytest

from reuse_compiler.backend.accelerator.cost import CostModel
from reuse_compiler.backend.accelerator.hardware import Hardware
from reuse_compiler.backend.accelerator.interpreter import Interpreter
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.backend.accelerator.program import Program
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import QuantizerSpec
from tests.backend.accelerator.lowering.recurrence import Recurrence, directions, plan_of

LAYER = Recurrence("LSTM", steps=2, rows=1, inputs=96, hidden=64)
QUANTIZER = QuantizerSpec(step=0.125, zero=20, clusters=41, deadband=0.0)
LOADED, SAVED = 72, 3 * 55 + 6

# sigmoid of i, o, f 24; tanh of the fourth gate 8, beside the wait for i, o, f; f * c 4; i * g 4 when the tanh is ready, which
# is 4 after its end; then c + i * g 4 + 4, tanh of c 4 + 8, times o 4 + 4; ready 4 later.
CELL = 24 + 8 + 4 + 4 + (4 + 4) + (4 + 8) + (4 + 4) + 4


@pytest.fixture(scope="module")
def program(hardware: Hardware) -> Program:
    model = LAYER.model()
    return lower(rewrite(model, plan_of(model, QUANTIZER)), hardware.tiling, model.sha256)


def test_without_reuse(program: Program, hardware: Hardware) -> None:
    """The product of h adds to that of x, 8 cycles after it; the next product of x begins while the cell works."""
    of_x, of_h = 96 * 2, 64 * 2
    first_done = LOADED + of_x + 8 + of_h
    assert first_done + 8 + CELL < first_done + of_x + 8, "the next product of h waits for that of x alone"
    second_done = first_done + of_x + 8 + of_h
    costs = CostModel(program, hardware)
    costs.add(np.zeros((1, costs.columns), np.int64))
    assert costs.costs().baseline.total_cycles == second_done + 8 + CELL + SAVED == 979


def test_with_reuse(program: Program, hardware: Hardware) -> None:
    """Products follow each other without a wait; the cell first adds them, in 16 cycles, and then the next may begin."""
    interpreter, reference = Interpreter(program), directions(LAYER, QUANTIZER.build())["n"]
    totals = []
    for inputs in LAYER.frames(3):
        past = {site: held.copy() for site, held in reference.held.items()}
        ran = reference.run(inputs)
        steps = {site: np.concatenate([past[site][None], ran.indices[site]]) for site in past}
        changed = {site: (steps[site][1:] != steps[site][:-1]).sum(axis=(1, 2)) for site in steps}
        of_x = [max(2 * int(count), 96 // 16) for count in changed["x"]]
        of_h = [max(2 * int(count), 64 // 16) for count in changed["h"]]
        products = LOADED + of_x[0] + of_h[0]
        added = products + 8 + 16 + 4
        next_x = max(added, products) + of_x[1]
        products = max(next_x, added + CELL) + of_h[1]
        expected = products + 8 + 16 + 4 + CELL + SAVED
        interpreter.run(inputs)
        costs = CostModel(program, hardware)
        costs.add(interpreter.counts[None])
        assert costs.costs().reuse.total_cycles == expected
        totals.append(expected)
    assert len(set(totals)) == 3, "each frame changes other inputs"
