"""Run DIR/model.reuse.onnx in an onnxruntime of one's own: native kernels, and the state corrected where it lies.

``python examples/native_kernels.py DIR FRAMES.npz OUTPUTS.npz`` runs one sequence, an array for each input, frames first.
"""

import sys

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from reuse_compiler.backend.cpu import library
from reuse_compiler.slots import model_slots

if len(sys.argv) != 4 or library() is None:
    raise SystemExit("usage: native_kernels.py DIR FRAMES.npz OUTPUTS.npz, where the kernel library was built")
model, arrays, results = f"{sys.argv[1]}/model.reuse.onnx", np.load(sys.argv[2]), sys.argv[3]
options = ort.SessionOptions()
options.register_custom_ops_library(str(library()))
session = ort.InferenceSession(model, options)
shapes = {one.name: one.shape for one in session.get_inputs()}
frames = {name: arrays[name].reshape(-1, *shapes[name]) for name in arrays if not name.startswith("__")}
binding = session.io_binding()
outputs = [output.name for output in session.get_outputs() if not output.name.startswith("present_")]
for name in outputs:
    binding.bind_output(name)
kept = []  # the bindings hold no memory
for slot in model_slots(ir.load(model)):  # a sequence begins with zero indices and the bias as linear output
    index, linear = map(np.array, (slot.initial_index, slot.initial_linear))
    for past, present, start in (
        (slot.past_index, slot.present_index, index),
        (slot.past_linear, slot.present_linear, linear),
    ):
        kept.append(ort.OrtValue.ortvalue_from_numpy(start))
        binding.bind_ortvalue_input(past.name, kept[-1])
        binding.bind_ortvalue_output(present.name, kept[-1])

found: dict[str, list[np.ndarray]] = {name: [] for name in outputs}
for inputs in zip(*frames.values(), strict=True):
    for name, array in zip(frames, inputs, strict=True):
        binding.bind_cpu_input(name, np.ascontiguousarray(array))
    session.run_with_iobinding(binding)
    for name, value in zip(outputs, binding.get_outputs(), strict=False):
        found[name].append(value.numpy().copy())
np.savez(results, **{name: np.stack(arrays) for name, arrays in found.items()})
