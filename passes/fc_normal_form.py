"""Bring every product with a constant matrix into one of two forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler.passes.initializers import NewInitializers
from reuse_compiler.passes.replacement import Replacement, Shape, constant_of, fixed_shape

__all__ = ["FcNormalForm"]

Array = NDArray[np.float32]
_SWAPPED = (1, 0)


@dataclass(frozen=True)
class FcNormalForm(ir.passes.InPlacePass):
    """Rewrite Gemm and MatMul of the top graph that have one operand constant and float32, the other of fixed shape.

    Afterwards they are ``Gemm(x, W, C)`` without transA, C absent or a constant of one row, or ``MatMul(x, W)`` with x of
    two axes or more and a matrix W.

    1. Gemm with transA and a constant right operand: the Transpose stands before it.
    2. Gemm with a constant left operand: ``Y^T = alpha B'^T A'^T + beta C^T``, between Transposes.
    3. Gemm whose C is computed, or a constant whose rows (after rule 2) differ: ``beta C`` is added behind it. A C that beta
       0 switches off goes, and one whose rows are equal becomes one row.
    4. MatMul with a vector on either side: the vector becomes a matrix and the output is reshaped.
    5. MatMul with a constant left operand: ``Y^T = X^T W^T``, over the last two axes.
    6. MatMul with a constant of more than two axes: leading ones of size 1 go. Where others are left it becomes a Conv of
       one group per matrix and kernel 1, between Transposes. x is expanded where it broadcasts along them.

    The node that computes the product keeps the name of the one that was, and the last in the chain its output. A
    Transpose that moves axes of size 1 alone is a Reshape. Needs shapes inferred and constants folded.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite in place."""
        weights = _Weights(NewInitializers(model.graph))
        modified = False
        for node in model.graph:
            if node.domain != "":
                continue
            if node.op_type == "Gemm":
                modified |= _gemm(node, weights)
            elif node.op_type == "MatMul":
                modified |= _matmul(node, weights)
        return ir.passes.PassResult(model, modified)


class _Weights:
    """Constants made of other constants: nodes that share one, and need it in one form, share what it becomes."""

    def __init__(self, new: NewInitializers) -> None:
        self.new = new
        self._made: dict[tuple[ir.Value, str], ir.Value] = {}

    def derived(self, value: ir.Value, form: str, make: Callable[[Array], Array]) -> ir.Value:
        """`make` of the array of `value`, under a new name; `form` tells what it makes."""
        key = (value, form)
        if key not in self._made:
            self._made[key] = self.new.add(f"{value.name}_{form.split()[0]}", make(_array(value)))
        return self._made[key]


def _array(value: ir.Value) -> Array:
    assert value.const_value is not None
    return np.asarray(value.const_value.numpy(), np.float32)


def _shape(value: ir.Value) -> Shape:
    assert value.shape is not None
    return tuple(int(size) for size in value.shape.numpy())


def _is_constant(value: ir.Value) -> bool:
    return constant_of(value) is not None


# --------------------------------------------------------------------------------------------------------------- Gemm


def _gemm(node: ir.Node, weights: _Weights) -> bool:
    a, b = node.inputs[:2]
    left = constant_of(a) is not None
    x, weight = (b, a) if left else (a, b)
    if x is None or weight is None or fixed_shape(x) is None or constant_of(weight) is None or _is_constant(x):
        return False
    trans_a, trans_b = (bool(node.attributes.get_int(name, 0)) for name in ("transA", "transB"))
    # Y^T = B'^T A'^T: on the left both operands stand transposed.
    transpose_x, transpose_weight = (not trans_b, not trans_a) if left else (trans_a, trans_b)
    alpha, beta = (node.attributes.get_float(name, 1.0) for name in ("alpha", "beta"))
    given = node.inputs[2] if len(node.inputs) > 2 else None
    bias = None if beta == 0 else given
    row = None if bias is None else _one_row(bias, left, weights)
    if not left and not transpose_x and row is bias is given:
        return False
    chain = Replacement(node, weights.new)
    if transpose_x:
        x = chain.permute(x, _SWAPPED, "input")
    attributes = [
        *([ir.AttrFloat32("alpha", alpha)] if alpha != 1 else []),
        *([ir.AttrFloat32("beta", beta)] if beta != 1 and row is not None else []),
        *([ir.AttrInt64("transB", 1)] if transpose_weight else []),
    ]
    shape = (_shape(x)[0], _shape(weight)[0 if transpose_weight else 1])
    inputs = [x, weight] if row is None else [x, weight, row]
    [y] = chain.add("Gemm", inputs, [shape], attributes, what="product", name=node.name)
    if left:
        y = chain.permute(y, _SWAPPED, "output")
    if bias is not None and row is None:
        y = _add_bias(chain, y, bias, beta, weights)
    chain.finish([y])
    return True


def _one_row(bias: ir.Value, transposed: bool, weights: _Weights) -> ir.Value | None:
    """`bias`, of the output or its transpose, as a constant of one row; None where it is not one."""
    tensor = constant_of(bias)
    if tensor is None:
        return None
    array = np.atleast_2d(_array(bias))
    array = array.T if transposed else array
    if not np.array_equal(array, np.broadcast_to(array[:1], array.shape), equal_nan=True):
        return None
    if len(array) == 1 and not (transposed and array.size > 1):
        return bias
    return weights.derived(bias, "row" + " transposed" * transposed, lambda _: array[:1])


def _add_bias(chain: Replacement, y: ir.Value, bias: ir.Value, beta: float, weights: _Weights) -> ir.Value:
    if beta != 1 and _is_constant(bias):
        bias = weights.derived(bias, f"scaled {beta}", lambda array: np.float32(beta) * array)
    elif beta != 1:
        factor = weights.new.add(f"{bias.name}_factor", np.array(beta, np.float32))
        [bias] = chain.add("Mul", [bias, factor], [_shape(bias)], what="bias")
    return chain.add("Add", [y, bias], [_shape(y)], what="sum")[0]


# ------------------------------------------------------------------------------------------------------------- MatMul


@dataclass(frozen=True)
class _Product:
    """A MatMul with one constant operand, vectors made matrices.

    Parameters
    ----------
    x : Value
    x_shape : tuple of int
        ``[.., rows, in]``, or ``[.., in, rows]`` where the constant is on the left.
    weight : Value
    batch : tuple of int
        Leading axes of the constant, without leading ones of size 1.
    in_features, out_features : int
    left : bool
        Whether the constant is on the left.
    out_shape : tuple of int
        Of the MatMul.
    """

    x: ir.Value
    x_shape: Shape
    weight: ir.Value
    batch: Shape
    in_features: int
    out_features: int
    left: bool
    out_shape: Shape

    @property
    def rows(self) -> int:
        """Rows of x, or columns where the constant is on the left."""
        return self.x_shape[-1] if self.left else self.x_shape[-2]

    def matrices(self, array: Array) -> Array:
        """The constant as ``[groups, in, out]``."""
        if self.left:
            array = np.swapaxes(np.atleast_2d(array), -1, -2)
        return array.reshape(-1, self.in_features, self.out_features)


def _matmul(node: ir.Node, weights: _Weights) -> bool:
    product = _product(node)
    if product is None:
        return False
    if not product.left and len(_shape(product.weight)) == 2 and _shape(product.x) == product.x_shape:
        return False
    chain = Replacement(node, weights.new)
    x = chain.reshape(product.x, product.x_shape, "input")
    y = _grouped(chain, x, product, node, weights) if product.batch else _plain(chain, x, product, node, weights)
    chain.finish([chain.reshape(y, product.out_shape, "output")])
    return True


def _product(node: ir.Node) -> _Product | None:
    a, b = node.inputs
    left = constant_of(a) is not None
    x, weight = (b, a) if left else (a, b)
    x_shape, shape = fixed_shape(x), fixed_shape(weight)
    if x is None or weight is None or not x_shape or not shape or constant_of(weight) is None or _is_constant(x):
        return None
    is_vector, weight_is_vector = len(x_shape) == 1, len(shape) == 1
    if is_vector:
        x_shape = (*x_shape, 1) if left else (1, *x_shape)
    if weight_is_vector:
        shape = (1, *shape) if left else (*shape, 1)
    in_features, out_features = (shape[-1], shape[-2]) if left else shape[-2:]
    # An axis that a vector was given for the product is none of the output.
    rows = () if is_vector else (x_shape[-1] if left else x_shape[-2],)
    columns = () if weight_is_vector else (out_features,)
    batch = shape[:-2]
    outer = tuple(np.broadcast_shapes(x_shape[:-2], batch))
    out_shape = (*outer, *columns, *rows) if left else (*outer, *rows, *columns)
    while batch[:1] == (1,):
        batch = batch[1:]
    return _Product(x, x_shape, weight, batch, in_features, out_features, left, out_shape)


def _plain(chain: Replacement, x: ir.Value, product: _Product, node: ir.Node, weights: _Weights) -> ir.Value:
    """A MatMul with one matrix: ``[.., rows, out]``, or ``[.., out, rows]`` where the constant is on the left."""
    weight = product.weight
    if product.left or len(_shape(weight)) != 2:
        weight = weights.derived(weight, f"matrix {product.left}", lambda array: product.matrices(array)[0])
    swapped = [*range(len(product.x_shape) - 2), len(product.x_shape) - 1, len(product.x_shape) - 2]
    if product.left:
        x = chain.permute(x, swapped, "columns")
    shape = (*_shape(x)[:-1], product.out_features)
    [y] = chain.add("MatMul", [x, weight], [shape], what="product", name=node.name)
    return chain.permute(y, swapped, "rows") if product.left else y


def _grouped(chain: Replacement, x: ir.Value, product: _Product, node: ir.Node, weights: _Weights) -> ir.Value:
    """A Conv with one group per matrix; axes along which the matrix is the same are spatial, as are the rows."""
    rank = max(len(product.batch), len(product.x_shape) - 2)
    batch = (1,) * (rank - len(product.batch)) + product.batch
    outer = (1,) * (rank + 2 - len(product.x_shape)) + product.x_shape[:-2]
    groups = [axis for axis in range(rank) if batch[axis] != 1]
    others = [axis for axis in range(rank) if batch[axis] == 1]
    outer = tuple(batch[axis] if axis in groups else outer[axis] for axis in range(rank))
    last = product.x_shape[-2:]
    x = chain.reshape(x, (1,) * (rank + 2 - len(product.x_shape)) + product.x_shape, "axes")
    x = chain.expand(x, (*outer, *last), "expanded")
    contracted, free = (rank, rank + 1) if product.left else (rank + 1, rank)
    group, spatial = math.prod(outer[axis] for axis in groups), math.prod(outer[axis] for axis in others)
    spatial *= product.rows
    x = chain.permute(x, [*groups, contracted, *others, free], "channels_first")
    x = chain.reshape(x, (1, group * product.in_features, spatial), "channels")
    kernel = weights.derived(
        product.weight,
        f"kernel {product.left}",
        lambda array: np.swapaxes(product.matrices(array), 1, 2).reshape(-1, product.in_features, 1),
    )
    attributes = [ir.AttrInt64("group", group), ir.AttrInt64s("kernel_shape", [1])]
    out_shape = (1, group * product.out_features, spatial)
    [y] = chain.add("Conv", [x, kernel], [out_shape], attributes, what="product", name=node.name)
    order = [*groups, rank, *others, rank + 1]  # as above; rank is the output features, the axis after it the rows
    sizes = (*outer, product.out_features, product.rows)
    y = chain.reshape(y, tuple(sizes[axis] for axis in order), "groups")
    last_two = (rank, rank + 1) if product.left else (rank + 1, rank)
    return chain.permute(y, [order.index(axis) for axis in (*range(rank), *last_two)], "axes_in_order")
