"""The command line as a process: help, exit status, pipes, interrupts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from reuse_compiler import __version__
from reuse_compiler.models import autopilot
from tests.cli.conftest import recording

if TYPE_CHECKING:
    from tests.cli.conftest import Invoke

_COMMANDS = (
    "check", "profile", "fit", "compile", "inspect", "disasm", "asm", "run", "plot", "bench", "report", "reproduce",
    "hardware", "models", "demo",
)  # fmt: skip
_REUSEC = (sys.executable, "-c", "from reuse_compiler.cli import main; main()")


def test_help_names_every_command(invoke: Invoke) -> None:
    shown = invoke("--help").stdout
    listed = [line.split()[0] for line in shown.partition("Commands:")[2].splitlines() if line.strip()]
    assert listed == list(_COMMANDS)
    assert "..." not in shown.partition("Commands:")[2]


@pytest.mark.parametrize("command", _COMMANDS)
def test_every_command_has_help_and_json(invoke: Invoke, command: str) -> None:
    shown = invoke(command, "--help").stdout
    assert "--json" in shown
    assert ("--budget" in shown) == (command in ("fit", "compile"))


def test_version(invoke: Invoke) -> None:
    assert invoke("--version").stdout == f"reusec {__version__}\n"


@pytest.mark.parametrize("arguments", [("chekc",), ("check",), ("check", "a", "b"), ("check", "a", "--nothing")])
def test_unparsable_usage_has_status_2(invoke: Invoke, arguments: tuple[str, ...]) -> None:
    done = invoke(*arguments)
    assert (done.status, done.stdout) == (2, "")
    assert "Usage: " in done.stderr


def test_starting_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "import reuse_compiler.cli.app\n"
        "print([name for name in ('numpy', 'onnx', 'onnx_ir', 'onnxruntime', 'pydantic', 'sklearn')"
        " if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True).stdout == "[]\n"


def test_an_error_is_one_line_and_status_1(tmp_path: Path) -> None:
    done = subprocess.run([*_REUSEC, "check", tmp_path / "none.onnx"], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"reusec: {tmp_path / 'none.onnx'}: no such file\n"


def test_a_name_with_a_line_break_stays_one_line(invoke: Invoke, tmp_path: Path) -> None:
    assert "a b.onnx" in invoke("check", tmp_path / "a\nb.onnx").complaint


def test_a_place_without_permission_is_one_line(
    invoke: Invoke, model: Path, stream: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", "/locked/profile.json")

    monkeypatch.setattr("reuse_compiler.cli.profile.profile_on", refuse)
    assert "/locked/profile.json: Permission denied" in invoke("profile", model, "--stream", stream).complaint


def test_a_broken_pipe_is_quiet() -> None:
    done = subprocess.run(
        ["bash", "-c", '"$@" | { exec 0<&-; sleep 0.1; }; exit "${PIPESTATUS[0]}"', "-", *_REUSEC, "hardware"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (141, "")


def interrupted(begun: Path, *arguments: object) -> tuple[int, bytes, bytes]:
    """Exit status, stdout and stderr of a command that is interrupted once the file `begun` is there."""
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # where tests run in the background it is ignored, and inherited
    process = subprocess.Popen(
        [*_REUSEC, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    deadline = time.monotonic() + 60
    while not begun.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    return process.returncode, stdout, stderr


@pytest.fixture
def endless(tmp_path: Path) -> str:
    """A stream without end, which makes a file `begun` when it is read."""
    file = tmp_path / "endless.py"
    file.write_text(
        "import itertools, pathlib, numpy as np\n"
        "def frames():\n"
        "    for number in itertools.count():\n"
        f"        pathlib.Path({str(tmp_path / 'begun')!r}).touch()\n"
        "        yield {'image': np.full((1, 2, 6, 6), number % 3, np.float32)}\n"
    )
    return f"{file}:frames"


def test_an_interrupt_is_quiet_and_leaves_nothing(compilation: Path, endless: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    arguments = ("compile", compilation / "small.onnx", "--plan", compilation / "compiled/plan.json")
    done = interrupted(tmp_path / "begun", *arguments, "--stream", endless, "-o", tmp_path / "out/compiled")
    assert done == (130, b"", b"")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("journal", "expected"),
    [
        (False, "nothing was written: with --journal FILE the next fit can be stopped and goes on from there"),
        (True, "nothing was tried yet, and nothing was written: the same command begins again"),
    ],
)
def test_an_interrupt_before_the_search_says_that_nothing_is_kept(
    compilation: Path, endless: str, tmp_path: Path, journal: bool, expected: str
) -> None:
    fit = ("fit", compilation / "small.onnx", "--stream", endless, "--budget", "relrmse<=0.1")
    options = ("--journal", tmp_path / "journal") if journal else ()
    status, stdout, stderr = interrupted(tmp_path / "begun", *fit, *options, "-o", tmp_path / "plan.json")
    assert (status, stdout, stderr.decode()) == (130, b"", f"reusec: stopped: {expected}\n")
    assert not (tmp_path / "plan.json").exists()


@pytest.mark.parametrize("command", ["fit", "compile"])
def test_an_interrupt_of_the_search_says_what_its_journal_holds(
    compilation: Path, tmp_path: Path, command: str
) -> None:
    """The journal appears with the first candidate; the losses are slow enough for it not to be the last."""
    np.savez(tmp_path / "stream.npz", image=recording(24))
    (tmp_path / "slow.py").write_text(
        "import pathlib, time\n"
        "def loss(references, outputs):\n"
        "    time.sleep(0.1)\n"
        f"    journal = pathlib.Path({str(tmp_path / 'journal')!r})\n"
        "    if journal.exists() and journal.stat().st_size:\n"
        f"        pathlib.Path({str(tmp_path / 'begun')!r}).touch()\n"
        "    return 0.0\n"
    )
    budget = ("--stream", tmp_path / "stream.npz", "--budget", f"{tmp_path / 'slow.py'}:loss<=1")
    written = ("--journal", tmp_path / "journal", "-o", tmp_path / "out")
    done = interrupted(tmp_path / "begun", command, compilation / "small.onnx", *budget, *written)
    words = f"reusec: stopped: {tmp_path / 'journal'} holds what was tried: the same command goes on from there\n"
    assert (done[0], done[1], done[2].decode()) == (130, b"", words)
    assert not (tmp_path / "out").exists()


def test_an_interrupt_while_onnxruntime_computes_in_threads_is_quiet_too(tmp_path: Path) -> None:
    """A Python that shuts down around such threads is aborted: candidates of this network are always under way."""
    network = ("reuse_compiler.models.autopilot:stream", "--frames", "0:60", "--budget", "relrmse<=0.1")
    journal = tmp_path / "journal"
    fit = ("fit", autopilot.path(), "--stream", *network, "--journal", journal, "-o", tmp_path / "plan.json")
    status, stdout, stderr = interrupted(journal, *fit)
    words = f"reusec: stopped: {journal} holds what was tried: the same command goes on from there\n"
    others = "reusec: stopped: nothing was tried yet, and nothing was written: the same command begins again\n"
    assert (status, stdout) == (130, b"") and stderr.decode() in (words, others)
