"""``reusec disasm`` and ``reusec asm``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Invoke


@pytest.fixture
def program(compilation: Path) -> Path:
    """The program of the compilation."""
    return compilation / "compiled/program.safetensors"


def test_text_gives_the_program_back_byte_for_byte(invoke: Invoke, program: Path, tmp_path: Path) -> None:
    text, again = tmp_path / "program.txt", tmp_path / "again.safetensors"
    text.write_text(invoke("disasm", program).stdout)
    done = invoke("asm", text, "--data", program, "-o", again)
    assert f"wrote {again}" in done.stdout
    assert again.read_bytes() == program.read_bytes()


def test_a_folder_stands_for_its_program(invoke: Invoke, program: Path, tmp_path: Path) -> None:
    text = tmp_path / "program.txt"
    assert invoke("disasm", program.parent, "-o", text).stdout == f"wrote {text}\n"
    assert text.read_text() == invoke("disasm", program).stdout
    assert invoke("asm", text, "--data", program.parent, "-o", tmp_path / "p").status == 0


def test_json(invoke: Invoke, program: Path, tmp_path: Path) -> None:
    shown = json.loads(invoke("disasm", program, "--json").stdout)
    assert shown["text"] == invoke("disasm", program).stdout.splitlines()
    (tmp_path / "t").write_text("\n".join(shown["text"]))
    made = json.loads(invoke("asm", tmp_path / "t", "--data", program, "-o", tmp_path / "p", "--json").stdout)
    assert made["instructions"]["reuse"] > made["instructions"]["baseline"] > 0


def test_an_edit_arrives(invoke: Invoke, program: Path, tmp_path: Path) -> None:
    text = invoke("disasm", program).stdout
    assert "clusters=32" in text
    (tmp_path / "t").write_text(text.replace("clusters=32", "clusters=31"))
    invoke("asm", tmp_path / "t", "--data", program, "-o", tmp_path / "p")
    assert "clusters=31" in invoke("disasm", tmp_path / "p").stdout


def test_bad_text_names_file_and_line_and_writes_nothing(invoke: Invoke, program: Path, tmp_path: Path) -> None:
    (tmp_path / "t").write_text(invoke("disasm", program).stdout.replace("delta.conv", "delta.cove", 1))
    (tmp_path / "p").write_text("older")
    complaint = invoke("asm", tmp_path / "t", "--data", program, "-o", tmp_path / "p").complaint
    assert f"{tmp_path / 't'}: line " in complaint and "delta.cove" in complaint
    assert (tmp_path / "p").read_text() == "older"


def test_what_is_no_program(invoke: Invoke, program: Path, tmp_path: Path) -> None:
    truncated = tmp_path / "truncated"
    truncated.write_bytes(program.read_bytes()[:-100])
    assert str(truncated) in invoke("disasm", truncated).complaint
    assert "no such file" in invoke("disasm", tmp_path / "none").complaint
    assert "no such file" in invoke("asm", tmp_path / "none", "--data", program, "-o", tmp_path / "p").complaint
    assert "not a text file" in invoke("asm", program, "--data", program, "-o", tmp_path / "p").complaint
