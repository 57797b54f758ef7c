"""Write a model to an ONNX file, above 2 GiB with its weights in a second one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import onnx_ir as ir

from reuse_compiler.files import replacing, write_bytes
from reuse_compiler.passes import external_weights

__all__ = ["data_name", "model_sha256", "write_model"]


def data_name(name: str) -> str:
    """Name of the file with the weights, beside the model called `name`."""
    return f"{name}.data"


def write_model(model: ir.Model, path: Path) -> None:
    """Write `model` to `path`; above :data:`external_weights.MAX_PROTO_BYTES` the weights to ``<path>.data``, first.

    Each file is written whole or not at all. Raises ReuseError where the folder is missing or not writable.
    """
    data, weights = _encoded(model, path.name)
    if weights:
        with replacing(path.with_name(data_name(path.name))) as temporary, temporary.open("wb") as stream:
            for chunk in external_weights.chunks(weights):
                stream.write(chunk)
    write_bytes(path, data)


def model_sha256(model: ir.Model) -> str:
    """Hexadecimal SHA-256 of what :func:`write_model` writes as ``model.onnx``: of the file, and then of the weights."""
    data, weights = _encoded(model, "model.onnx")
    digest = hashlib.sha256(data)
    for chunk in external_weights.chunks(weights):
        digest.update(chunk)
    return digest.hexdigest()


def _encoded(model: ir.Model, name: str) -> tuple[bytes, list[external_weights.Weight]]:
    """The bytes of the ONNX file, and the weights outside."""
    if external_weights.weight_bytes(model) <= external_weights.MAX_PROTO_BYTES:
        return ir.to_proto(model).SerializeToString(), []
    proto, weights = external_weights.outside(model, data_name(name))
    return proto.SerializeToString(), weights
