"""From an ONNX file to the model that everything else works on: one opset, fixed shapes, nothing left to fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes import common

from reuse_compiler.errors import ModelError
from reuse_compiler.onnx_file import read_model
from reuse_compiler.onnx_messages import plain
from reuse_compiler.operand_sizes import check_operand_sizes
from reuse_compiler.passes.bind_shapes import BindShapes
from reuse_compiler.passes.convert_version import ConvertVersion
from reuse_compiler.passes.explicit_pads import ExplicitPads
from reuse_compiler.passes.fc_normal_form import FcNormalForm
from reuse_compiler.passes.float32_arithmetic import Float32Arithmetic
from reuse_compiler.passes.fold_affine import FoldAffine
from reuse_compiler.passes.fold_constants import FoldConstants
from reuse_compiler.passes.infer_shapes import InferShapes
from reuse_compiler.passes.inline_if import InlineIf
from reuse_compiler.passes.legacy_broadcast import LegacyBroadcast
from reuse_compiler.passes.name_nodes import NameNodes
from reuse_compiler.passes.plain_cast import PlainCast
from reuse_compiler.passes.plain_sum import PlainSum
from reuse_compiler.passes.recurrent_normal_form import RecurrentNormalForm
from reuse_compiler.passes.remove_identities import RemoveIdentities
from reuse_compiler.passes.scalar_range import ScalarRange
from reuse_compiler.passes.split_batch_norm import SplitBatchNorm
from reuse_compiler.passes.unbatch_scan import UnbatchScan

__all__ = ["OPSET", "Model", "TensorSpec", "load"]

OPSET = 18
_ROUNDS = 16


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a model: its name, its shape with the batch, its dtype.

    A dimension of an output that depends on the values is -1; an output that is no tensor has dtype object.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Model:
    """A model in the form that the compiler works on.

    Parameters
    ----------
    path : Path
        The file that it came from.
    sha256 : str
        Hexadecimal SHA-256 of that file; external data, where there are any, are hashed after it.
    ir : onnx_ir.Model
        Opset 18 or later, inputs of fixed shape, constants folded, batch normalization and scaling folded into the layer
        before, identities gone, shapes inferred, layers in float32. Products with a constant, recurrent layers and padding
        have the forms that :mod:`~reuse_compiler.passes.fc_normal_form`,
        :mod:`~reuse_compiler.passes.recurrent_normal_form` and :mod:`~reuse_compiler.passes.explicit_pads` describe. Every
        node has a unique name: its own, or its first output's where it had none. A tensor that has the name of one in the
        file has its value too.
    inputs, outputs : tuple of TensorSpec
        The model's own, in its order.
    """

    path: Path
    sha256: str
    ir: ir.Model
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def proto(self) -> onnx.ModelProto:
        """The model as a new ONNX proto, weights inside; above 2 GiB of them it cannot be serialized."""
        return ir.to_proto(self.ir)


def load(path: str | Path, *, shapes: Mapping[str, Sequence[int]] | None = None) -> Model:
    """Read an ONNX file and bring it into the form that :class:`Model` describes.

    Parameters
    ----------
    path : str or Path
        The file. External data must lie in its folder.
    shapes : mapping of str to sequence of int, optional
        Shapes of inputs by name, for those with open dimensions beyond the batch, or to override declared ones.
        An open first dimension is the batch and becomes 1.

    Raises
    ------
    ModelError
        In one line that names the file, and the node and operator where there is one, if the file is not a valid model,
        is the output of this compiler, or an input has an open dimension that `shapes` does not give.
    """
    path = Path(path)
    model, digest = read_model(path)
    if "reuse.format_version" in model.metadata_props:
        raise ModelError(f"{path}: it is a reuse model already: give the model that it was compiled from")
    try:
        _normalize(model, shapes or {})
        check_operand_sizes(model)
    except (ModelError, ValueError, onnx.checker.ValidationError) as error:
        raise ModelError(f"{path}: {plain(error)}") from error
    inputs = tuple(_spec(value) for value in model.graph.inputs)
    return Model(path, digest, model, inputs, tuple(_spec(value) for value in model.graph.outputs))


def _normalize(model: ir.Model, shapes: Mapping[str, Sequence[int]]) -> None:
    NameNodes()(model)
    common.RemoveInitializersFromInputsPass()(model)
    BindShapes(shapes)(model)
    _check(model)
    common.InlinePass()(model)
    LegacyBroadcast()(model)
    UnbatchScan()(model)
    ConvertVersion(OPSET)(model)
    PlainSum()(model)
    for _ in range(_ROUNDS):
        ScalarRange()(model)
        InferShapes()(model)
        Float32Arithmetic()(model)
        if ExplicitPads()(model).modified:
            InferShapes()(model)
        steps = (PlainCast(), FoldConstants(), InlineIf(), RemoveIdentities(), RecurrentNormalForm())
        modified = [step(model).modified for step in steps]
        if not any(modified):
            break
    FcNormalForm()(model)
    FoldAffine()(model)
    SplitBatchNorm()(model)
    common.RemoveUnusedNodesPass()(model)
    RecurrentNormalForm()(model)  # again: the removal takes the names of outputs that nobody reads
    InferShapes()(model)
    NameNodes()(model)


def _check(model: ir.Model) -> None:
    """Run onnx's checker. It insists on a rank for every output; inference finds that later, so it gets one for now."""
    without_rank = [value for value in model.graph.outputs if value.shape is None]
    for value in without_rank:
        value.shape = ir.Shape([])
    try:
        common.CheckerPass()(model)
    finally:
        for value in without_rank:
            value.shape = None


def _spec(value: ir.Value) -> TensorSpec:
    shape = () if value.shape is None else tuple(dim if isinstance(dim, int) else -1 for dim in value.shape)
    dtype = value.type.dtype.numpy() if isinstance(value.type, ir.TensorType) else object
    return TensorSpec(str(value.name), shape, np.dtype(dtype))
