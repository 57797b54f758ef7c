"""Programs as files: whole round trips, and one line for everything that is wrong with a file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from reuse_compiler.backend.accelerator import program_file
from reuse_compiler.backend.accelerator.isa import Halt, Instruction, Load, Sync
from reuse_compiler.backend.accelerator.program import Program
from reuse_compiler.errors import ProgramError, ReuseError


@pytest.fixture
def path(tmp_path: Path, program: Program) -> Path:
    """The small program as a file."""
    path = tmp_path / "program.safetensors"
    program_file.save(program, path)
    return path


def with_code(program: Program, instructions: list[Instruction]) -> Program:
    return dataclasses.replace(program, reuse=dataclasses.replace(program.reuse, instructions=tuple(instructions)))


def rewrite(path: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]) -> None:
    """Apply `change` to the header and the tensors of a file."""
    with safe_open(path, "numpy") as file:
        header = json.loads(file.metadata()["program"])
        tensors = {name: file.get_tensor(name) for name in list(file.keys())}
    change(header, tensors)
    save_file(tensors, path, {"program": json.dumps(header)})


def set_in(header: dict[str, Any], where: str, value: Any) -> None:
    *parents, last = where.split(".")
    place: Any = header
    for part in parents:
        place = place[int(part)] if part.isdigit() else place[part]
    place[last] = value


def test_a_program_comes_back_whole(path: Path, program: Program) -> None:
    back = program_file.load(path)
    np.testing.assert_array_equal(back.constants, program.constants)
    assert back.constants.dtype == np.uint8
    for field in dataclasses.fields(Program):
        if field.name != "constants":
            assert getattr(back, field.name) == getattr(program, field.name), field.name
    assert back.reuse.sections == program.reuse.sections


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(instructions=st.lists(st.from_type(Instruction), max_size=10))
def test_any_code_comes_back(tmp_path: Path, program: Program, instructions: list[Instruction]) -> None:
    before = with_code(program, instructions)
    program_file.save(before, tmp_path / "any.safetensors")
    after = program_file.load(tmp_path / "any.safetensors")
    assert [i.encode() for i in after.reuse.instructions] == [i.encode() for i in instructions]
    assert program_file.digest(after) == program_file.digest(before)


def test_equal_programs_give_equal_files(path: Path, tmp_path: Path) -> None:
    program_file.save(program_file.load(path), tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_a_host_model_that_both_machines_call_is_kept_once(path: Path, program: Program) -> None:
    assert path.read_bytes().count(program.reuse.hosts[0].model) == 1


def test_a_program_without_constants_comes_back(tmp_path: Path, program: Program) -> None:
    program_file.save(dataclasses.replace(program, constants=np.zeros(0, np.uint8)), tmp_path / "p")
    assert program_file.load(tmp_path / "p").constants.shape == (0,)


def test_loaded_constants_may_be_written_without_touching_the_file(path: Path) -> None:
    before = path.read_bytes()
    program_file.load(path).constants[:] = 255
    assert path.read_bytes() == before


# ------------------------------------------------------------------------------------------------------------ digest


def test_the_digest_follows_the_code_of_both_machines(program: Program) -> None:
    base = program_file.digest(program)
    one_less = dataclasses.replace(program.baseline, instructions=program.baseline.instructions[:-1])
    moved = [*program.reuse.instructions, program.baseline.instructions[0]]
    others = [
        dataclasses.replace(program, baseline=one_less),
        with_code(program, [*program.reuse.instructions, Halt()]),
        dataclasses.replace(
            with_code(program, moved),
            baseline=dataclasses.replace(program.baseline, instructions=program.baseline.instructions[1:]),
        ),
    ]
    assert len({base, *map(program_file.digest, others)}) == 4


def test_the_digest_does_not_follow_names(program: Program) -> None:
    assert program_file.digest(dataclasses.replace(program, layers=())) == program_file.digest(program)


# ----------------------------------------------------------------------------------------------------- what is refused


def test_a_file_cut_anywhere_is_refused(path: Path) -> None:
    whole = path.read_bytes()
    for length in [0, 4, 8, 100, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(ProgramError, match=f"^{path}: truncated, or not a program") as error:
            program_file.load(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\x08\x03", b"x" * 5000, b"\x02\0\0\0\0\0\0\0[]", b"\xff" * 64])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(ProgramError, match="not a program"):
        program_file.load(tmp_path / "p")


def test_another_safetensors_file_is_refused(tmp_path: Path) -> None:
    for metadata in (None, {"format": "pt"}):
        save_file({"weight": np.zeros(3, np.float32)}, tmp_path / "p", metadata)
        with pytest.raises(ProgramError, match="its metadata has no field program"):
            program_file.load(tmp_path / "p")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReuseError, match="no such file"):
        program_file.load(tmp_path / "none")
    with pytest.raises(ReuseError, match="cannot read"):
        program_file.load(tmp_path)


def test_another_format_version_is_refused_whatever_else_changed(path: Path) -> None:
    rewrite(path, lambda header, tensors: header.update(format_version=2, novelty=1))
    with pytest.raises(ProgramError, match=r"field format_version is 2, this version reads 1: compile"):
        program_file.load(path)


@pytest.mark.parametrize("field", ["format_version", "model_sha256", "tiling", "layers", "reuse", "baseline"])
def test_a_missing_field_is_named(path: Path, field: str) -> None:
    rewrite(path, lambda header, tensors: header.pop(field))
    with pytest.raises(ProgramError, match=f"^{path}: field {field}: Field required"):
        program_file.load(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reuse.dram_bytes", "many"),
        ("reuse.inputs.0.address", 1.5),
        ("baseline.hosts.0.tensor", None),
        ("reuse.sites.0.node", 3),
        ("layers.1.macs", []),
        ("tiling.lanes", {}),
        ("surprise", 1),
    ],
)
def test_a_wrong_field_is_named(path: Path, field: str, value: Any) -> None:
    rewrite(path, lambda header, tensors: set_in(header, field, value))
    with pytest.raises(ProgramError, match=f"^{path}: field {field}: ") as error:
        program_file.load(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["code.reuse", "code.baseline", "constants", "host.0"])
def test_a_missing_tensor_is_named(path: Path, name: str) -> None:
    rewrite(path, lambda header, tensors: tensors.pop(name))
    with pytest.raises(ProgramError, match=f"^{path}: tensor {name} is missing"):
        program_file.load(path)


@pytest.mark.parametrize("name", ["code.reuse", "code.baseline", "constants", "host.0"])
@pytest.mark.parametrize("tensor", [np.zeros((2, 128), np.float32), np.zeros((1, 1, 1), np.uint8)])
def test_a_tensor_of_another_type_or_rank_is_refused(path: Path, name: str, tensor: Any) -> None:
    rewrite(path, lambda header, tensors: tensors.update({name: tensor}))
    with pytest.raises(ProgramError, match=rf"^{path}: tensor {name} is (F32|U8) \[.*\]: it must be U8"):
        program_file.load(path)


def test_a_bad_instruction_is_named_by_its_number(path: Path) -> None:
    def damage(header: dict[str, Any], tensors: dict[str, Any]) -> None:
        tensors["code.baseline"][3, 0] = 0xEE

    rewrite(path, damage)
    with pytest.raises(ProgramError, match=f"^{path}: code.baseline: instruction 3: field opcode is 0xee"):
        program_file.load(path)


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("reuse.inputs.0.address", -1, "reuse: tensor x: field address is -1"),
        ("baseline.outputs.0.address", 0x3FE, "baseline: tensor p: field address is 1022"),
        ("reuse.hosts.0.inputs.0.shape", [1 << 20], "reuse: tensor z: field address is 384"),
        ("reuse.hosts.0.outputs.0.shape", [-1, -1], "reuse: tensor p: field address is 512"),
        ("reuse.inputs.0.dtype", "float33", "reuse: tensor x: field dtype is float33"),
    ],
)
def test_a_tensor_outside_the_memory_is_refused(path: Path, field: str, value: Any, problem: str) -> None:
    rewrite(path, lambda header, tensors: set_in(header, field, value))
    with pytest.raises(ProgramError, match=f"^{path}: {problem}"):
        program_file.load(path)


# ------------------------------------------------------------------------------------------------------------- saving


def test_a_program_that_cannot_be_encoded_leaves_no_file(tmp_path: Path, program: Program) -> None:
    with pytest.raises(ProgramError, match=r"^code.reuse: instruction 1: load: field run_bytes is -1"):
        program_file.save(with_code(program, [Sync(), Load(run_bytes=-1)]), tmp_path / "p")
    assert list(tmp_path.iterdir()) == []


def test_constants_that_are_not_bytes_are_refused(tmp_path: Path, program: Program) -> None:
    with pytest.raises(ProgramError, match="constants are float32 of rank 1"):
        program_file.save(dataclasses.replace(program, constants=np.zeros(3, np.float32)), tmp_path / "p")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, program: Program) -> None:
    with pytest.raises(ReuseError, match="cannot write"):
        program_file.save(program, tmp_path / "none" / "p")
