"""From an ONNX file to the model that everything else works on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes import common
from onnxscript.optimizer import fold_constants_ir

from reuse_compiler.errors import ModelError
from reuse_compiler.files import read_bytes, sha256
from reuse_compiler.passes.convert_version import ConvertVersion
from reuse_compiler.passes.name_nodes import NameNodes

__all__ = ["Model", "TensorSpec", "load"]

_OPSET = 18


@dataclass(frozen=True)
class TensorSpec:
    """Name, shape and dtype of an input or output of a model."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Model:
    """A model brought into the form that the compiler works on."""

    path: Path
    sha256: str
    ir: ir.Model
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def proto(self) -> onnx.ModelProto:
        """The model as an ONNX proto."""
        return ir.to_proto(self.ir)


def load(path: str | Path, *, shapes: Mapping[str, Sequence[int]] | None = None) -> Model:
    """Read the ONNX file at `path`."""
    path = Path(path)
    data = read_bytes(path)
    model = ir.from_proto(onnx.load_model_from_string(data))
    common.RemoveInitializersFromInputsPass()(model)
    for value in model.graph.inputs:
        assert value.shape is not None
        given = dict(shapes or {}).get(value.name or "")
        dims = list(given) if given else list(value.shape)
        for axis, dim in enumerate(dims):
            if isinstance(dim, int):
                continue
            if axis:
                raise ModelError(f"{path}: input {value.name}: dimension {axis} is open: give --shape {value.name}=..")
            dims[axis] = 1
        value.shape = ir.Shape(dims)
    NameNodes()(model)
    ConvertVersion(_OPSET)(model)
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    fold_constants_ir(model, onnx_shape_inference=True, input_size_limit=1 << 31, output_size_limit=1 << 31)
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    common.IdentityEliminationPass()(model)
    common.RemoveUnusedNodesPass()(model)
    NameNodes()(model)
    common.ShapeInferencePass()(model)
    return Model(
        path,
        sha256(data),
        model,
        tuple(_spec(value) for value in model.graph.inputs),
        tuple(_spec(value) for value in model.graph.outputs),
    )


def _spec(value: ir.Value) -> TensorSpec:
    assert value.name is not None and value.shape is not None and value.dtype is not None
    shape = tuple(dim if isinstance(dim, int) else -1 for dim in value.shape)
    return TensorSpec(value.name, shape, np.dtype(value.dtype.numpy()))
