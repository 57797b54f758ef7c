"""From which share of unchanged inputs reuse pays on a CPU.

These are measured break-evens of native reuse kernels on an x86-64 server CPU, against onnxruntime's own operators on the
same core. Below them a layer is faster without reuse: comparing and quantizing its input costs more than is skipped.
"""

from __future__ import annotations

import math

from reuse_compiler.sites import Site

__all__ = ["break_even"]

_FC = 0.1
_RECURRENT = 0.1
_CONV = 0.3
_CONV_FEW = 0.5
"""Of 1x1 kernels, and of at most 3 input channels: little work for each input that is compared."""
_FEW_CHANNELS = 3


def break_even(site: Site) -> float | None:
    """The share of unchanged inputs above which reuse pays at `site`; None where it never does: depthwise CONV."""
    if site.kind == "recurrent":
        return _RECURRENT
    geometry = site.geometry
    if geometry is None:
        return _FC
    if geometry.group > 1 and geometry.inputs_per_group == 1:
        return None
    if math.prod(geometry.kernel) == 1 or geometry.in_channels <= _FEW_CHANNELS:
        return _CONV_FEW
    return _CONV
