"""Read an ONNX file and its external data, and say in one line what is wrong with it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx_ir.passes import common

from reuse_compiler.errors import ModelError, ReuseError
from reuse_compiler.files import read_bytes
from reuse_compiler.wellformed import check_operators, check_opset, check_wiring

__all__ = ["MIN_IR_VERSION", "MIN_OPSET", "read_model"]

MIN_IR_VERSION = 3
MIN_OPSET = 1
_CHUNK_BYTES = 1 << 20
_MAX_BYTES = (1 << 31) - 1


def read_model(path: Path) -> tuple[ir.Model, str]:
    """The model in the file at `path` with its external data in memory, and the SHA-256 of all that was read.

    Without external data the hash is that of the file; with it, the hash goes on over each data file, by location.

    Raises ModelError, naming the file and where there is one the node and its operator, if the file is missing or not
    ONNX, of IR version below 3, holds an operator unknown to the installed onnx, a tensor that nothing
    produces, a cycle, or external data that is missing, too short or outside the folder of the file.
    """
    try:
        data = read_bytes(path)
    except ReuseError as error:
        raise ModelError(str(error)) from error
    proto = _parse(path, data)
    _check_versions(path, proto)
    check_operators(path, proto)
    in_order = check_wiring(path, proto)
    files = _external_files(path, proto)
    model = _to_ir(path, proto)
    if not in_order:
        common.TopologicalSortPass()(model)
    return model, _hash(data, files)


def _parse(path: Path, data: bytes) -> onnx.ModelProto:
    if not data:
        raise ModelError(f"{path}: the file is empty: give an ONNX model")
    if len(data) > _MAX_BYTES:
        raise ModelError(f"{path}: it has more than 2 GiB: save the weights as external data, beside it")
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError as error:
        raise ModelError(f"{path}: not an ONNX file, or a truncated one: export or copy it again") from error
    if not proto.HasField("graph") or not proto.ir_version:
        raise ModelError(f"{path}: not an ONNX model: it has no graph or no IR version")
    return proto


def _check_versions(path: Path, proto: onnx.ModelProto) -> None:
    if proto.ir_version < MIN_IR_VERSION:
        raise ModelError(f"{path}: IR version {proto.ir_version}: export it with IR version {MIN_IR_VERSION} or later")
    check_opset(path, proto, MIN_OPSET)
    if proto.graph.sparse_initializer:
        name = proto.graph.sparse_initializer[0].values.name
        raise ModelError(f"{path}: initializer {name} is sparse: store it dense")


def _external_files(path: Path, proto: onnx.ModelProto) -> dict[str, Path]:
    """The files with external data by location; each checked to lie in the folder of `path` and to be long enough."""
    folder = path.parent.resolve()
    files: dict[str, Path] = {}
    for tensor in _tensors(proto):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        where = f"{path}: external data of {tensor.name} in {location or '(no location)'}"
        if not location or Path(location).is_absolute():
            raise ModelError(f"{where}: the location must be relative to the model's folder")
        file = (folder / location).resolve()
        if not file.is_relative_to(folder):
            raise ModelError(f"{where}: it lies outside the model's folder: put it beside the model")
        if not file.is_file():
            raise ModelError(f"{where}: no such file: put it beside the model")
        try:
            offset, length = int(entries.get("offset", 0)), int(entries.get("length", 0))
        except ValueError as error:
            raise ModelError(f"{where}: offset or length is not a number: export it again") from error
        size = file.stat().st_size
        if offset < 0 or length < 0 or offset + length > size:
            raise ModelError(f"{where}: needs bytes {offset} to {offset + length} of {size}: the file is too short")
        files[location] = file
    return files


def _tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from _graph_tensors(proto.graph)
    for function in proto.functions:
        for node in function.node:
            yield from _node_tensors(node)


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        yield from _node_tensors(node)


def _node_tensors(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        if attribute.HasField("g"):
            yield from _graph_tensors(attribute.g)
        for graph in attribute.graphs:
            yield from _graph_tensors(graph)


def _to_ir(path: Path, proto: onnx.ModelProto) -> ir.Model:
    try:
        model = ir.from_proto(proto)
        ir.external_data.set_base_dir(model.graph, path.parent)
        ir.external_data.load_to_model(model)
    except (ValueError, TypeError, KeyError, OSError, RuntimeError) as error:
        raise ModelError(f"{path}: cannot be read as ONNX: {_one_line(error)}") from error
    for name, value in model.graph.initializers.items():
        try:
            assert value.const_value is not None
            value.const_value.numpy()
        except (ValueError, TypeError, OSError) as error:
            raise ModelError(
                f"{path}: initializer {name}: its data do not fit its shape: {_one_line(error)}"
            ) from error
    return model


def _hash(data: bytes, files: dict[str, Path]) -> str:
    digest = hashlib.sha256(data)
    for _, file in sorted(files.items()):
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
