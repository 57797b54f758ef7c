"""From which share of unchanged inputs reuse pays on a CPU.

Below its break-even a layer is faster without reuse: comparing and quantizing its input costs more than is skipped. It follows
from the costs of this machine (:mod:`reuse_compiler.cpu_calibration`), of native kernels against onnxruntime's own operators.
"""

from __future__ import annotations

from reuse_compiler import cpu_costs
from reuse_compiler.machine_costs import machine_costs
from reuse_compiler.sites import Site

__all__ = ["break_even"]


def break_even(site: Site) -> float | None:
    """The share of unchanged inputs above which reuse pays at `site`; None where it never does."""
    return cpu_costs.break_even(cpu_costs.site_work(site), machine_costs())
