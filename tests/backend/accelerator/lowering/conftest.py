"""Networks that hypothesis makes, lowered for accelerators of tiny sizes."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from reuse_compiler import frontend
from reuse_compiler.backend.accelerator.lowering import lower
from reuse_compiler.backend.accelerator.program import Program, Tiling
from reuse_compiler.errors import HardwareError
from reuse_compiler.frontend import Model
from reuse_compiler.passes.rewrite import rewrite
from reuse_compiler.plan import ModelRef, Plan, QuantizerSpec, SitePlan
from reuse_compiler.quantizers import LinearQuantizer
from reuse_compiler.sites import Site, find_sites
from reuse_compiler.streams import Frame


@dataclass(frozen=True)
class Case:
    """A network, what to reuse in it, sizes of an accelerator that it was lowered for, and a stream."""

    proto: onnx.ModelProto
    exact: bool  # every sum is exact in float32, in any order
    model: Model
    plan: Plan
    program: Program
    too_small: list[str]  # messages for the sizes that were tried before
    frames: list[Frame]

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What hypothesis shows of a case that fails."""
        printer.text(f"{onnx.printer.to_text(self.proto)}\n{self.plan!r}\n{self.program.tiling!r}")

    @property
    def sites(self) -> list[Site]:
        """The sites that are reused."""
        return [site for site in find_sites(self.model) if site.node in self.plan.quantizers()]


@dataclass
class Builder:
    """Adds nodes that fit, with constants of half-integers where sums are to be exact."""

    draw: st.DrawFn
    exact: bool
    generator: np.random.Generator
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def pick(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def count(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def constant(self, value: NDArray[Any]) -> str:
        name = f"w{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def weight(self, *shape: int) -> str:
        exact = self.generator.integers(-2, 3, shape) / 2
        values = exact if self.exact else self.generator.standard_normal(shape) / math.sqrt(math.prod(shape[1:]) or 1)
        return self.constant(np.asarray(values, np.float32))

    def ints(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def node(self, op: str, inputs: Sequence[str], shape: Sequence[int], **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=f"{op} {name}", **attributes))
        self.shapes[name] = tuple(shape)
        return name

    def like(self, x: str, axis: int | None = None) -> list[str]:
        """Tensors of the shape of `x`, whatever their size along `axis`."""
        mine = self.shapes[x]
        return [
            name
            for name, shape in self.shapes.items()
            if len(shape) == len(mine)
            and all(a == b or i == axis for i, (a, b) in enumerate(zip(shape, mine, strict=True)))
        ]

    def conv(self, x: str) -> None:
        channels, sizes = self.shapes[x][1], self.shapes[x][2:]
        group = self.pick(*[group for group in (1, 1, 2, channels) if channels % group == 0])
        out = group * self.count(1, 4)
        kernel, strides, dilations = ([self.count(1, most) for _ in sizes] for most in (3, 3, 2))
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
        wide = 1 if self.count(0, 9) == 0 else -1  # padding may be wider than the kernel
        begin, end = [self.count(0, max(r + wide, 0)) for r in reach], [self.count(0, r) for r in reach]
        extents = [n + b + e - r for n, b, e, r in zip(sizes, begin, end, reach, strict=True)]
        if min(extents) < 0:
            return
        operands = [x, self.weight(out, channels // group, *kernel), *([self.weight(out)] if self.count(0, 1) else [])]
        shape = (
            *(self.shapes[x][0], out),
            *(extent // stride + 1 for extent, stride in zip(extents, strides, strict=True)),
        )
        self.node("Conv", operands, shape, group=group, strides=strides, dilations=dilations, pads=begin + end)

    def conv_transpose(self, x: str) -> None:
        batch, channels, *sizes = self.shapes[x]
        group = self.pick(*[group for group in (1, 1, 2, channels) if channels % group == 0])
        out = group * self.count(1, 4)
        kernel, strides, dilations = ([self.count(1, most) for _ in sizes] for most in (3, 3, 2))
        behind = [self.count(0, stride - 1) for stride in strides]
        extents = [
            (n - 1) * s + (k - 1) * d + 1 + p
            for n, s, k, d, p in zip(sizes, strides, kernel, dilations, behind, strict=True)
        ]
        begin = [self.count(0, min(extent - 1, 4)) for extent in extents]
        end = [self.count(0, min(extent - 1 - pad, 4)) for extent, pad in zip(extents, begin, strict=True)]
        shape = (batch, out, *(n - b - e for n, b, e in zip(extents, begin, end, strict=True)))
        if math.prod(shape) > 4000:
            return
        weight = self.weight(channels, out // group, *kernel)
        operands = [x, weight, *([self.weight(out)] if self.count(0, 1) else [])]
        attributes = {"strides": strides, "dilations": dilations, "pads": begin + end, "output_padding": behind}
        self.node("ConvTranspose", operands, shape, group=group, **attributes)

    def fc(self, x: str) -> None:
        *rows, inputs = self.shapes[x]
        outputs = self.count(1, 9)
        if len(rows) == 1 and self.count(0, 1):
            bias = self.pick(None, (outputs,), (1, outputs), (1,), (rows[0], 1), (rows[0], outputs))
            operands = [x, self.weight(outputs, inputs), *([] if bias is None else [self.weight(*bias)])]
            self.node(
                "Gemm", operands, (rows[0], outputs), transB=1, alpha=self.pick(1.0, 0.5), beta=self.pick(1.0, 2.0)
            )
            return
        linear = self.node("MatMul", [x, self.weight(inputs, outputs)], (*rows, outputs))
        if self.count(0, 1):
            self.node("Add", [linear, self.weight(outputs)], (*rows, outputs))

    def function(self, x: str) -> None:
        more = () if self.exact else ("Sigmoid", "Tanh", "Elu", "HardSigmoid", "Softplus", "Atan", "Erf")
        op = self.pick("Relu", "LeakyRelu", "Clip", "Abs", "Neg", *more)
        bounds = [self.constant(np.array(v, np.float32)) for v in self.pick((0, 2), (-1, 2))] if op == "Clip" else []
        slope = {"alpha": self.pick(0.25, 0.5, 0.0)} if op == "LeakyRelu" else {}
        self.node(op, [x, *bounds], self.shapes[x], **slope)

    def pool(self, x: str) -> None:
        _, channels, *sizes = self.shapes[x]
        op = self.pick("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool")
        if op.startswith("Global"):
            if self.exact and op == "GlobalAveragePool" and math.prod(sizes).bit_count() > 1:
                return
            self.node(op, [x], (1, channels, *[1] * len(sizes)))
            return
        average = op == "AveragePool"
        kernel = [self.count(1, 2 if self.exact and average else 3) for _ in sizes]
        strides = [self.count(1, 3) for _ in sizes]
        padded = average and self.count(0, 1)
        most = 0 if average and self.exact and not padded else 1
        begin, end = ([self.count(0, min(most, k - 1)) for k in kernel] for _ in range(2))
        dilations = [1 if average else self.count(1, 2) for _ in sizes]
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
        extents = [n + b + e - r for n, b, e, r in zip(sizes, begin, end, reach, strict=True)]
        if min(extents) < 0:
            return
        over = [-extent % stride for extent, stride in zip(extents, strides, strict=True)]
        # In ceil mode the last window has to begin inside, else onnx and onnxruntime do not agree on the shape.
        ceil = not padded and all(o < r - e for o, r, e in zip(over, reach, end, strict=True)) and self.count(0, 1)
        shape = [(e + (o if ceil else 0)) // s + 1 for e, o, s in zip(extents, over, strides, strict=True)]
        counted = {"count_include_pad": 1} if padded else {} if average else {"dilations": dilations}
        attributes = {"kernel_shape": kernel, "strides": strides, "pads": begin + end, "ceil_mode": int(ceil)}
        self.node(op, [x], (1, channels, *shape), **attributes, **counted)

    def with_constant(self, x: str) -> None:
        shape = self.shapes[x]
        sizes = self.pick((), shape, shape[-1:], tuple(n if self.generator.random() < 0.5 else 1 for n in shape))
        operands = [x, self.weight(*sizes)]
        self.node(self.pick("Add", "Mul", "Sub", "Max"), operands[:: self.pick(1, -1)], shape)

    def with_tensor(self, x: str) -> None:
        fitting = [
            name
            for name, shape in self.shapes.items()
            if len(shape) == len(self.shapes[x])
            and all(1 in (a, b) or a == b for a, b in zip(shape, self.shapes[x], strict=True))
        ]
        other = self.pick(*fitting)
        op = self.pick("Add", "Sub", "Max", *([] if self.exact else ["Mul"]))
        self.node(op, [x, other], np.broadcast_shapes(self.shapes[x], self.shapes[other]))

    def concat(self, x: str) -> None:
        axis = self.count(1, len(self.shapes[x]) - 1)
        parts = [x, *(self.pick(*self.like(x, axis)) for _ in range(self.count(1, 2)))]
        shape = list(self.shapes[x])
        shape[axis] = sum(self.shapes[part][axis] for part in parts)
        if math.prod(shape) < 4000:
            self.node("Concat", parts, shape, axis=axis)

    def reshape(self, x: str) -> None:
        shape = self.shapes[x]
        if len(shape) < 3 or self.count(0, 1):
            self.node("Flatten", [x], (shape[0], math.prod(shape[1:])))
        else:
            self.node("Reshape", [x, self.ints(-1, shape[-1])], (math.prod(shape[:-1]), shape[-1]))

    def host(self, x: str) -> None:
        shape = self.shapes[x]
        op = self.pick("Transpose", "ReduceMax", "If", *([] if self.exact else ["Softmax"]))
        if op == "Transpose":
            self.node(op, [x], (shape[0], *shape[:0:-1]), perm=[0, *range(len(shape) - 1, 0, -1)])
        elif op == "ReduceMax":
            self.node(op, [x, self.ints(-1)], (*shape[:-1], 1))
        elif op == "Softmax":
            self.node(op, [x], shape)
        else:
            self._branch(x, self.pick(*self.like(x)))

    def _branch(self, x: str, other: str) -> None:
        """A node of the host whose subgraphs take operands from outside."""
        result = helper.make_tensor_value_info("inner", TensorProto.FLOAT, self.shapes[x])
        branches = [
            helper.make_graph([helper.make_node(op, operands, ["inner"])], op, [], [result])
            for op, operands in (("Add", [x, other]), ("Neg", [x]))
        ]
        total = self.node("ReduceMax", [x], (), keepdims=0)
        positive = self.node("Greater", [total, self.constant(np.zeros((), np.float32))], ())
        del self.shapes[total], self.shapes[positive]
        self.node("If", [positive], self.shapes[x], then_branch=branches[0], else_branch=branches[1])

    def grow(self) -> None:
        """One more layer, on the latest tensor or an earlier one; nothing where the drawn one does not fit."""
        names = list(self.shapes)
        x = names[-1] if self.count(0, 3) else self.pick(*names)
        layers = [
            self.fc,
            self.fc,
            self.function,
            self.with_constant,
            self.with_tensor,
            self.concat,
            self.reshape,
            self.host,
        ]
        if 3 <= len(self.shapes[x]) <= 5:
            layers += [self.conv, self.conv, self.conv, self.conv_transpose, self.conv_transpose]
            layers += [self.pool] * (self.shapes[x][0] == 1)
        self.pick(*layers)(x)

    def input_shape(self) -> tuple[int, ...]:
        rank = self.pick(0, 1, 2, 2, 3)
        if rank == 0:
            return (self.pick(1, 3, 5), self.count(1, 30))
        return (
            self.pick(1, 1, 2, 3),
            self.count(1, 5),
            *(self.count(1, {1: 30, 2: 10, 3: 5}[rank]) for _ in range(rank)),
        )


def _graph(builder: Builder, inputs: dict[str, tuple[int, ...]]) -> onnx.ModelProto:
    """A model of what the builder made; outputs are all that nothing reads, and some that are read as well."""
    read = {name for node in builder.nodes for name in node.input}
    read |= {name for node in builder.nodes for a in node.attribute for inner in a.g.node for name in inner.input}
    outputs = [name for name in builder.shapes if name not in inputs and (name not in read or builder.count(0, 4) == 0)]
    if not outputs or builder.count(0, 9) == 0:
        outputs.append(builder.node("Identity", [next(iter(inputs))], inputs[next(iter(inputs))]))

    def info(name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, builder.shapes[name])

    graph = helper.make_graph(
        builder.nodes, "network", [info(name) for name in inputs], [info(name) for name in outputs], builder.constants
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def _frames(builder: Builder, inputs: dict[str, tuple[int, ...]]) -> list[Frame]:
    """Frames that share much with the one before, with zeros; the first starts a sequence, and another may."""

    def fresh(shape: tuple[int, ...]) -> NDArray[np.float32]:
        generator = builder.generator
        values = generator.integers(-16, 17, shape) / 8 if builder.exact else generator.standard_normal(shape)
        return np.where(generator.random(shape) < 0.15, 0, values).astype(np.float32)

    frames = [Frame({name: fresh(shape) for name, shape in inputs.items()}, True)]
    for number in range(1, 4):
        share = builder.pick(0.0, 0.1, 0.5)
        arrays = {
            name: np.where(builder.generator.random(array.shape) < share, fresh(array.shape), array)
            for name, array in frames[-1].inputs.items()
        }
        frames.append(Frame(arrays, number == 2 and builder.count(0, 1) == 0))
    return frames


def _plan(builder: Builder, model: Model) -> Plan:
    """Reuse at most sites, with scalar deadbands or one per channel, and indices of one byte or two."""
    quantizers: dict[str, LinearQuantizer] = {}
    sites = []
    for site in find_sites(model):
        clusters = builder.pick(2, 7, 32, 256, 257, 1000)
        step = 2.0 ** builder.count(-4, 1) if builder.exact else float(np.float32(builder.generator.uniform(0.02, 0.7)))
        channels = site.shape[1 if site.kind == "conv" else -1]
        readers = {other.kind for other in find_sites(model) if other.input == site.input}
        bands = tuple(float(step * share) for share in builder.generator.choice([0, 0.25, 0.5, 1, 2], channels))
        alike = len(readers) == 1 or site.shape[1] == site.shape[-1]
        deadband = builder.pick(0.0, float(np.float32(step * 0.5)), bands if alike else 0.0)
        quantizers.setdefault(site.input, LinearQuantizer(step, builder.pick(0, clusters // 2), clusters, deadband))
        dense = builder.count(0, 5) == 0
        sites.append(
            SitePlan(
                node=site.node,
                input=site.input,
                op=site.op,
                mode="dense" if dense else "reuse",
                quantizer=None if dense else QuantizerSpec.of(quantizers[site.input]),
            )
        )
    return Plan(model=ModelRef(path="model.onnx", sha256=model.sha256), sites=sites)


def _load(proto: onnx.ModelProto) -> Model:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(proto, path)
        return frontend.load(path)


@st.composite
def _cases(draw: st.DrawFn) -> Case:
    exact = draw(st.booleans())
    builder = Builder(draw, exact, np.random.default_rng(draw(st.integers(0, 2**32 - 1))))
    inputs = {f"x{number}": builder.input_shape() for number in range(builder.pick(1, 1, 2))}
    builder.shapes.update(inputs)
    for _ in range(builder.count(1, 8)):
        builder.grow()
    proto = _graph(builder, inputs)
    model = _load(proto)
    plan = _plan(builder, model)
    reuse_model = rewrite(model, plan)
    lanes, share = builder.pick(2, 4, 8, 128), builder.pick(1, 4, 64)
    edram, base, more = (
        builder.pick(128, 256, 1024, 1 << 20),
        builder.pick(128, 320, 512, 2048, 1 << 20),
        builder.pick(0, 100),
    )
    too_small: list[str] = []
    while True:
        tiling = Tiling("tiny", lanes, lanes * share, edram, base, base + more)
        try:
            program = lower(reuse_model, tiling, model.sha256)
        except HardwareError as error:
            too_small.append(str(error))
            edram, base, share = edram * 2, base * 2, share * 2
        else:
            return Case(proto, exact, model, plan, program, too_small, _frames(builder, inputs))


@pytest.fixture(scope="session")
def cases() -> st.SearchStrategy[Case]:
    """Small networks lowered for accelerators of tiny sizes."""
    return _cases()
