"""Interpreter: executes programs on streams, with values."""

from reuse_compiler.backend.accelerator.interpreter.interpreter import Interpreter

__all__ = ["Interpreter"]
