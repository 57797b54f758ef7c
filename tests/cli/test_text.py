"""Numbers, names and messages as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reuse_compiler.cli.text import byte_size, counted, number, one_line, percent, printable, scale, shorten


@given(st.text(), st.integers(1, 40))
def test_a_shortened_name_fits_and_keeps_its_ends(name: str, width: int) -> None:
    short = shorten(name, width)
    assert len(short) <= width
    if len(name) <= width:
        assert short == name
    else:
        head, _, tail = short.partition("…")
        assert name.startswith(head) and name.endswith(tail)


@given(st.text())
def test_a_message_is_one_printable_line(text: str) -> None:
    assert one_line(text).isprintable()
    assert printable(text).isprintable()


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (9_999, "9,999 bytes"), (10_000, "9.8 KB"), (580_584, "567 KB"), (64 << 20, "64.0 MB"), (1 << 40, "1,024 GB")],
)  # fmt: skip
def test_sizes(size: int, text: str) -> None:
    assert byte_size(size) == text


def test_shares() -> None:
    assert [percent(share) for share in (None, 0.0, -1e-9, 0.1234, 1.0, -0.026)] == [
        "", "0.0", "0.0", "12.3", "100.0", "-2.6",
    ]  # fmt: skip


def test_numbers() -> None:
    assert [number(value) for value in (None, 0.0, 0.0622412, 12345.678)] == ["", "0", "0.06224", "1.235e+04"]
    assert [counted(amount, "frame") for amount in (0, 1, 2_000)] == ["0 frames", "1 frame", "2,000 frames"]


@pytest.mark.parametrize(
    ("largest", "unit", "shown"),
    [(535_848.0, "nJ", "535.85"), (9.0, "pJ", "9.000"), (12_345_678.0, "uJ", "12.346"), (5e9, "uJ", "5,000.0")],
)
def test_a_scale_keeps_five_digits_of_the_largest(largest: float, unit: str, shown: str) -> None:
    chosen = scale(largest, (("pJ", 1), ("nJ", 1e3), ("uJ", 1e6)), 1e4)
    assert (chosen.unit, chosen.show(largest)) == (unit, shown)
    assert float(chosen.show(chosen.smallest * 1.01)) > 0
    assert float(chosen.show(chosen.smallest * 0.99)) == 0


def test_a_scale_stays_in_its_last_unit() -> None:
    chosen = scale(1e12, (("cycles", 1), ("kcycles", 1e3)), 1e6)
    assert (chosen.unit, chosen.show(1e12)) == ("kcycles", "1,000,000,000")
