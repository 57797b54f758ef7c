from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import external_data_helper, numpy_helper, parser

from reuse_compiler.errors import ModelError
from reuse_compiler.onnx_file import read_model

TEXT = '<ir_version: {ir}, opset_import: ["" : {opset}]> g (float[1,64] x) => (float[1,64] y) {{ y = Mul(x, w) }}'
WEIGHT = np.arange(64, dtype=np.float32)


def model(ir: int = 8, opset: int = 18) -> onnx.ModelProto:
    proto = parser.parse_model(TEXT.format(ir=ir, opset=opset))
    proto.graph.initializer.append(numpy_helper.from_array(WEIGHT, "w"))
    return proto


def stored(proto: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(proto.SerializeToString())
    return path


def external(path: Path, location: str = "weights.bin", **entries: str) -> Path:
    """A model at `path` whose weight is said to be at `location`; the bytes are in weights.bin beside it."""
    proto = model()
    tensor = proto.graph.initializer[0]
    external_data_helper.set_external_data(tensor, location)
    for key, value in entries.items():
        tensor.external_data.append(onnx.StringStringEntryProto(key=key, value=value))
    tensor.ClearField("raw_data")
    (path.parent / "weights.bin").write_bytes(WEIGHT.tobytes())
    return stored(proto, path)


def test_the_hash_is_that_of_the_file(tmp_path: Path) -> None:
    path = stored(model(), tmp_path / "m.onnx")
    read, digest = read_model(path)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert list(read.graph.initializers) == ["w"]


def test_external_data_are_read_and_part_of_the_hash(tmp_path: Path) -> None:
    path = external(tmp_path / "m.onnx")
    read, digest = read_model(path)
    weight = read.graph.initializers["w"].const_value
    assert weight is not None
    assert np.array_equal(weight.numpy(), WEIGHT)
    (tmp_path / "weights.bin").write_bytes((-WEIGHT).tobytes())
    assert read_model(path)[1] != digest
    assert np.array_equal(weight.numpy(), WEIGHT)


def test_external_data_in_a_folder_below_are_read(tmp_path: Path) -> None:
    path = external(tmp_path / "m.onnx", "data/weights.bin", offset="0", length="256")
    (tmp_path / "data").mkdir()
    (tmp_path / "weights.bin").rename(tmp_path / "data" / "weights.bin")
    weight = read_model(path)[0].graph.initializers["w"].const_value
    assert weight is not None
    assert np.array_equal(weight.numpy(), WEIGHT)


def test_a_model_that_is_reached_by_a_symbolic_link_has_its_data_beside_the_link(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "link").symlink_to(external(tmp_path / "store" / "m.onnx").parent)
    assert read_model(tmp_path / "link" / "m.onnx")[0].graph.initializers["w"].const_value is not None


def test_external_data_outside_the_folder_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    secret = tmp_path / "secret.bin"
    secret.write_bytes(WEIGHT.tobytes())
    (folder / "link.bin").symlink_to(secret)
    (folder / "up").symlink_to(tmp_path)
    for location in ("../secret.bin", str(secret), "link.bin", "up/secret.bin", "a/../../secret.bin"):
        path = external(folder / "m.onnx", location)
        with pytest.raises(ModelError, match=r"external data of w in .*(outside the model's folder|must be relative)"):
            read_model(path)


@pytest.mark.parametrize(
    ("location", "entries", "message"),
    [
        ("missing.bin", {}, "no such file"),
        (".", {}, "no such file"),
        ("weights.bin", {"offset": "200", "length": "256"}, "needs bytes 200 to 456 of 256: the file is too short"),
        ("weights.bin", {"offset": "-1"}, "too short"),
        ("weights.bin", {"offset": "one"}, "offset or length is not a number"),
        ("weights.bin", {"offset": "128"}, "cannot be read as ONNX|its data do not fit its shape"),
    ],
)
def test_external_data_that_do_not_fit_are_errors(
    tmp_path: Path, location: str, entries: dict[str, str], message: str
) -> None:
    path = external(tmp_path / "m.onnx", location, **entries)
    with pytest.raises(ModelError, match=message) as error:
        read_model(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"this is no model, this is text\n" * 40, "not an ONNX"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4, "not an ONNX"),
        (onnx.ModelProto(ir_version=8).SerializeToString(), "it has no graph or no IR version"),
        (model(ir=2).SerializeToString(), "IR version 2: export it with IR version 3 or later"),
        (model(opset=0).SerializeToString(), "opset 0: export it with opset 1 or later"),
        (
            model(opset=999).SerializeToString(),
            "opset 999: the installed onnx knows up to .*, the model has 999: export",
        ),
    ],
)
def test_what_is_no_usable_onnx_file_is_an_error_of_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message) as error:
        read_model(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


def test_a_missing_file_and_a_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        read_model(tmp_path / "missing.onnx")
    with pytest.raises(ModelError, match="cannot read"):
        read_model(tmp_path)


def test_every_truncation_is_an_error(tmp_path: Path) -> None:
    data = model().SerializeToString()
    path = tmp_path / "m.onnx"
    for size in range(len(data)):
        path.write_bytes(data[:size])
        with pytest.raises(ModelError):
            read_model(path)


def test_a_sparse_initializer_is_an_error(tmp_path: Path) -> None:
    proto = model()
    values = numpy_helper.from_array(np.ones(1, np.float32), "v")
    indices = numpy_helper.from_array(np.zeros(1, np.int64), "i")
    proto.graph.sparse_initializer.append(onnx.helper.make_sparse_tensor(values, indices, [64]))
    with pytest.raises(ModelError, match="initializer v is sparse: store it dense"):
        read_model(stored(proto, tmp_path / "m.onnx"))


def test_data_that_do_not_fit_the_declared_shape_are_an_error(tmp_path: Path) -> None:
    proto = model()
    proto.graph.initializer[0].dims[0] = 65
    with pytest.raises(ModelError, match="initializer w: its data do not fit its shape"):
        read_model(stored(proto, tmp_path / "m.onnx"))


def test_nodes_out_of_order_are_sorted(tmp_path: Path) -> None:
    text = '<ir_version: 8, opset_import: ["" : 18]> g (float[2] x) => (float[2] y) { y = Neg(a) a = Relu(x) }'
    read, _ = read_model(stored(parser.parse_model(text), tmp_path / "m.onnx"))
    assert [node.op_type for node in read.graph] == ["Relu", "Neg"]
