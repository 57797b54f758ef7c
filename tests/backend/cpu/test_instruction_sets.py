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
KERNEL_TESTS = ("test_kernels_gemm.py", "test_kernels_conv.py", "test_watch.py", "test_long_run.py")
_SHOW = "import sys; from pathlib import Path; from reuse_compiler.backend.cpu import instruction_set;"
_SHOW += "print(instruction_set(Path(sys.argv[1])))"


@pytest.mark.skipif(LIBRARY is None, reason="the native kernels are not built")
@pytest.mark.parametrize("name", ["baseline", "avx2", "avx512"])
def test_kernels_are_right_with(name: str) -> None:
    assert LIBRARY is not None
    if name == instruction_set(LIBRARY):
        pytest.skip("the tests of this process have it")
    environment = {**os.environ, "REUSE_KERNELS": name}
    shown = _run([sys.executable, "-c", _SHOW, str(LIBRARY)], environment)
    if shown.stdout.strip() != name:
        pytest.skip(f"this machine has no {name}")
    files = [str(Path(__file__).parent / file) for file in KERNEL_TESTS]
    done = _run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *files], environment)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def _run(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
