"""Models of one node, lowered for accelerators so small that tensors are staged, and run beside onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from reuse_compiler.backend.accelerator.accounting import check_code
from reuse_compiler.backend.accelerator.assembler import assemble, disassemble
from reuse_compiler.backend.accelerator.hardware import load_hardware
from reuse_compiler.backend.accelerator.hazards import races
from reuse_compiler.backend.accelerator.interpreter import Interpreter
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.backend.accelerator.program import Program, Tiling
from reuse_compiler.backend.accelerator.program_file import digest
from reuse_compiler.passes.infer_shapes import InferShapes

__all__ = ["compare", "model_of", "outputs_of", "program_of"]

Array = NDArray[Any]
HARDWARE = load_hardware("isca18")


def model_of(
    op: str,
    operands: Sequence[Array | None],
    *,
    data: Sequence[int] = (0,),
    outputs: int = 1,
    opset: int = 20,
    between: bool = False,
    **attributes: Any,
) -> onnx.ModelProto:
    """A model of the node: operands at the positions `data` are its inputs, others constants; None leaves one out.

    `between` puts a Neg before each input and behind each output, so that these have a place in the I/O buffer.
    """
    names = ["" if operand is None else f"p{number}" for number, operand in enumerate(operands)]
    inputs, constants, nodes = [], [], []
    for number, operand in enumerate(operands):
        if operand is None:
            continue
        if number not in data:
            constants.append(numpy_helper.from_array(operand, names[number]))
            continue
        kind = helper.np_dtype_to_tensor_dtype(operand.dtype)
        inputs.append(helper.make_tensor_value_info(f"in{number}", kind, operand.shape))
        nodes.append(helper.make_node("Neg" if between else "Identity", [f"in{number}"], [names[number]]))
    results = [f"r{number}" for number in range(outputs)]
    nodes.append(helper.make_node(op, names, results, name="node", **attributes))
    nodes += [
        helper.make_node("Neg" if between else "Identity", [f"r{number}"], [f"out{number}"])
        for number in range(outputs)
    ]
    given = [helper.make_empty_tensor_value_info(f"out{number}") for number in range(outputs)]
    graph = helper.make_graph(nodes, "one", inputs, given, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def program_of(proto: onnx.ModelProto, buffer: int, lanes: int = 4, accumulators: int = 32) -> Program:
    """The model lowered for the smallest buffer from `buffer` on with which no node is left to the host; checked."""
    model = ir.from_proto(proto)
    InferShapes()(model)
    while True:
        program = lower(model, Tiling("tiny", lanes, accumulators, 1 << 16, buffer, buffer), "")
        if all(info.backend == "dense" for info in program.layers):
            break
        assert buffer < 1 << 20, f"on the host: {[info.op for info in program.layers if info.backend == 'host']}"
        buffer *= 2
    for code in (program.reuse, program.baseline):
        assert races(code) == []
        check_code(program, code, HARDWARE)
    assert digest(assemble(disassemble(program), program)) == digest(program)
    return program


def outputs_of(proto: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    """What onnxruntime computes."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, dict(feeds)))


def compare(
    op: str,
    operands: Sequence[Array | None],
    *,
    data: Sequence[int] = (0,),
    outputs: int = 1,
    opset: int = 20,
    between: bool = False,
    buffer: int = 1 << 20,
    tolerance: float = 0.0,
    **attributes: Any,
) -> Program:
    """Run the node on an accelerator with this buffer, twice over the same memory; outputs must be those of onnxruntime
    to within `tolerance` of the largest, exactly where that is 0. Gives the program."""
    proto = model_of(op, operands, data=data, outputs=outputs, opset=opset, between=between, **attributes)
    feeds = {f"in{number}": operand for number in data if (operand := operands[number]) is not None}
    expected, program = outputs_of(proto, feeds), program_of(proto, buffer)
    interpreter = Interpreter(program)
    interpreter.run({name: value[..., ::-1] if value.ndim else value for name, value in feeds.items()})
    found = interpreter.run(feeds)
    for value, other in zip(found.values(), expected, strict=True):
        assert value.dtype == other.dtype and value.shape == other.shape
        largest = float(np.abs(other).max(initial=0)) if tolerance else 0.0
        np.testing.assert_allclose(value, other, rtol=0, atol=tolerance * largest)
    return program
