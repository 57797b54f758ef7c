"""Fixtures of the search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reuse_compiler.trial import Trial
from tests.small_search import Parts, small_parts


@pytest.fixture(scope="session")
def parts() -> Parts:
    """A small network and a recording in two parts."""
    return small_parts()


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many trials have been run since the test began."""
    run, count = Trial.run, 0

    def counted(self: Trial, *args: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        return run(self, *args, **options)

    monkeypatch.setattr(Trial, "run", counted)
    return lambda: count
