"""The program as a file: a safetensors file that holds the code of both machines, the constants and the host models.

=====================  =======================================================================================
tensor                 what it is
=====================  =======================================================================================
``code.reuse``         uint8 [instructions, 128], the reuse machine's instruction words
``code.baseline``      uint8 [instructions, 128], the baseline's
``constants``          uint8 [bytes], the DRAM image from address 0
``host.<n>``           uint8 [bytes], a sub-model for the host as ONNX; both machines may name the same one
=====================  =======================================================================================

The rest is one JSON object under ``program`` in the file's metadata. Equal programs give equal files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from reuse_compiler import __version__
from reuse_compiler.backend.accelerator.codec import decode_all, encode_all
from reuse_compiler.backend.accelerator.program import Binding, Code, HostModel, LayerInfo, Program, SiteInfo, Tiling
from reuse_compiler.errors import ProgramError, ReuseError
from reuse_compiler.files import replacing

__all__ = ["FORMAT_VERSION", "digest", "load", "save"]

FORMAT_VERSION = 1

_METADATA = "program"
_CONSTANTS = "constants"
_MACHINES = ("reuse", "baseline")

Bytes = NDArray[np.uint8]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")


class _Version(BaseModel):
    format_version: int


class _Host(_Strict):
    name: str
    tensor: str
    inputs: tuple[Binding, ...]
    outputs: tuple[Binding, ...]
    kept_inputs: tuple[str, ...] = ()
    kept_outputs: tuple[str, ...] = ()


class _Machine(_Strict):
    dram_bytes: int
    buffer_bytes: int
    inputs: tuple[Binding, ...]
    outputs: tuple[Binding, ...]
    hosts: tuple[_Host, ...]
    sites: tuple[SiteInfo, ...]
    kept_inputs: tuple[str, ...] = ()
    kept_outputs: tuple[str, ...] = ()


class _Header(_Strict):
    format_version: int = FORMAT_VERSION
    tool_version: str = __version__
    model_sha256: str
    tiling: Tiling
    layers: tuple[LayerInfo, ...]
    reuse: _Machine
    baseline: _Machine


def digest(program: Program) -> str:
    """Hexadecimal SHA-256 over the code of both machines: what binds a trace to the program that it was made by."""
    total = hashlib.sha256()
    for code in (program.reuse, program.baseline):
        words = encode_all(code.instructions)
        total.update(len(words).to_bytes(8, "little"))
        total.update(words.data)
    return total.hexdigest()


def save(program: Program, path: str | Path) -> None:
    """Write `program` to `path`, under a temporary name first.

    Raises ProgramError where an instruction does not fit its word, ReuseError where the place cannot be written.
    """
    tensors: dict[str, Bytes] = {_CONSTANTS: _constants(program)}
    machines: dict[str, _Machine] = {}
    names: dict[bytes, str] = {}
    for name in _MACHINES:
        code: Code = getattr(program, name)
        tensors[_code(name)] = _encode(code, name)
        machines[name] = _machine(code, names)
    tensors |= {name: np.frombuffer(model, np.uint8) for model, name in names.items()}
    header = _Header(
        model_sha256=program.model_sha256,
        tiling=program.tiling,
        layers=program.layers,
        reuse=machines["reuse"],
        baseline=machines["baseline"],
    )
    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary, {_METADATA: header.model_dump_json()})
        except SafetensorError as error:
            raise ReuseError(f"{path}: cannot write: {error}: choose another place") from error


def load(path: str | Path) -> Program:
    """Read a program.

    Raises ProgramError naming the file, and the field, tensor or instruction, where it is truncated, of another format
    version, or not a program; ReuseError where it cannot be read.
    """
    try:
        with safe_open(path, "numpy") as file:
            return _Reader(str(path), file).program()
    except FileNotFoundError as error:
        raise ReuseError(f"{path}: no such file") from error
    except OSError as error:
        raise ReuseError(f"{path}: cannot read: {error}") from error
    except SafetensorError as error:
        raise ProgramError(f"{path}: truncated, or not a program ({error}): compile the model again") from error


@dataclass(frozen=True)
class _Reader:
    """An open safetensors file, and the name under which errors mention it."""

    path: str
    file: Any

    def program(self) -> Program:
        header = self._header()
        return Program(
            reuse=self._machine_code("reuse", header.reuse),
            baseline=self._machine_code("baseline", header.baseline),
            constants=self._tensor(_CONSTANTS),
            layers=header.layers,
            tiling=header.tiling,
            model_sha256=header.model_sha256,
        )

    def _header(self) -> _Header:
        text = (self.file.metadata() or {}).get(_METADATA)
        if text is None:
            raise ProgramError(f"{self.path}: not a program: its metadata has no field {_METADATA}")
        try:
            found = _Version.model_validate_json(text).format_version
            if found != FORMAT_VERSION:
                raise ProgramError(
                    f"{self.path}: field format_version is {found}, this version reads {FORMAT_VERSION}:"
                    " compile the model again"
                )
            return _Header.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or _METADATA
            raise ProgramError(f"{self.path}: field {where}: {first['msg']}") from error

    def _machine_code(self, name: str, machine: _Machine) -> Code:
        words = self._tensor(_code(name))
        try:
            instructions = decode_all(words)
        except ProgramError as error:
            raise ProgramError(f"{self.path}: {_code(name)}: {error}") from error
        hosts = tuple(
            HostModel(
                host.name,
                self._tensor(host.tensor).tobytes(),
                host.inputs,
                host.outputs,
                host.kept_inputs,
                host.kept_outputs,
            )
            for host in machine.hosts
        )
        code = Code(
            instructions=instructions,
            dram_bytes=machine.dram_bytes,
            buffer_bytes=machine.buffer_bytes,
            inputs=machine.inputs,
            outputs=machine.outputs,
            hosts=hosts,
            sites=machine.sites,
            kept_inputs=machine.kept_inputs,
            kept_outputs=machine.kept_outputs,
        )
        self._check_bindings(name, code)
        return code

    def _tensor(self, name: str) -> Bytes:
        if name not in list(self.file.keys()):
            raise ProgramError(f"{self.path}: tensor {name} is missing: compile the model again")
        part = self.file.get_slice(name)
        rank = 2 if name.startswith("code.") else 1
        if part.get_dtype() != "U8" or len(part.get_shape()) != rank:
            raise ProgramError(
                f"{self.path}: tensor {name} is {part.get_dtype()} {part.get_shape()}: it must be U8 of rank {rank}"
            )
        tensor: Bytes = self.file.get_tensor(name)
        return tensor

    def _check_bindings(self, name: str, code: Code) -> None:
        for binding in _bindings(code):
            try:
                fits = 0 <= binding.address <= code.dram_bytes - binding.bytes and min(binding.shape, default=1) >= 0
            except TypeError as error:
                raise ProgramError(
                    f"{self.path}: {name}: tensor {binding.name}: field dtype is {binding.dtype}: numpy has none such"
                ) from error
            if not fits:
                raise ProgramError(
                    f"{self.path}: {name}: tensor {binding.name}: field address is {binding.address}: the tensor does"
                    f" not lie in the {code.dram_bytes} bytes of DRAM"
                )


def _bindings(code: Code) -> Iterable[Binding]:
    yield from code.inputs
    yield from code.outputs
    for host in code.hosts:
        yield from host.inputs
        yield from host.outputs


def _constants(program: Program) -> Bytes:
    constants = program.constants
    if constants.dtype != np.uint8 or constants.ndim != 1:
        raise ProgramError(f"constants are {constants.dtype} of rank {constants.ndim}: they must be uint8 of rank 1")
    return np.ascontiguousarray(constants)


def _encode(code: Code, machine: str) -> Bytes:
    try:
        return encode_all(code.instructions)
    except ProgramError as error:
        raise ProgramError(f"{_code(machine)}: {error}") from error


def _machine(code: Code, names: dict[bytes, str]) -> _Machine:
    """The part of the header for `code`; enters its host models into `names`, the tensor's name by the bytes."""
    hosts = tuple(
        _Host(
            name=host.name,
            tensor=names.setdefault(host.model, f"host.{len(names)}"),
            inputs=host.inputs,
            outputs=host.outputs,
            kept_inputs=host.kept_inputs,
            kept_outputs=host.kept_outputs,
        )
        for host in code.hosts
    )
    return _Machine(
        dram_bytes=code.dram_bytes,
        buffer_bytes=code.buffer_bytes,
        inputs=code.inputs,
        outputs=code.outputs,
        hosts=hosts,
        sites=code.sites,
        kept_inputs=code.kept_inputs,
        kept_outputs=code.kept_outputs,
    )


def _code(machine: str) -> str:
    return f"code.{machine}"
