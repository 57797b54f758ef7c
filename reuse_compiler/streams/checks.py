"""Frames against the model's inputs: names, shapes, types, finite values. One pass over the values, no copy if it fits."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reuse_compiler.errors import StreamError
from reuse_compiler.frontend import TensorSpec

__all__ = ["chosen_input", "conform", "expected_inputs", "named", "require_finite"]


def expected_inputs(inputs: Sequence[TensorSpec], state: Mapping[str, str]) -> tuple[TensorSpec, ...]:
    """The inputs that a stream has to give: all but those fed back. StreamError where `state` names no input."""
    names = [spec.name for spec in inputs]
    for name in state:
        if name not in names:
            raise StreamError(f"state {name}={state[name]}: the model has no input {name}: it has {named(names)}")
    return tuple(spec for spec in inputs if spec.name not in state)


def chosen_input(specs: Sequence[TensorSpec], chosen: str | None, key: str, where: str) -> TensorSpec:
    """The input that pictures or sound go to: `chosen`, or the only one. `key` is the table where `chosen` is written.

    Raises StreamError where there is no such input, or several and none is chosen.
    """
    names = named(spec.name for spec in specs)
    if chosen is None and len(specs) != 1:
        raise StreamError(f"{where}: the model takes {names}: choose with input = '..' under [{key}] in --preprocess")
    found = next((spec for spec in specs if chosen in (None, spec.name)), None)
    if found is None:
        raise StreamError(f"{where}: the model has no input {chosen}: it takes {names}: correct input under [{key}]")
    return found


def named(names: Iterable[str]) -> str:
    """Names as a message lists them; "no input" where there are none."""
    return ", ".join(sorted(names)) or "no input"


def conform(
    arrays: Mapping[str, NDArray[Any]],
    specs: Sequence[TensorSpec],
    state: Collection[str],
    where: str,
    *,
    finite: Collection[str] | None = None,
) -> dict[str, NDArray[Any]]:
    """The arrays of one frame in the shapes and types of `specs`, in their order.

    A batch axis of 1 is added where it is missing; float64 becomes float32 where the model takes float32. What is no
    array of numbers (strings, a sequence, an optional value) is passed on as it is. Raises StreamError, which begins
    with `where`, if a name is missing or unknown, a shape or a type differs, or a value is NaN or infinite in one of
    the inputs that `finite` names; in any, by default.
    """
    if len(arrays) != len(specs) or any(spec.name not in arrays for spec in specs):
        raise _wrong_names(arrays.keys(), [spec.name for spec in specs], state, where)
    conformed = {spec.name: _conform_one(arrays[spec.name], spec, where) for spec in specs}
    require_finite(conformed, conformed.keys() if finite is None else finite, where)
    return conformed


def require_finite(arrays: Mapping[str, NDArray[Any]], names: Collection[str], where: str) -> None:
    """Raises StreamError, which begins with `where`, if a value is NaN or infinite in one of `arrays` that is among `names`."""
    for name in names:
        if name in arrays:
            _check_finite(arrays[name], name, where)


def _wrong_names(given: Collection[str], expected: Collection[str], state: Collection[str], where: str) -> StreamError:
    missing = [name for name in expected if name not in given]
    if missing:
        return StreamError(
            f"{where}: no value for input {named(missing)} (given: {named(given)}): add it,"
            " or feed an output back with --state"
        )
    fed_back = [name for name in given if name in state]
    if fed_back:
        return StreamError(f"{where}: input {named(fed_back)} is fed back by --state: leave it out of the stream")
    unknown = [name for name in given if name not in expected]
    return StreamError(f"{where}: the model has no input {named(unknown)}: it takes {named(expected)}")


def _conform_one(array: NDArray[Any], spec: TensorSpec, where: str) -> NDArray[Any]:
    if (
        type(array) is np.ndarray
        and array.dtype is spec.dtype
        and array.shape == spec.shape
        and array.flags.c_contiguous
    ):
        return array
    if spec.dtype.kind == "O":
        return array
    if not isinstance(array, np.ndarray):
        raise StreamError(f"{where}: input {spec.name} is a {type(array).__name__}: give a numpy array of {spec.dtype}")
    if array.dtype != spec.dtype:
        array = _converted(array, spec, where)
    if array.shape != spec.shape:
        if spec.shape[:1] != (1,) or array.shape != spec.shape[1:]:
            raise StreamError(
                f"{where}: input {spec.name} has shape {list(array.shape)}, the model takes {list(spec.shape)}:"
                " give frames of that shape"
            )
        array = array[None]
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def _converted(array: NDArray[Any], spec: TensorSpec, where: str) -> NDArray[Any]:
    native = array.dtype.newbyteorder("=")
    if native == spec.dtype or (native == np.float64 and spec.dtype == np.float32):
        with np.errstate(over="ignore"):  # what overflows becomes infinite, which is reported as such
            return array.astype(spec.dtype)
    remedy = f"convert it with .astype(np.{spec.dtype})"
    if native == np.uint8 and array.ndim >= 2:
        remedy += ", or describe the pictures in a --preprocess file"
    raise StreamError(f"{where}: input {spec.name} is {array.dtype}, the model takes {spec.dtype}: {remedy}")


def _check_finite(array: NDArray[Any], name: str, where: str) -> None:
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fc":
        return
    finite = np.isfinite(array)
    if finite.all():
        return
    wrong = np.argwhere(~finite)
    place = wrong[0].tolist()
    raise StreamError(
        f"{where}: input {name} is {array[tuple(place)]} at {place}"
        f" ({len(wrong)} of {array.size} values are not finite): give finite values"
    )
