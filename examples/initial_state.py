"""Write what a sequence of DIR/model.reuse.onnx begins with, for native_kernels.cpp: ``python examples/initial_state.py DIR``.

DIR/state/NUMBER.bin holds the bytes of the model's input of that number: zero indices, or the bias as linear output.
"""

import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir

from reuse_compiler.slots import model_slots

folder = Path(sys.argv[1])
model = ir.load(folder / "model.reuse.onnx")
starts = {}
for slot in model_slots(model):
    starts[slot.past_index.name] = slot.initial_index
    starts[slot.past_linear.name] = slot.initial_linear
(folder / "state").mkdir(exist_ok=True)
for number, value in enumerate(model.graph.inputs):
    if value.name in starts:
        (folder / "state" / f"{number}.bin").write_bytes(np.array(starts[value.name]).tobytes())
