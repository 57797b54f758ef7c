"""A Pareto front that nobody fitted."""

from __future__ import annotations

from reuse_compiler.pareto import ParetoFront, ParetoPart, ParetoPoint
from reuse_compiler.plan import ModelRef
from reuse_compiler.report import BoundLoss

__all__ = ["front"]


def front(*bounds: str) -> ParetoFront:
    """Of three plans under these bounds, the last of which is used the most."""

    def part(factor: float, frames: int) -> ParetoPart:
        losses = [
            BoundLoss(text=text, output="y", loss=0.05 * factor * (i + 1), limit=0.1) for i, text in enumerate(bounds)
        ]
        return ParetoPart(frames=frames, reuse=0.5 + 0.1 * factor, loss=max(b.share for b in losses), bounds=losses)

    points = [
        ParetoPoint(
            plan=f"plan-{number:02}.json",
            budget="",
            factor=factor,
            calibration=part(factor, 30),
            verification=part(0.9 * factor, 15),
        )
        for number, factor in enumerate((0.5, 1.0, 2.0), 1)
    ]
    model = ModelRef(path="/folder/net.onnx", sha256="0" * 64)
    return ParetoFront(model=model, budget=";".join(bounds), objective="macs", points=points)
