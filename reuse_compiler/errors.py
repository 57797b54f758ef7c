"""The errors that a user can cause: few classes of one base, each one line that says what, where and what to do."""

from __future__ import annotations

__all__ = [
    "BudgetError",
    "HardwareError",
    "ModelError",
    "PlanError",
    "ProgramError",
    "ReuseError",
    "StreamError",
    "VerificationError",
]


class ReuseError(Exception):
    """Base of all errors of this package. The command line prints it on one line and exits with status 1."""


class ModelError(ReuseError):
    """An ONNX file that cannot be read, is not valid, or holds something that no rule takes."""


class StreamError(ReuseError):
    """A stream that is missing, empty, or does not fit the model's inputs."""


class PlanError(ReuseError):
    """A profile or plan that does not belong to the model, or whose values are out of range."""


class BudgetError(ReuseError):
    """A budget that cannot be read, or that names a metric or an output that is not there."""


class ProgramError(ReuseError):
    """A program that cannot be encoded, decoded, assembled or executed."""


class HardwareError(ReuseError):
    """A hardware description that is missing, incomplete or inconsistent."""


class VerificationError(ReuseError):
    """A run that broke a contract: a wrong index, an output out of tolerance, or accounts that do not close."""
