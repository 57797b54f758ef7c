"""When an adaptive session runs the dense network: after slow frames, and for longer each time that a probe finds no gain."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from reuse_compiler.native.switch import Switch


def modes(switch: Switch, reuse_ns: Iterable[float], dense_ns: float = 100.0) -> list[bool]:
    """Whether each frame reused, where one with reuse takes the next of `reuse_ns`."""
    found = []
    for taken in reuse_ns:
        found.append(switch.reuses)
        switch.took(taken if switch.reuses else dense_ns)
    return found


def test_reuse_that_pays_goes_on() -> None:
    assert all(modes(Switch(100.0), [60.0] * 500))


def test_one_slow_frame_is_none_of_its_business() -> None:
    assert all(modes(Switch(100.0), [60.0, 60.0, 300.0, *[60.0] * 50]))


def test_reuse_that_never_pays_is_tried_ever_less_often() -> None:
    found = modes(Switch(100.0), [200.0] * 3000)
    assert found[:4] == [True] * 4 and not any(found[4:12])
    assert found[12:14] == [True, True]  # a probe: to catch up, and to see
    assert sum(found[1000:]) <= 10
    assert any(found[1000:])


def test_reuse_that_pays_again_is_found_by_a_probe() -> None:
    switch = Switch(100.0)
    modes(switch, [200.0] * 100)
    found = modes(switch, [50.0] * 400)
    assert all(found[-100:])


def test_a_probe_is_judged_by_its_second_frame() -> None:
    switch = Switch(100.0)
    modes(switch, [200.0] * 12)
    assert modes(switch, [900.0, 50.0, 50.0, 50.0]) == [True] * 4


@given(st.lists(st.floats(1.0, 1e6), min_size=1, max_size=300), st.floats(1.0, 1e6))
def test_whatever_the_times_are_it_comes_back(times: list[float], dense: float) -> None:
    switch = Switch(dense)
    modes(switch, times, dense)
    assert any(modes(switch, [dense * 2] * 600, dense))
