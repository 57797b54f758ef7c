"""Lowering: from a reuse model to instructions for the accelerator and its baseline."""

from reuse_compiler.backend.accelerator.lowering.lower import lower

__all__ = ["lower"]
