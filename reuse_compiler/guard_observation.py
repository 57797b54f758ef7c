"""The guard of a plan, from a trial of its quantizers on the frames that it was fitted on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.guard import count_clipped
from reuse_compiler.guard_calibration import SiteShares, calibrate_guard
from reuse_compiler.guard_plan import GuardPlan
from reuse_compiler.quantizers import LinearQuantizer
from reuse_compiler.streams import Frame
from reuse_compiler.trial import Slot, Trial, TrialFrame

__all__ = ["observe_guard"]


def observe_guard(
    trial: Trial, quantizers: Mapping[str, LinearQuantizer], frames: Iterable[Frame], state: Mapping[str, str]
) -> GuardPlan | None:
    """What a session is to watch for so that nothing in `frames` is beyond it; None where nothing reuses.

    Parameters
    ----------
    quantizers : mapping of str to LinearQuantizer
        By tensor, of the plan.
    frames : iterable of Frame
        All that the plan was chosen and verified on, each stretch from where it starts.
    state : mapping of str to str
        Inputs fed back from outputs.
    """
    watched = [number for number, slot in enumerate(trial.slots) if slot.tensor in quantizers]
    if not watched:
        return None
    starts: list[int] = []
    changed: list[NDArray[np.float64]] = []
    clipped: list[list[float]] = []
    slots = [trial.slots[number] for number in watched]
    elements = np.array([slot.elements for slot in slots], np.float64)
    given = list(frames)
    for number, (frame, tried) in enumerate(zip(given, trial.run(quantizers, given, state), strict=True)):
        if frame.start:
            starts.append(number)
        changed.append(tried.changed[watched] / elements)
        clipped.append([_clipped(slot, tried, quantizers[slot.tensor]) for slot in slots])
    shares = zip(slots, np.transpose(changed), np.transpose(clipped), strict=True)
    return calibrate_guard(
        {site.node: SiteShares(slot.elements, *of_slot) for slot, *of_slot in shares for site in slot.sites},
        memory=any(quantizers[slot.tensor].has_memory for slot in slots),
        starts=starts,
    )


def _clipped(slot: Slot, tried: TrialFrame, quantizer: LinearQuantizer) -> float:
    """Share of a slot's elements at an end of the range."""
    index = tried.held[slot.name] + np.float32(quantizer.zero)
    return count_clipped(index, quantizer) / index.size
