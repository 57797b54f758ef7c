"""The tests of the kernels once more with every instruction set that this machine has beside the one that it prefers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reuse_compiler.backend.cpu import instruction_set
from tests.backend.cpu.node_cases import kernels_under_test

ROOT = Path(__file__).resolve().parents[3]
LIBRARY = kernels_under_test()
SETS = ("baseline", "avx2", "avx512")
KERNEL_TESTS = (
    "test_kernels_gemm.py",
    "test_kernels_conv.py",
    "test_linked_conv.py",
    "test_kernels_trial.py",
    "test_trial_networks.py",
    "test_watch.py",
    "test_long_run.py",
)
_SHOW = "import sys; from pathlib import Path; from reuse_compiler.backend.cpu import instruction_set;"
_SHOW += "print(instruction_set(Path(sys.argv[1])))"


def chosen(library: Path, wanted: str, preload: str = "") -> str:
    """The instruction set that a process uses which asks for the `wanted` one; another where this machine lacks it."""
    environment = {"REUSE_KERNELS": wanted, "LD_PRELOAD": preload, "ASAN_OPTIONS": "detect_leaks=0"}
    return _run([sys.executable, "-c", _SHOW, str(library)], environment).stdout.strip()


def _run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    own = {**os.environ, **environment}
    return subprocess.run(command, cwd=ROOT, env=own, capture_output=True, text=True, check=False)


@pytest.mark.skipif(LIBRARY is None, reason="the native kernels are not built")
@pytest.mark.parametrize("name", SETS)
def test_kernels_are_right_with(name: str) -> None:
    assert LIBRARY is not None
    if name == instruction_set(LIBRARY):
        pytest.skip("the tests of this process have it")
    if chosen(LIBRARY, name) != name:
        pytest.skip(f"this machine has no {name}")
    files = [str(Path(__file__).parent / file) for file in KERNEL_TESTS]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *files]
    done = _run(command, {"REUSE_KERNELS": name})
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def test_an_empty_name_changes_nothing() -> None:
    if LIBRARY is not None:
        assert chosen(LIBRARY, "") == instruction_set(LIBRARY)
