"""What onnx's C++ functions say, on one line that begins with the node and its operator."""

from __future__ import annotations

import re

__all__ = ["plain"]

_TAG = re.compile(r"\[\w+Error\] ")
_INFERENCE = re.compile(
    r"Inference error\(s\): \(op_type:(?P<op>[^,)]*)(?:, node name: (?P<name>[^)]*))?\): (?P<what>.*)"
)
_CHECKER = re.compile(r"(?P<what>.*?) ==> Context: Bad node spec for node\. Name: (?P<name>.*?) OpType: (?P<op>\S+)")


def plain(error: Exception | str) -> str:
    """The message of `error` on one line, as ``node NAME (OPERATOR): what`` where it tells them."""
    message = _TAG.sub("", " ".join(str(error).split()))
    found = _INFERENCE.match(message) or _CHECKER.match(message)
    if found is None:
        return message
    return f"node {found['name'] or '(no name)'} ({found['op']}): {found['what']}"
