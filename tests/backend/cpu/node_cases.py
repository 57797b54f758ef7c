"""Models of one reuse node with frames for it: for the native kernels and the function body to run side by side.

Frames hold what is hard for a quantizer: values at and beside the middle of two centroids and the edge of a deadband, beyond
the range, signed zeros, infinities and NaN. With dyadic weights and steps every sum is exact, whatever its order.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from reuse_compiler.backend.cpu import library
from reuse_compiler.operators import (
    DOMAIN,
    VERSION,
    Activation,
    ConvAttributes,
    function,
    initial_index,
    initial_linear,
    reuse_attributes,
    reuse_node,
)
from reuse_compiler.quantizers import LinearQuantizer, Quantizer
from tests.backend.cpu.native_run import Arrays, open_model, run_frames

Shape = tuple[int, ...]

NODE = "n"
PAST = {"index": f"past_index_{NODE}", "linear": f"past_linear_{NODE}"}
PRESENT = {"index": f"present_index_{NODE}", "linear": f"present_linear_{NODE}"}
SPECIAL = np.array([0.0, -0.0, 1e-45, -1e-39, 3e38, -3e38, np.inf, -np.inf, np.nan], np.float32)
OPSET = 18
NO_ACTIVATION = Activation()


def kernels_under_test() -> Path | None:
    """The library of the installed package, or the one that the environment variable REUSE_TEST_LIBRARY names."""
    named = os.environ.get("REUSE_TEST_LIBRARY")
    return Path(named) if named else library()


@dataclass(frozen=True)
class NodeCase:
    """A node and its frames.

    Parameters
    ----------
    x, weight : tuple of int
        Shapes. Of a CONV where `conv` is given, of an FC otherwise.
    quantizer : Quantizer
    activation : Activation
    conv : ConvAttributes, optional
    shares : sequence of float
        A frame each: the share of its inputs that is drawn anew.
    exact : bool
        Weights and bias are small multiples of 1/8.
    seed : int
    """

    x: Shape
    weight: Shape
    quantizer: Quantizer
    activation: Activation = NO_ACTIVATION
    conv: ConvAttributes | None = None
    shares: Sequence[float] = (1.0, 0.3, 0.0, 1.0, 0.05)
    exact: bool = False
    seed: int = 0

    def name(self) -> str:
        """For the name of a test."""
        return "-".join("x".join(map(str, shape)) for shape in (self.x, self.weight))

    @property
    def y(self) -> Shape:
        """Shape of the output."""
        if self.conv is None:
            return (*self.x[:-1], self.weight[-1])
        pads, rank = self.conv.pads, len(self.x) - 2
        room = (
            size + pads[axis] + pads[rank + axis] - self.conv.dilations[axis] * (self.weight[axis + 2] - 1) - 1
            for axis, size in enumerate(self.x[2:])
        )
        return (
            self.x[0],
            self.weight[0],
            *(free // stride + 1 for free, stride in zip(room, self.conv.strides, strict=True)),
        )


@dataclass(frozen=True)
class Prepared:
    """The model of a case, its inputs by frame, and the state that the first frame begins with."""

    model: bytes
    frames: list[Arrays]
    state: Arrays


def prepare(case: NodeCase) -> Prepared:
    """Draws weights and frames of `case`."""
    generator = np.random.default_rng(case.seed)
    model, node = build(case, generator)
    state: Arrays = {
        PAST["index"]: np.ascontiguousarray(initial_index(node)),
        PAST["linear"]: np.ascontiguousarray(initial_linear(node)),
    }
    return Prepared(ir.to_proto(model).SerializeToString(), [{"x": x} for x in _frames(case, generator)], state)


def build(case: NodeCase, generator: np.random.Generator) -> tuple[ir.Model, ir.Node]:
    """The model of one node, and that node."""
    outputs = case.weight[-1] if case.conv is None else case.weight[0]
    x = ir.Value(name="x", shape=ir.Shape(case.x), type=ir.TensorType(ir.DataType.FLOAT))
    y = ir.Value(name="y", shape=ir.Shape(case.y), type=ir.TensorType(ir.DataType.FLOAT))
    weight, bias = (
        _constant(name, _draw(generator, shape, case.exact)) for name, shape in (("W", case.weight), ("B", (outputs,)))
    )
    node = reuse_node(NODE, x, weight, bias, y, case.quantizer, case.conv)
    for attribute in reuse_attributes(case.quantizer, case.activation, case.conv):
        node.attributes[attribute.name] = attribute
    graph = ir.Graph(
        [x, *node.inputs[1:3]],  # type: ignore[list-item]
        node.outputs,
        nodes=[node],
        initializers=[weight, bias],
        opset_imports={"": OPSET, DOMAIN: VERSION},
        name="g",
    )
    return ir.Model(graph, ir_version=8, functions=[function(node.op_type, OPSET)]), node


def _constant(name: str, values: NDArray[np.float32]) -> ir.Value:
    tensor = ir.tensor(values, name=name)
    return ir.Value(name=name, const_value=tensor, shape=ir.Shape(values.shape), type=ir.TensorType(tensor.dtype))


def _draw(generator: np.random.Generator, shape: Shape, exact: bool) -> NDArray[np.float32]:
    values = generator.integers(-4, 5, shape) / 8 if exact else generator.standard_normal(shape)
    return values.astype(np.float32)


def _frames(case: NodeCase, generator: np.random.Generator) -> Iterator[NDArray[np.float32]]:
    x = np.zeros(case.x, np.float32)
    for share in case.shares:
        x = np.where(generator.random(case.x) < share, _values(case, generator), x)
        yield x


def _values(case: NodeCase, generator: np.random.Generator) -> NDArray[np.float32]:
    """One frame: centroids with some noise, and of every tenth the edges and what is special."""
    quantizer, count = case.quantizer, int(np.prod(case.x))
    numbers = np.clip(
        np.rint(quantizer.zero + generator.standard_normal(count) * quantizer.clusters / 5), 0, quantizer.clusters - 1
    )
    centroids = quantizer.dequantize(numbers.astype(quantizer.index_dtype))
    apart = np.float32(_apart(quantizer))
    noise = generator.standard_normal(count).astype(np.float32) * apart / 2
    edges = [apart / 2, -apart / 2, *np.atleast_1d(np.asarray(quantizer.deadband, np.float32))]
    with np.errstate(over="ignore"):
        on_edge = centroids + generator.choice(np.array(edges, np.float32), count)
    towards = generator.choice(np.array([-np.inf, np.inf], np.float32), count)
    kinds = [
        centroids + noise,
        on_edge,
        np.nextafter(on_edge, towards),
        (centroids + noise) * np.float32(4),
        generator.choice(SPECIAL, count),
    ]
    chosen = generator.choice(len(kinds), count, p=[0.6, 0.1, 0.1, 0.1, 0.1])
    return np.choose(chosen, kinds).astype(np.float32).reshape(case.x)


def _apart(quantizer: Quantizer) -> float:
    """The distance of two centroids."""
    if isinstance(quantizer, LinearQuantizer):
        return quantizer.step
    return float(np.diff(quantizer.centroids).mean())


def run_native(prepared: Prepared, threads: int = 1) -> list[Arrays]:
    """Outputs by frame of the native kernels."""
    return run_frames(open_model(prepared.model, kernels_under_test(), threads), prepared.frames, prepared.state)


def run_body(prepared: Prepared) -> list[Arrays]:
    """Outputs by frame of the function body."""
    return run_frames(open_model(prepared.model, None), prepared.frames, prepared.state)


def run_in_place(prepared: Prepared, threads: int = 1) -> list[Arrays]:
    """As :func:`run_native`, with past and present state in one buffer."""
    state = {name: ort.OrtValue.ortvalue_from_numpy(array.copy()) for name, array in prepared.state.items()}
    return list(frames_in_place(prepared, state, threads))


def frames_in_place(prepared: Prepared, state: dict[str, ort.OrtValue], threads: int = 1) -> Iterator[Arrays]:
    """The same with a `state` of the caller's."""
    session = open_model(prepared.model, kernels_under_test(), threads)
    for frame in prepared.frames:
        binding = session.io_binding()
        binding.bind_cpu_input("x", frame["x"])
        for name, value in state.items():
            binding.bind_ortvalue_input(name, value)
            binding.bind_ortvalue_output(name.replace("past_", "present_", 1), value)
        binding.bind_output("y")
        session.run_with_iobinding(binding)
        held = {name.replace("past_", "present_", 1): value.numpy().copy() for name, value in state.items()}
        yield {"y": binding.get_outputs()[-1].numpy().copy(), **held}


def assert_same(found: Sequence[Arrays], expected: Sequence[Arrays]) -> None:
    """Bit for bit, but for the sign of zero."""
    for number, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert set(one) == set(other)
        for name, array in other.items():
            assert one[name].dtype == array.dtype
            np.testing.assert_array_equal(one[name], array, err_msg=f"frame {number}: {name}")


def assert_same_bits(found: Mapping[str, NDArray[Any]], expected: Mapping[str, NDArray[Any]]) -> None:
    """The sign of zero too; of a NaN that it is one."""
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape, name
        np.testing.assert_array_equal(found[name], array, err_msg=name)
        if array.dtype.kind == "f":
            numbers = ~np.isnan(array)
            np.testing.assert_array_equal(np.signbit(found[name])[numbers], np.signbit(array)[numbers], err_msg=name)


def assert_close(found: Sequence[Arrays], expected: Sequence[Arrays], tolerance: float = 1e-4) -> None:
    """Indices bit for bit; linear outputs and y within `tolerance` of the largest linear output of the frame."""
    for number, (one, other) in enumerate(zip(found, expected, strict=True)):
        np.testing.assert_array_equal(one[PRESENT["index"]], other[PRESENT["index"]], err_msg=f"frame {number}")
        scale = float(np.abs(other[PRESENT["linear"]]).max(initial=0))
        for name in (PRESENT["linear"], "y"):
            distance = np.abs(one[name] - other[name]).max(initial=0)
            assert distance <= tolerance * scale, f"frame {number}: {name} is off by {distance:g} of {scale:g}"


def expected_indices(case: NodeCase, prepared: Prepared) -> list[NDArray[Any]]:
    """Indices by frame as numpy quantizes them, in the layout of the state."""
    past, found = prepared.state[PAST["index"]], []
    for frame in prepared.frames:
        x = frame["x"] if case.conv is None else np.moveaxis(frame["x"], 1, -1)
        with np.errstate(all="ignore"):
            past = case.quantizer.quantize(np.ascontiguousarray(x), past, channel_axis=-1)
        found.append(past)
    return found
