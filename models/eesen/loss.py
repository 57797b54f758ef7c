"""What reuse loses, as a budget takes it: ``--budget 'reuse_compiler.models.eesen.loss:label_loss<=0.01'``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reuse_compiler.models.eesen.decoding import decode, label_error_rate

__all__ = ["label_loss"]


def label_loss(references: Sequence[dict[str, Any]], outputs: Sequence[dict[str, Any]]) -> float:
    """The label error rate of a run, with what fp32 hears as the transcript: never less than what the run adds to the label
    error rate against the true one. Both are dicts with ``scores``, an utterance each."""
    heard = [decode(reference["scores"]) for reference in references]
    return label_error_rate([output["scores"] for output in outputs], heard)
