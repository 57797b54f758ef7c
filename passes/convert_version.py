"""Bring a model to a later opset with the C++ converter of onnx."""

from __future__ import annotations

import re
from dataclasses import dataclass

import onnx
import onnx_ir as ir
from onnx import version_converter

from reuse_compiler.passes.weightless import without_weights

__all__ = ["ConvertVersion"]


_ONE_AXIS = 13  # the opset since which Hardmax is over one axis, and not over all from `axis` on
_NO_STEP = re.compile(r"No Adapter (?:From|To) Version \$?(\d+) for (\w+)")


@dataclass(frozen=True)
class ConvertVersion(ir.passes.InPlacePass):
    """Convert the default opset to `target` where it is below; leave later ones as they are.

    1. A model that imports no default opset has no node of it; it gets `target`.
    2. Node and value names stay; nodes that the converter inserts have no name.
    3. The IR version rises to the least one that the opsets need.

    Raises ValueError that names the operator where it has no conversion. That is also a Hardmax before opset 13 over
    several axes, which the converter lets pass, though it means something else afterwards.
    """

    target: int = 18

    def requires(self, model: ir.Model) -> None:
        """No local function is left: the converter does not enter them."""
        if model.functions:
            raise ir.passes.PreconditionError("inline the local functions first")

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Convert `model` in place."""
        version = model.graph.opset_imports.get("")
        if version is None:
            model.graph.opset_imports[""] = self.target
        if version is None or version >= self.target:
            return ir.passes.PassResult(model, _raise_ir_version(model))
        _refuse_hardmax(model, version, self.target)
        tensors = {name: value.const_value for name, value in model.graph.initializers.items()}
        count = len(model.graph.inputs)
        with without_weights(model) as proto:
            try:
                converted = version_converter.convert_version(proto, self.target)
            except (RuntimeError, version_converter.ConvertError, onnx.shape_inference.InferenceError) as error:
                raise ValueError(f"no way from opset {version} to {self.target}: {_reason(model, error)}") from error
        graph = ir.from_proto(converted).graph
        weights = graph.inputs[count:]
        del graph.inputs[count:]
        for value in weights:
            assert value.name is not None
            value.const_value = tensors[value.name]
            graph.register_initializer(value)
        if [value.shape for value in graph.inputs] != [value.shape for value in model.graph.inputs]:
            raise ValueError(
                f"no way from opset {version} to {self.target}: the converter of onnx changes an input's shape"
            )
        model.graph = graph
        _raise_ir_version(model)
        return ir.passes.PassResult(model, True)

    def ensures(self, model: ir.Model) -> None:
        """The default opset is `target` or later."""
        if model.graph.opset_imports.get("", self.target) < self.target:
            raise ir.passes.PostconditionError(f"opset is below {self.target}")


def _refuse_hardmax(model: ir.Model, version: int, target: int) -> None:
    if not version < _ONE_AXIS <= target:
        return
    for node in model.graph.all_nodes():
        if (node.domain, node.op_type) != ("", "Hardmax"):
            continue
        shape = None if node.inputs[0] is None else node.inputs[0].shape
        axis = node.attributes.get_int("axis", 1)
        if axis != -1 and (shape is None or axis != len(shape) - 1):
            raise ValueError(
                f"no way from opset {version} to {target}: node {node.name} (Hardmax): its axis {axis} is not the last"
                f" one: export it with opset {_ONE_AXIS} or later"
            )


def _reason(model: ir.Model, error: Exception) -> str:
    """The operator that has no conversion, and the first node that has it; else what the converter says."""
    found = _NO_STEP.search(str(error))
    if found is None:
        return str(error)
    version, op = found.groups()
    name = next((node.name for node in model.graph.all_nodes() if node.op_type == op), op)
    return f"node {name} ({op}): the converter of onnx has no step from opset {version}: export the model anew"


def _raise_ir_version(model: ir.Model) -> bool:
    opsets = [onnx.helper.make_opsetid(domain, version) for domain, version in model.graph.opset_imports.items()]
    least = onnx.helper.find_min_ir_version_for(opsets, ignore_unknown=True)
    if model.ir_version >= least:
        return False
    model.ir_version = least
    return True
