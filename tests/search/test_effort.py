"""An effort says whether it cut anything short."""

from __future__ import annotations

import time

from reuse_compiler.search.effort import Effort


def test_it_remembers_that_something_was_left_out() -> None:
    effort = Effort(0.5)
    assert not effort.is_spent()
    assert effort.cut_short_seconds is None
    effort.started -= 1
    assert effort.cut_short_seconds is None  # nobody asked since
    assert effort.is_spent()
    effort.started = time.monotonic()
    assert not effort.is_spent()
    assert effort.cut_short_seconds == 0.5


def test_without_seconds_it_is_never_spent() -> None:
    effort = Effort(started=0.0)
    assert not effort.is_spent()
    assert effort.cut_short_seconds is None
