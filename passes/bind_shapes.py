"""Give every graph input a fixed shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from reuse_compiler.errors import ModelError

__all__ = ["BindShapes"]


@dataclass(frozen=True)
class BindShapes(ir.passes.InPlacePass):
    """Bind the open dimensions of the graph's inputs.

    1. An input in `shapes` (by name) takes the shape given there.
    2. An open first dimension is the batch and becomes 1.
    3. A symbol bound by 1 or 2 is bound wherever it occurs, also in the shapes that are declared of other tensors.
    4. Where `shapes` overrides a fixed size, the declared shapes of other tensors no longer hold and are dropped.
    5. An input that is a sequence or an optional value has no one shape, and stays as it is.

    Raises ModelError where a dimension stays open, a symbol would get two sizes, an input has no rank, or `shapes` does
    not fit.
    """

    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Bind the shapes in place."""
        every = {str(value.name): value for value in model.graph.inputs}
        inputs = {name: value for name, value in every.items() if _is_tensor(value)}
        unknown = next((name for name in self.shapes if name not in inputs), None)
        if unknown is not None and unknown in every:
            raise ModelError(f"shape of {unknown}: it is a {type(every[unknown].type).__name__}: give tensors a shape")
        if unknown is not None:
            raise ModelError(f"shape of {unknown}: the model has no such input: it has {', '.join(every)}")
        before = {name: value.shape for name, value in inputs.items()}
        symbols = self._symbols(inputs)
        overridden = any(_contradicts(inputs[name], given) for name, given in self.shapes.items())
        for name, value in inputs.items():
            value.shape = ir.Shape(self._bound(name, inputs, symbols))
        for value in (value for node in model.graph for value in node.outputs):
            value.shape = None if overridden else _substituted(value.shape, symbols)
        return ir.passes.PassResult(model, any(before[name] != value.shape for name, value in inputs.items()))

    def ensures(self, model: ir.Model) -> None:
        """Every tensor among the inputs has a fixed shape."""
        tensors = filter(_is_tensor, model.graph.inputs)
        if not all(value.shape is not None and value.shape.is_static() for value in tensors):
            raise ir.passes.PostconditionError("an input has an open dimension")

    def _symbols(self, inputs: Mapping[str, ir.Value]) -> dict[str, int]:
        """Sizes of the symbols: those that `shapes` gives first, then 1 for those of a first dimension."""
        symbols: dict[str, int] = {}
        for name, given in self.shapes.items():
            dims = _declared(inputs[name])
            if dims is not None and len(dims) != len(given):
                raise ModelError(f"shape of {name}: {list(given)} has {len(given)} dimensions, the input {len(dims)}")
            if any(size < 0 for size in given):
                raise ModelError(f"shape of {name}: {list(given)}: give sizes of 0 or more")
            for dim, size in zip(dims or (), given, strict=False):
                if isinstance(dim, str) and symbols.setdefault(dim, size) != size:
                    raise ModelError(f"shape of {name}: {dim} would be {symbols[dim]} and {size}: give one size")
        for name, value in inputs.items():
            dims = _declared(value)
            if name not in self.shapes and dims and isinstance(dims[0], str):
                symbols.setdefault(dims[0], 1)
        return symbols

    def _bound(self, name: str, inputs: Mapping[str, ir.Value], symbols: Mapping[str, int]) -> list[int]:
        if name in self.shapes:
            return list(self.shapes[name])
        dims = _declared(inputs[name])
        if dims is None:
            raise ModelError(f"input {name}: its shape is not declared: give {self._options(inputs, symbols)}")
        sizes = _sizes(dims, symbols)
        if None in sizes:
            axis = sizes.index(None)
            symbol = f" ({dims[axis]})" if dims[axis] else ""
            options = self._options(inputs, symbols)
            raise ModelError(f"input {name}: dimension {axis}{symbol} is open: give {options}")
        return [size for size in sizes if size is not None]

    def _options(self, inputs: Mapping[str, ir.Value], symbols: Mapping[str, int]) -> str:
        """The --shape options that bind what is open in any input, with symbols, or N, for the numbers to give."""
        known: dict[str, int | None] = dict(symbols)
        options = []
        for name, value in inputs.items():
            dims = None if name in self.shapes else _declared(value)
            if dims is None and name not in self.shapes:
                options.append(f"--shape {name}=1,..")
            elif dims is not None and any(size is None and dim not in known for dim, size in _pairs(dims, known)):
                shown = [(dim or "N") if size is None else size for dim, size in _pairs(dims, known)]
                options.append(f"--shape {name}=" + ",".join(map(str, shown)))
                known |= {dim: known.get(dim) for dim in dims if isinstance(dim, str)}
        return " ".join(options)


def _sizes(dims: Sequence[int | str | None], symbols: Mapping[str, int | None]) -> list[int | None]:
    """Sizes of the dimensions as far as they are known; that of an open first one without a symbol is 1."""
    sizes = [symbols.get(dim) if isinstance(dim, str) else dim for dim in dims]
    return [1 if axis == 0 and dim is None else size for axis, (dim, size) in enumerate(zip(dims, sizes, strict=True))]


def _pairs(
    dims: Sequence[int | str | None], symbols: Mapping[str, int | None]
) -> list[tuple[int | str | None, int | None]]:
    """Each dimension with its size."""
    return list(zip(dims, _sizes(dims, symbols), strict=True))


def _is_tensor(value: ir.Value) -> bool:
    return value.type is None or isinstance(value.type, ir.TensorType)


def _declared(value: ir.Value) -> list[int | str | None] | None:
    """Declared dimensions: a size, a symbol, or None for an open one without a name; negative sizes count as open."""
    if value.shape is None:
        return None
    return [dim if isinstance(dim, int) and dim >= 0 else getattr(dim, "value", None) for dim in value.shape]


def _contradicts(value: ir.Value, given: Sequence[int]) -> bool:
    fixed = _declared(value) or []
    return any(isinstance(dim, int) and dim != size for dim, size in zip(fixed, given, strict=False))


def _substituted(shape: ir.Shape | None, symbols: Mapping[str, int]) -> ir.Shape | None:
    if shape is None:
        return None
    return ir.Shape(dim if isinstance(dim, int) else symbols.get(str(dim.value), dim) for dim in shape)
