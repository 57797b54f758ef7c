"""Take the weights of a model out of its proto, which holds 2 GiB at most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir

from reuse_compiler.passes.weightless import without_weights

__all__ = ["MAX_PROTO_BYTES", "PLAIN_DTYPES", "Weight", "chunks", "outside", "weight_bytes"]

MAX_PROTO_BYTES = (1 << 31) - (1 << 26)
"""The most bytes of weights that a file keeps inside: what protobuf takes, less room for the graph."""

PLAIN_DTYPES = frozenset(
    np.dtype(name) for name in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")
)
"""Those that onnxruntime takes as numpy arrays."""

_PAGE_BYTES = 4096


@dataclass(frozen=True)
class Weight:
    """An initializer whose value lies outside the proto, `offset` bytes from where the weights begin."""

    name: str
    tensor: ir.TensorProtocol
    offset: int


def weight_bytes(model: ir.Model) -> int:
    """Bytes of all initializers of the top graph."""
    tensors = (value.const_value for value in model.graph.initializers.values())
    return sum(tensor.nbytes for tensor in tensors if tensor is not None)


def outside(model: ir.Model, location: str) -> tuple[onnx.ModelProto, list[Weight]]:
    """A proto of `model` whose large initializers are declared to be external data in the file `location`, and these.

    Initializers up to 1 KiB, of other than plain dtypes, or in subgraphs stay inside. Each weight begins on a page of
    4096 bytes.
    """
    own = len(model.graph.inputs)
    weights: list[Weight] = []
    end = 0
    with without_weights(model) as proto:
        for value in model.graph.inputs[own:]:
            tensor, name = value.const_value, str(value.name)
            assert tensor is not None
            if np.dtype(tensor.dtype.numpy()) not in PLAIN_DTYPES:
                inside = ir.to_proto(tensor)
                inside.name = name
                proto.graph.initializer.append(inside)
                continue
            weight = Weight(name, tensor, -(-end // _PAGE_BYTES) * _PAGE_BYTES)
            end = weight.offset + tensor.nbytes
            proto.graph.initializer.append(_declared(weight, location))
            weights.append(weight)
        del proto.graph.input[own:]
    return proto, weights


def chunks(weights: Sequence[Weight]) -> Iterator[bytes | memoryview]:
    """The bytes of the file with `weights`, in order."""
    end = 0
    for weight in weights:
        yield bytes(weight.offset - end)
        array = np.ascontiguousarray(weight.tensor.numpy())
        yield array.reshape(-1).view(np.uint8).data
        end = weight.offset + array.nbytes


def _declared(weight: Weight, location: str) -> onnx.TensorProto:
    tensor = onnx.TensorProto(name=weight.name, data_location=onnx.TensorProto.EXTERNAL)
    tensor.data_type = int(weight.tensor.dtype)
    tensor.dims.extend(weight.tensor.shape.numpy())
    for key, entry in (("location", location), ("offset", weight.offset), ("length", weight.tensor.nbytes)):
        tensor.external_data.add(key=key, value=str(entry))
    return tensor
