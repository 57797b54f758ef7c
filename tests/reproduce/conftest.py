"""A quick reproduction of the one network whose weights every installation has."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest

from reuse_compiler.backend.accelerator.hardware import Hardware, load_hardware
from reuse_compiler.reproduce import Reproduction, reproduce
from reuse_compiler.reproduce.network import Prepared, prepared
from reuse_compiler.reproduce.workloads import workload


@pytest.fixture(scope="session")
def hardware() -> Hardware:
    return load_hardware("isca18")


@pytest.fixture(scope="session")
def ready(hardware: Hardware) -> Iterator[Prepared]:
    with prepared(workload("autopilot"), quick=True, hardware=hardware, threads=2) as found:
        yield found


@pytest.fixture(scope="session")
def quick() -> Reproduction:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return reproduce(["autopilot"], quick=True, threads=2)
