"""Put a chain of nodes in the place of one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from reuse_compiler.passes.initializers import NewInitializers

__all__ = ["Replacement", "constant_of", "fixed_shape"]

Shape = tuple[int, ...]


class Replacement:
    """Builds what computes the outputs of one node of the top graph by other nodes, and puts it in that node's place.

    Every tensor has a fixed shape. New tensors are called ``<node>_<what>``; new nodes have no name, except those
    that are given one. Nothing changes before :meth:`finish`.
    """

    def __init__(self, node: ir.Node, new: NewInitializers) -> None:
        self._node = node
        self._new = new
        self._chain: list[ir.Node] = []

    def add(
        self,
        op: str,
        inputs: Sequence[ir.Value | None],
        shapes: Sequence[Shape],
        attributes: Sequence[ir.Attr] = (),
        *,
        what: str,
        name: str | None = None,
    ) -> list[ir.Value]:
        """Append a node of ONNX; its outputs, of the dtype of its first input, one per entry of `shapes`."""
        assert inputs[0] is not None and inputs[0].dtype is not None
        type_ = ir.TensorType(inputs[0].dtype)
        outputs = [
            ir.Value(name=self._new.free_name(f"{self._node.name}_{what}"), type=type_, shape=ir.Shape(shape))
            for shape in shapes
        ]
        self._chain.append(ir.Node("", op, inputs, attributes, outputs=outputs, name=name))
        return outputs

    def reshape(self, x: ir.Value, shape: Shape, what: str) -> ir.Value:
        """`x` in the shape `shape`; `x` itself where it has it."""
        if fixed_shape(x) == shape:
            return x
        target = self._new.add(f"{self._node.name}_{what}_shape", np.array(shape, np.int64))
        return self.add("Reshape", [x, target], [shape], what=what)[0]

    def expand(self, x: ir.Value, shape: Shape, what: str) -> ir.Value:
        """`x` broadcast to `shape`; `x` itself where it has it."""
        if fixed_shape(x) == shape:
            return x
        target = self._new.add(f"{self._node.name}_{what}_shape", np.array(shape, np.int64))
        return self.add("Expand", [x, target], [shape], what=what)[0]

    def permute(self, x: ir.Value, perm: Sequence[int], what: str) -> ir.Value:
        """`x` with its axes in the order `perm`: a Transpose, or a Reshape where only axes of size 1 move."""
        old = fixed_shape(x)
        assert old is not None
        shape = tuple(old[axis] for axis in perm)
        moved = [axis for axis in perm if old[axis] != 1]
        if moved == sorted(moved):
            return self.reshape(x, shape, what)
        return self.add("Transpose", [x], [shape], [ir.AttrInt64s("perm", list(perm))], what=what)[0]

    def slice(self, x: ir.Value, axis: int, start: int, what: str) -> ir.Value:
        """The one element at `start` along `axis`, which stays."""
        old = fixed_shape(x)
        assert old is not None
        shape = (*old[:axis], 1, *old[axis + 1 :])
        bounds = [
            self._new.add(f"{self._node.name}_{what}_{role}", np.array([number], np.int64))
            for role, number in (("start", start), ("end", start + 1), ("axis", axis))
        ]
        return self.add("Slice", [x, *bounds], [shape], what=what)[0]

    def finish(self, outputs: Sequence[ir.Value | None]) -> None:
        """Put the chain in the place of the node.

        `outputs` replace the node's own and take their names; None for one that nobody reads. Initializers that nobody
        else reads go with the node.
        """
        node = self._node
        assert isinstance(node.graph, ir.Graph)
        node.graph.insert_before(node, self._chain)
        for old, new in zip(node.outputs, outputs, strict=False):
            if new is None:
                continue
            name, old.name = old.name, f"{old.name}_replaced"
            ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
            new.name = name
        graph, read = node.graph, [value for value in node.inputs if value is not None]
        graph.remove(node, safe=True)
        for value in read:
            if value.is_initializer() and not value.uses() and not value.is_graph_output():
                graph.initializers.pop(str(value.name), None)


def fixed_shape(value: ir.Value | None) -> Shape | None:
    """The shape of `value`, or None where a dimension is open or 0, or there is no value."""
    if value is None or value.shape is None or not value.shape.is_static():
        return None
    shape = tuple(int(size) for size in value.shape.numpy())
    return shape if all(size > 0 for size in shape) else None


def constant_of(value: ir.Value | None, dtype: ir.DataType = ir.DataType.FLOAT) -> ir.TensorProtocol | None:
    """The tensor of an initializer of `dtype`, else None."""
    if value is None or not value.is_initializer() or value.const_value is None or value.const_value.dtype != dtype:
        return None
    return value.const_value
