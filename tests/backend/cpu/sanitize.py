"""Builds the kernels with sanitizers and runs their tests: ``python -m tests.backend.cpu.sanitize [--quick]``.

Address and undefined behaviour under onnxruntime; threads in a program of their own (threads.cpp). With every instruction set
that the machine has, or with ``--quick`` the one that it prefers and without the cases whose sums are exact.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.backend.cpu.test_instruction_sets import KERNEL_TESTS, ROOT, SETS, chosen

_MARKS = (" error: ", "runtime error:", "ERROR: AddressSanitizer", "WARNING: ThreadSanitizer")
_TESTS = (*KERNEL_TESTS, "test_bad_input.py")


def build(folder: Path, *options: str) -> None:
    """The library with `options` of CMake, in `folder`."""
    optimized = ("-DCMAKE_BUILD_TYPE=None", "-DCMAKE_CXX_FLAGS=-O1 -g")
    _run(["cmake", "-S", str(ROOT / "backend" / "cpu"), "-B", str(folder), *optimized, *options], {})
    _run(["cmake", "--build", str(folder), "--parallel", "2"], {})


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stdout + done.stderr).splitlines()
        first = next((number for number, line in enumerate(said) if any(mark in line for mark in _MARKS)), None)
        sys.exit("\n".join([" ".join(command), *(said[-60:] if first is None else said[first : first + 20])]))


def _preloaded() -> str:
    """The runtimes of the sanitizers, which have to come before Python's own libraries."""
    ask = [os.environ.get("CXX", "c++"), "-print-file-name="]
    found = [
        subprocess.run([ask[0], ask[1] + name], capture_output=True, text=True, check=True).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    return ":".join(found)


def _test(
    library: Path, files: Sequence[str], options: Sequence[str] = (), own: Mapping[str, str] | None = None
) -> None:
    """Run tests with `library`."""
    paths = [str(Path(__file__).parent / file) for file in files]
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "-p", "no:xdist", *paths, *options]
    environment = {
        **(own or {}),
        "REUSE_TEST_LIBRARY": str(library),
        "LD_PRELOAD": _preloaded(),
        "ASAN_OPTIONS": "detect_leaks=0",  # Python itself leaks
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    }
    _run(command, environment)


def main(quick: bool) -> None:
    """Exits with what a sanitizer, a test or a compiler said first."""
    with TemporaryDirectory() as temporary:
        addresses, threads = Path(temporary) / "addresses", Path(temporary) / "threads"
        build(addresses, "-DREUSE_SANITIZE=address,undefined")
        build(threads, "-DREUSE_SANITIZE=thread", "-DREUSE_THREADS_TEST=ON")
        library, program = addresses / "libreuse_kernels.so", str(threads / "threads")
        if quick:
            _test(library, _TESTS, ["-k", "not every_bit"])
            _run([program], {"TSAN_OPTIONS": "exitcode=66"})
            print("sanitizers: clean")
            return
        for name in SETS:
            if chosen(library, name, _preloaded()) != name:
                print(f"{name}: this machine has none")
                continue
            _test(library, _TESTS, own={"REUSE_KERNELS": name})
            _run([program], {"REUSE_KERNELS": name, "TSAN_OPTIONS": "exitcode=66"})
            print(f"{name}: clean", flush=True)
        _test(library, ["test_recurrent.py"])  # has every instruction set itself
        print("recurrent layers: clean")


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
