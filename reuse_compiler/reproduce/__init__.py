"""The paper's four networks, its tables and its figures."""

from __future__ import annotations

from reuse_compiler.reproduce.documents import Reproduction
from reuse_compiler.reproduce.reproducing import reproduce
from reuse_compiler.reproduce.workloads import WORKLOADS

__all__ = ["WORKLOADS", "Reproduction", "reproduce"]
