"""What is published: the sdist, and what comes of it with a compiler, with another one, and with none.

Everything is built from the sdist, since that is all that a user without a wheel for their machine gets.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = "reuse_compiler/backend/cpu/libreuse_kernels.so"
STRICT = "--config-setting=cmake.define.REUSE_WARNINGS_ARE_ERRORS=ON"
NO_COMPILER = {"CC": "/nowhere/cc", "CXX": "/nowhere/c++"}
_SHOW = "from reuse_compiler.backend.cpu import library; print(library())"

Wheel = Callable[..., Path]


def _run(command: list[str], environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if name not in ("REUSE_REQUIRE_NATIVE", "CC", "CXX")}
    return subprocess.run(command, env={**own, **(environment or {})}, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python that has what pyproject.toml requires for building."""
    folder = tmp_path_factory.mktemp("builder")
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    done = _run([python, "-m", "pip", "install", "--quiet", "build", "scikit-build-core>=1.1"])
    assert done.returncode == 0, done.stderr
    return python


@pytest.fixture(scope="module")
def sdist(builder: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    done = _run([builder, "-m", "build", "--no-isolation", "--sdist", "--outdir", str(folder), str(ROOT)])
    assert done.returncode == 0, done.stderr
    [path] = folder.glob("*.tar.gz")
    return path


@pytest.fixture
def wheel(builder: str, sdist: Path, tmp_path: Path) -> Wheel:
    """Builds a wheel from the sdist, and gives its path."""

    def build(environment: Mapping[str, str] | None = None, *options: str) -> Path:
        command = [builder, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), *options]
        done = _run([*command, str(sdist)], environment)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        [path] = tmp_path.glob("*.whl")
        return path

    return build


def _names(path: Path) -> set[str]:
    with zipfile.ZipFile(path) as file:
        return set(file.namelist())


def _library(wheel: Path, folder: Path) -> str:
    """What ``library()`` says where `wheel` is installed, printed."""
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder)
    # Without `site`, so that the editable install of this environment is not found first.
    path = os.pathsep.join([str(folder), sysconfig.get_path("purelib")])
    done = _run([sys.executable, "-P", "-S", "-c", _SHOW], {"PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_sdist_has_what_a_build_needs(sdist: Path) -> None:
    with tarfile.open(sdist) as file:
        names = {name.split("/", 1)[1] for name in file.getnames() if "/" in name}
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "backend" / "cpu" / "src").iterdir()}
    assert sources | {"pyproject.toml", "README.md", "LICENSE", "backend/cpu/CMakeLists.txt"} <= names
    assert not [name for name in names if name.startswith((".ci/", "typings/", "build/", ".venv/"))]


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_a_wheel_with_kernels_and_without_a_warning(compiler: str, wheel: Wheel, tmp_path: Path) -> None:
    cxx = {"gcc": "g++", "clang": "clang++"}[compiler]
    if shutil.which(cxx) is None:
        pytest.skip(f"there is no {cxx}")
    path = wheel({"CC": compiler, "CXX": cxx, "REUSE_REQUIRE_NATIVE": "1"}, STRICT)
    assert "-py3-none-linux" in path.name
    names = _names(path)
    assert LIBRARY in names
    assert not [name for name in names if name.endswith((".cpp", ".hpp", "CMakeLists.txt"))]
    assert {name.split("/")[0] for name in names} == {
        "reuse_compiler",
        f"{'-'.join(path.name.split('-')[:2])}.dist-info",
    }
    installed = tmp_path / "installed"
    assert _library(path, installed) == str(installed / LIBRARY)


def test_without_a_compiler_a_wheel_of_python_alone(wheel: Wheel, tmp_path: Path) -> None:
    path = wheel(NO_COMPILER)
    assert path.name.endswith("-py3-none-any.whl")
    assert LIBRARY not in _names(path)
    assert _library(path, tmp_path / "installed") == "None"


def test_without_a_compiler_that_is_required_no_wheel(builder: str, sdist: Path, tmp_path: Path) -> None:
    command = [builder, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(sdist)]
    done = _run(command, {**NO_COMPILER, "REUSE_REQUIRE_NATIVE": "1"})
    assert done.returncode != 0
    assert not list(tmp_path.glob("*.whl"))
