"""The timeline of a run: what every unit of the accelerator does, cycle by cycle, for Perfetto and chrome://tracing."""

from __future__ import annotations

from reuse_compiler.timeline.recorder import Timeline
from reuse_compiler.timeline.sections import Section, Slice, TimedSection

__all__ = ["Section", "Slice", "TimedSection", "Timeline"]
