"""Hardware files: what ships, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest

from reuse_compiler.backend.accelerator.hardware import Hardware, builtin_names, load_hardware
from reuse_compiler.backend.accelerator.program import Tiling
from reuse_compiler.errors import HardwareError, ReuseError

Edit = Callable[[str, str], Path]


@pytest.fixture
def edited(tmp_path: Path) -> Edit:
    """A copy of the default hardware in which one piece of text is replaced."""
    text = (resources.files("reuse_compiler.backend.accelerator.hardware") / "isca18.toml").read_text()

    def edit(old: str, new: str) -> Path:
        assert text.count(old) == 1
        path = tmp_path / "mine.toml"
        path.write_text(text.replace(old, new))
        return path

    return edit


def test_both_profiles_ship_and_differ_where_they_should() -> None:
    assert builtin_names() == ["isca18", "isca18-macro"]
    one, other = (
        {constant: value for constant, value, *_ in load_hardware(name).constants()} for name in builtin_names()
    )
    assert {name for name in one if one[name] != other[name]} == {
        "compute.partial_sums",
        "edram.read_pj_per_byte",
        "edram.write_pj_per_byte",
        "edram.leakage_mw",
        "edram.area_mm2",
    }


@pytest.mark.parametrize("name", builtin_names())
def test_every_constant_has_a_unit_and_a_source(name: str) -> None:
    text = (resources.files("reuse_compiler.backend.accelerator.hardware") / f"{name}.toml").read_text()
    constants = load_hardware(name).constants()
    assert len({constant for constant, *_ in constants}) == text.count("{ value =") == len(constants)
    for constant, value, unit, source in constants:
        assert value is not None and unit and source[0] in "PCLSA", constant


def test_sizes_for_the_lowering(hardware: Hardware) -> None:
    assert hardware.tiling == Tiling("isca18", 128, 16384, 36 << 20, 1152 << 10, 1280 << 10)


def test_a_file_is_read_anew_each_time(edited: Edit) -> None:
    path = edited("lanes = { value = 128", "lanes = { value = 64")
    assert load_hardware(path).compute.lanes.value == 64
    assert load_hardware(str(edited("lanes = { value = 128", "lanes = { value = 32"))).compute.lanes.value == 32


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lanes = { value = 128", "lanes = { value = 0", "compute.lanes.value: Input should be greater than 0"),
        ("lanes = { value = 128", "lanes = { value = 1.5", "compute.lanes.value: Input should be a valid integer"),
        ("add_pj = { value = 0.577", "add_pj = { value = -1", "compute.add_pj.value: Input should be greater than or"),
        ("add_pj = { value = 0.577", "add_pj = { value = nan", "compute.add_pj.value: Input should be a finite number"),
        (
            "bytes_per_cycle = { value = 51.2",
            "bytes_per_cycle = { value = inf",
            "dram.bytes_per_cycle.value: Input should be a",
        ),
        ("scan_pj = {", "scanned_pj = {", "quantizer.scan_pj: Field required"),
        (
            'value = "registers"',
            'value = "nowhere"',
            "compute.partial_sums.value: Input should be 'registers' or 'buffer'",
        ),
        (
            'frequency_hz = { value = 500e6, unit = "Hz", source = "P" }',
            "frequency_hz = 500e6",
            "clock.frequency_hz: Input",
        ),
        (', unit = "Hz"', "", "clock.frequency_hz.unit: Field required"),
        ("[tables]", "[tabels]", "tables: Field required"),
        ("[dram]", "[dram", "not TOML: "),
    ],
)
def test_an_error_names_file_and_constant(edited: Edit, old: str, new: str, message: str) -> None:
    path = edited(old, new)
    with pytest.raises(HardwareError) as caught:
        load_hardware(path)
    assert str(caught.value).startswith(f"hardware {path}: {message}")
    assert "\n" not in str(caught.value)


def test_a_constant_that_nothing_knows_is_refused(edited: Edit) -> None:
    path = edited("[tables]\n", '[tables]\nrows = { value = 1, unit = "rows", source = "A" }\n')
    with pytest.raises(HardwareError, match=r"tables\.rows: Extra inputs are not permitted"):
        load_hardware(path)


def test_an_unknown_name_lists_what_is_built_in(tmp_path: Path) -> None:
    with pytest.raises(HardwareError, match=r"hardware tpu: built in are isca18, isca18-macro; or give a .toml file"):
        load_hardware("tpu")
    with pytest.raises(ReuseError, match=r"none.toml: no such file"):
        load_hardware(tmp_path / "none.toml")


def test_varied_constants_are_set_and_say_so() -> None:
    base = load_hardware("isca18")
    other = base.varied({"quantizer.inputs_per_cycle": 4, "edram.bytes": 1 << 20})
    assert other.quantizer.inputs_per_cycle.value == 4 and other.tiling.edram_bytes == 1 << 20
    changed = {
        name for (name, *now), (_, *then) in zip(other.constants(), base.constants(), strict=True) if now != then
    }
    assert changed == {"quantizer.inputs_per_cycle", "edram.bytes"}
    assert {source for name, _, _, source in other.constants() if name in changed} == {"varied"}
    assert base.quantizer.inputs_per_cycle.value == 16
    with pytest.raises(HardwareError, match="no constant is called"):
        base.varied({"edram.colour": 1})
    with pytest.raises(HardwareError, match=r"compute\.lanes"):
        base.varied({"compute.lanes": 0})
