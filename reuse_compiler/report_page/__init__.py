"""The report as one page: graphs before and after, costs by layer and component, and what happened over a stream."""

from __future__ import annotations

from reuse_compiler.report_page.contents import Contents, gather, require_report
from reuse_compiler.report_page.page import page, write_page
from reuse_compiler.report_page.recording import Recording, record

__all__ = ["Contents", "Recording", "gather", "page", "record", "require_report", "write_page"]
