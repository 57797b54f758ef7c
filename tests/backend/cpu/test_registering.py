"""The library and an onnxruntime that is not made for it, and the other way round."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import onnxruntime as ort
import pytest

from reuse_compiler.backend.cpu import has_kernel
from reuse_compiler.runtime_errors import RUNTIME_ERRORS
from tests.backend.cpu.node_cases import kernels_under_test

LIBRARY = kernels_under_test()
pytestmark = pytest.mark.skipif(LIBRARY is None, reason="the native kernels are not built")

_GET_API = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint32)
_VERSION = ctypes.CFUNCTYPE(ctypes.c_void_p)
_CREATE_STATUS = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p)
_NOT_IMPLEMENTED = 9


class _ApiBase(ctypes.Structure):
    _fields_ = (("get_api", _GET_API), ("version", _VERSION))


def test_an_onnxruntime_that_is_too_old_is_told_so() -> None:
    """One that knows version 1 of the C API alone, of which only the first entry, that creates a status, is called."""
    said: list[tuple[int, bytes]] = []
    status, version = ctypes.c_int(), ctypes.create_string_buffer(b"1.16.3")

    def create_status(code: int, message: bytes) -> int:
        said.append((code, message))
        return ctypes.addressof(status)

    first = _CREATE_STATUS(create_status)
    table = (ctypes.c_void_p * 1)(ctypes.cast(first, ctypes.c_void_p))
    base = _ApiBase(
        _GET_API(lambda asked: ctypes.addressof(table) if asked == 1 else None),
        _VERSION(lambda: ctypes.addressof(version)),
    )
    register = ctypes.CDLL(str(LIBRARY)).RegisterCustomOps
    register.argtypes, register.restype = (ctypes.c_void_p, ctypes.POINTER(_ApiBase)), ctypes.c_void_p
    assert register(None, ctypes.byref(base)) == ctypes.addressof(status)
    message = (
        b"ai.reuse kernels need onnxruntime of API version 18 or later, this is version 1.16.3: update onnxruntime"
    )
    assert said == [(_NOT_IMPLEMENTED, message)]


@pytest.mark.parametrize(
    "content", [None, b"", b"\x7fELF, and then nothing of use"], ids=["missing", "empty", "damaged"]
)
def test_what_is_no_library_is_an_error(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "other.so"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RUNTIME_ERRORS, match=r"other\.so"):
        ort.SessionOptions().register_custom_ops_library(str(path))


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_a_library_of_something_else_is_an_error(tmp_path: Path) -> None:
    source, path = tmp_path / "other.c", tmp_path / "other.so"
    source.write_text("int nothing(void) { return 0; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", path, source], check=True)
    with pytest.raises(RUNTIME_ERRORS, match="RegisterCustomOps"):
        ort.SessionOptions().register_custom_ops_library(str(path))


def test_it_can_be_registered_again_and_again() -> None:
    for _ in range(3):
        ort.SessionOptions().register_custom_ops_library(str(LIBRARY))


def test_it_says_which_operators_it_has() -> None:
    assert LIBRARY is not None
    assert all(has_kernel(LIBRARY, name) for name in ("ReuseGemm", "ReuseConv", "ReuseGemmTable", "ReuseConvTable"))
    assert not has_kernel(LIBRARY, "ReuseConvTranspose")
    assert not has_kernel(LIBRARY, "Conv")


@pytest.mark.skipif(shutil.which("nm") is None, reason="there is no nm")
def test_only_the_functions_that_are_meant_to_be_called_are_visible() -> None:
    """Two libraries in one process must not take each other's symbols."""
    shown = subprocess.run(["nm", "-D", "--defined-only", str(LIBRARY)], capture_output=True, text=True, check=True)
    names = {line.split()[-1] for line in shown.stdout.splitlines()}
    assert {"RegisterCustomOps", "reuse_has_kernel", "reuse_kernels_name", "reuse_watch"} <= names
    assert not [name for name in names if name.startswith("_ZN5reuse")]
