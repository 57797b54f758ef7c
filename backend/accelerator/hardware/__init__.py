"""Hardware descriptions: one TOML file each, every constant with its value, unit and source."""

from __future__ import annotations

import operator
import tomllib
from collections.abc import Mapping
from functools import cache, reduce
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reuse_compiler.backend.accelerator.program import Tiling
from reuse_compiler.errors import HardwareError
from reuse_compiler.files import read_text

__all__ = ["BufferMemory", "Constant", "Hardware", "builtin_names", "load_hardware"]

Value = TypeVar("Value")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Constant(_Strict, Generic[Value]):
    """One constant: its value, its unit, and where it comes from."""

    value: Value
    unit: str
    source: str


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0)]


class Clock(_Strict):
    """The clock, and how fast the control unit issues."""

    frequency_hz: Constant[Positive]
    issue_cycles: Constant[Annotated[int, Field(ge=0)]]


class Compute(_Strict):
    """The compute engine."""

    lanes: Constant[Count]
    tiles: Constant[Count]
    accumulators: Constant[Count]
    latency_cycles: Constant[Annotated[int, Field(ge=0)]]
    multiply_pj: Constant[NotNegative]
    add_pj: Constant[NotNegative]
    register_pj: Constant[NotNegative]
    leakage_mw: Constant[NotNegative]
    area_mm2: Constant[NotNegative]
    partial_sums: Constant[Literal["registers", "buffer"]]


class Quantizer(_Strict):
    """The quantize and compare stage of the compute engine."""

    inputs_per_cycle: Constant[Positive]
    overlapped: Constant[bool]
    scan_pj: Constant[NotNegative]
    changed_pj: Constant[NotNegative]
    compare_pj: Constant[NotNegative]


class Passes(_Strict):
    """Passes through the special function unit by kind of function."""

    simple: Constant[Count]
    transcendental: Constant[Count]
    divide: Constant[Count]


class SpecialUnit(_Strict):
    """The special function unit."""

    lanes: Constant[Count]
    latency_cycles: Constant[Annotated[int, Field(ge=0)]]
    operation_pj: Constant[NotNegative]
    leakage_mw: Constant[NotNegative]
    passes: Passes


class BufferMemory(_Strict):
    """An on-chip memory."""

    bytes: Constant[Count]
    read_pj_per_byte: Constant[NotNegative]
    write_pj_per_byte: Constant[NotNegative]
    leakage_mw: Constant[NotNegative]
    area_mm2: Constant[NotNegative]


class Buffers(_Strict):
    """The I/O buffer of the baseline and of the reuse machine."""

    base: BufferMemory
    reuse: BufferMemory


class Tables(_Strict):
    """The centroid tables."""

    bytes: Constant[Count]
    read_pj: Constant[NotNegative]
    write_pj: Constant[NotNegative]
    leakage_mw: Constant[NotNegative]
    area_mm2: Constant[NotNegative]


class DataMaster(_Strict):
    """The data master."""

    latency_cycles: Constant[Annotated[int, Field(ge=0)]]
    buffer_bytes_per_cycle: Constant[Positive]


class Dram(_Strict):
    """Main memory."""

    latency_cycles: Constant[Annotated[int, Field(ge=0)]]
    bytes_per_cycle: Constant[Positive]
    read_pj_per_byte: Constant[NotNegative]
    write_pj_per_byte: Constant[NotNegative]
    background_mw: Constant[NotNegative]


class Hardware(_Strict):
    """One accelerator. Units are in the names; `mw` is milliwatt, `pj` picojoule, `mm2` square millimetre."""

    name: str
    description: str
    clock: Clock
    compute: Compute
    quantizer: Quantizer
    special: SpecialUnit
    edram: BufferMemory
    buffer: Buffers
    tables: Tables
    data_master: DataMaster
    dram: Dram

    @property
    def tiling(self) -> Tiling:
        """The sizes that a lowering depends on."""
        return Tiling(
            hardware=self.name,
            lanes=self.compute.lanes.value,
            accumulators=self.compute.accumulators.value,
            edram_bytes=self.edram.bytes.value,
            buffer_bytes_base=self.buffer.base.bytes.value,
            buffer_bytes_reuse=self.buffer.reuse.bytes.value,
        )

    def constants(self) -> list[tuple[str, object, str, str]]:
        """Every constant as (name, value, unit, source), in the order of the file."""
        found: list[tuple[str, object, str, str]] = []
        _collect("", self, found)
        return found

    def varied(self, constants: Mapping[str, object]) -> Hardware:
        """This hardware with other values for some constants, called as :meth:`constants` calls them.

        Raises HardwareError where there is no such constant, or the value is out of its range.
        """
        known = {name for name, *_ in self.constants()}
        parts = self.model_dump()
        for name, value in constants.items():
            if name not in known:
                raise HardwareError(f"hardware {self.name}: no constant is called {name}: reusec hardware lists them")
            *path, last = name.split(".")
            part = reduce(operator.getitem, path, parts)
            part[last] = {**part[last], "value": value, "source": "varied"}
        return _validated(self.name, parts)


def _collect(prefix: str, part: BaseModel, found: list[tuple[str, object, str, str]]) -> None:
    for name in type(part).model_fields:
        value = getattr(part, name)
        if isinstance(value, Constant):
            found.append((prefix + name, value.value, value.unit, value.source))
        elif isinstance(value, BaseModel):
            _collect(f"{prefix}{name}.", value, found)


def builtin_names() -> list[str]:
    """Names of the hardware descriptions that are built in."""
    folder = resources.files(__package__)
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml"))


def load_hardware(name: str | Path) -> Hardware:
    """The hardware of a built-in name, or of a TOML file.

    Raises HardwareError naming the constant that is missing or out of range, ReuseError where the file cannot be read.
    """
    if name in builtin_names():
        return _builtin(str(name))
    if Path(name).suffix == ".toml":
        return _parse(str(name), read_text(name))
    raise HardwareError(f"hardware {name}: built in are {', '.join(builtin_names())}; or give a .toml file")


@cache
def _builtin(name: str) -> Hardware:
    return _parse(name, (resources.files(__package__) / f"{name}.toml").read_text())


def _parse(name: str, text: str) -> Hardware:
    try:
        return _validated(name, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise HardwareError(f"hardware {name}: not TOML: {error}") from error


def _validated(name: str, parts: dict[str, Any]) -> Hardware:
    try:
        return Hardware.model_validate(parts)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise HardwareError(f"hardware {name}: {where}: {first['msg']}") from error
