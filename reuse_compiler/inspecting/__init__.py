"""What `reusec inspect`, `profile` and `fit` show: pure functions from models, programs, profiles and plans to rows."""

from __future__ import annotations

from reuse_compiler.inspecting.diff import DiffLine, diff
from reuse_compiler.inspecting.dot import to_dot
from reuse_compiler.inspecting.nodes import NodeRow, node_rows
from reuse_compiler.inspecting.plan_rows import PlanRow, plan_rows
from reuse_compiler.inspecting.program_summary import MemoryUse, MnemonicCount, ProgramSummary, StateUse, summarize
from reuse_compiler.inspecting.readings import PlannedSite, SiteReadings, at_clusters, of_plan

__all__ = [
    "DiffLine",
    "MemoryUse",
    "MnemonicCount",
    "NodeRow",
    "PlanRow",
    "PlannedSite",
    "ProgramSummary",
    "SiteReadings",
    "StateUse",
    "at_clusters",
    "diff",
    "node_rows",
    "of_plan",
    "plan_rows",
    "summarize",
    "to_dot",
]
