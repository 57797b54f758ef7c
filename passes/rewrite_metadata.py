"""Write the plan into the nodes that it is about, where viewers such as Netron show it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from reuse_compiler.plan import SitePlan
from reuse_compiler.quantizers import Quantizer, TableQuantizer
from reuse_compiler.slots import model_slots

__all__ = ["DescribeSites"]


@dataclass(frozen=True)
class DescribeSites(ir.passes.InPlacePass):
    """Set `metadata_props` of every node that is a site, for people to read: what executes is the attributes.

    1. ``reuse.mode`` is reuse or dense.
    2. Of a node that reuses ``reuse.quantizer`` is linear or table, ``reuse.step`` (of a linear one), ``reuse.zero``,
       ``reuse.clusters`` and ``reuse.deadband`` are its values; where channels differ the deadband is the least and the most.
    3. ``reuse.reason`` is the plan's, where it gives one.
    4. Those of a recurrent layer are by operand: ``reuse.x.step``, ``reuse.h.reason``.

    Parameters
    ----------
    sites : tuple of SitePlan
        The plan's.
    """

    sites: tuple[SitePlan, ...]

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Describe in place."""
        nodes = {str(node.name): node for node in model.graph}
        quantizers = {slot.site: slot.quantizer for slot in model_slots(model)}
        for site in self.sites:
            name, _, operand = site.node.rpartition(".")
            if site.node in nodes:
                _describe(nodes[site.node], "reuse", site, quantizers.get(site.node))
            elif name in nodes:
                _describe(nodes[name], f"reuse.{operand}", site, quantizers.get(site.node))
        return ir.passes.PassResult(model, bool(self.sites))


def _describe(node: ir.Node, prefix: str, site: SitePlan, quantizer: Quantizer | None) -> None:
    facts = {"mode": site.mode, **(_values(quantizer) if quantizer is not None else {}), "reason": site.reason}
    node.metadata_props.update({f"{prefix}.{key}": value for key, value in facts.items() if value})


def _values(quantizer: Quantizer) -> dict[str, str]:
    """A quantizer as text; floats as the shortest decimals that are the same float32."""
    deadbands = np.unique(np.asarray(quantizer.deadband, np.float32))
    ends = dict.fromkeys((str(deadbands[0]), str(deadbands[-1])))
    common = {"zero": str(quantizer.zero), "clusters": str(quantizer.clusters), "deadband": " to ".join(ends)}
    if isinstance(quantizer, TableQuantizer):
        return {"quantizer": "table", **common}
    return {"quantizer": "linear", "step": str(np.float32(quantizer.step)), **common}
