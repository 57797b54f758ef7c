"""Storage: nothing that lives at one time overlaps, and what saves most traffic lies in the buffer."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reuse_compiler.backend.accelerator.isa import Special
from reuse_compiler.backend.accelerator.lowering.specs import (
    AliasSpec,
    ConvSpec,
    FcSpec,
    FunctionSpec,
    HostSpec,
    Layer,
    LayerGraph,
    Spec,
    Tensor,
)
from reuse_compiler.backend.accelerator.lowering.storage import Storage, Storages, aligned, gather, place
from reuse_compiler.geometry import ConvGeometry
from reuse_compiler.operators import Activation
from reuse_compiler.quantizers import LinearQuantizer

RAMP = FunctionSpec(Special.RAMP)


def fc(
    inputs: int, outputs: int, slope: float = 0.0, deadband: float | tuple[float, ...] = 0.0, clusters: int = 32
) -> FcSpec:
    weight, bias = np.zeros((inputs, outputs), np.float32), np.zeros(outputs, np.float32)
    quantizer = LinearQuantizer(0.5, 3, clusters, deadband)
    return FcSpec(1, inputs, outputs, weight=weight, bias=bias, activation=Activation(slope), quantizer=quantizer)


def tensor(name: str, *shape: int) -> Tensor:
    return Tensor(name, shape, "float32")


def layer(name: str, spec: Spec, inputs: list[Tensor], outputs: list[Tensor]) -> Layer:
    return Layer(name, type(spec).__name__, tuple(inputs), tuple(outputs), spec)


def graph(layers: list[Layer], inputs: list[Tensor], outputs: list[Tensor]) -> LayerGraph:
    return LayerGraph(tuple(layers), tuple(inputs), tuple(outputs), {}, tuple(tensor.name for tensor in outputs))


X, H, Y, Z = tensor("x", 1, 100), tensor("h", 1, 50), tensor("y", 1, 20), tensor("z", 1, 20)


def test_a_chain_of_layers() -> None:
    """Two FC, the second without activation: its linear output is the output."""
    chain = graph([layer("a", fc(100, 50), [X], [H]), layer("b", fc(50, 20, slope=1.0), [H], [Y])], [X], [Y])
    found = gather(chain, reuse=True)
    assert {storage.name: (storage.bytes, storage.keep) for storage in found.everything} == {
        "x": (400, False),
        "linear of a": (200, True),
        "indices of a": (100, True),
        "h": (200, False),
        "linear of b": (80, True),
        "indices of b": (50, True),
    }
    assert found.by_tensor["y"] is found.states["b"].linear
    assert found.by_tensor["y"].is_output and found.by_tensor["x"].is_input
    assert (found.by_tensor["h"].first, found.by_tensor["h"].last) == (0, 1)
    dense = gather(chain, reuse=False)
    assert [storage.name for storage in dense.everything] == ["x", "h", "y"]
    assert not dense.states


def test_layers_that_read_one_tensor_share_its_indices_and_a_change_list() -> None:
    pair = graph([layer("a", fc(100, 50), [X], [H]), layer("b", fc(100, 20, clusters=32), [X], [Y])], [X], [H, Y])
    found = gather(pair, reuse=True)
    one, other = found.states["a"], found.states["b"]
    assert one.list is not None
    assert one.index is other.index and one.list is other.list
    assert one.linear is not other.linear
    assert (one.list.first, one.list.last, one.list.bytes, one.list.keep) == (0, 1, 100, False)


def test_deadbands_along_other_axes_share_nothing() -> None:
    """A CONV has its deadbands along the channels, an FC along the last axis, of the same tensor."""
    x = tensor("x", 1, 4, 4, 4)
    bands = (0.0, 0.25, 0.5, 1.0)
    geometry = ConvGeometry(4, 1, 1, (4, 4, 1), (1, 1, 1), (1, 1, 1), (1, 1, 1), (0, 0, 0), (0, 0, 0))
    for deadband, shared in ((0.5, True), (bands, False)):
        quantizer = LinearQuantizer(0.5, 3, 32, deadband)
        weight, bias = np.zeros((1, 4, 1, 1, 1), np.float32), np.zeros(1, np.float32)
        conv = ConvSpec(geometry, weight=weight, bias=bias, activation=Activation(0.0), quantizer=quantizer)
        layers = [
            layer("a", conv, [x], [tensor("y", 1, 1, 4, 4)]),
            layer("b", fc(4, 2, deadband=deadband), [x], [tensor("z", 1, 4, 4, 2)]),
        ]
        states = gather(graph(layers, [x], [layers[0].outputs[0], layers[1].outputs[0]]), reuse=True).states
        assert (states["a"].index is states["b"].index) == shared
        assert (states["a"].list is not None) == (states["b"].list is not None) == shared


def test_a_change_of_shape_is_the_same_memory() -> None:
    flat = tensor("flat", 100)
    found = gather(
        graph([layer("a", AliasSpec(), [X], [flat]), layer("b", RAMP, [flat], [H])], [X], [flat, H]), reuse=True
    )
    assert found.by_tensor["flat"] is found.by_tensor["x"]
    assert found.by_tensor["x"].is_input and found.by_tensor["x"].is_output
    assert found.by_tensor["x"].last == 2


@pytest.mark.parametrize(
    ("storage", "saved"),
    [
        (Storage("activation", 100, 0, 1, reads=2, writes=1), 300),
        (Storage("input", 100, 0, 1, reads=1, is_input=True), 0),  # loaded once in any case
        (Storage("input read twice", 100, 0, 1, reads=2, is_input=True), 100),
        (Storage("output", 100, 0, 1, writes=1, is_output=True), 0),
        (Storage("output read too", 100, 0, 1, reads=1, writes=1, is_output=True), 100),
        (Storage("input and output", 100, 0, 1, reads=2, is_input=True, is_output=True), 100),
        (Storage("for the host", 100, 0, 1, reads=0, writes=1, to_host=True), 0),
        (Storage("state", 100, 0, 1, keep=True), 200),
    ],
    ids=lambda value: value.name if isinstance(value, Storage) else "",
)
def test_traffic_that_the_buffer_saves(storage: Storage, saved: int) -> None:
    assert storage.traffic == saved


def of_kind(kind: str, inputs: int, outputs: int) -> Spec:
    match kind:
        case "fc" | "linear":
            return fc(inputs, outputs, slope=1.0 if kind == "linear" else 0.0)
        case "ramp":
            return RAMP
        case "host":
            return HostSpec(b"", 0, 1)
    return AliasSpec()


@st.composite
def graphs(draw: st.DrawFn) -> LayerGraph:
    """Layers of all kinds on earlier tensors."""
    tensors = [tensor(f"x{number}", 1, draw(st.integers(1, 60))) for number in range(draw(st.integers(1, 2)))]
    inputs, layers = list(tensors), []
    for number in range(draw(st.integers(1, 8))):
        x = draw(st.sampled_from(tensors))
        kind, size = draw(st.sampled_from(["fc", "linear", "ramp", "host", "alias"])), draw(st.integers(1, 60))
        size = x.shape[1] if kind in ("ramp", "alias") else size
        y = tensor(f"y{number}", 1, size)
        layers.append(layer(f"l{number}", of_kind(kind, x.shape[1], size), [x], [y]))
        tensors.append(y)
    return graph(layers, inputs, draw(st.lists(st.sampled_from(tensors), min_size=1, unique=True)))


@given(
    network=graphs(), lines=st.integers(0, 40), eighths=st.integers(0, 6), odd=st.integers(0, 63), reuse=st.booleans()
)
def test_what_lives_at_one_time_shares_no_byte(
    network: LayerGraph, lines: int, eighths: int, odd: int, reuse: bool
) -> None:
    size = 64 * lines + odd
    staging = size * eighths // 8
    storages = gather(network, reuse)
    placement = place(storages, size, staging)
    assert (placement.staging_start, placement.staging_bytes, placement.buffer_bytes) == (size - staging, staging, size)
    placed = [storage for storage in storages.everything if storage.buffer_address is not None]
    for storage in placed:
        assert storage.buffer_address is not None and storage.buffer_address % 64 == 0
        assert storage.buffer_address + storage.bytes <= size - staging
        assert not storage.from_host
    for one, other in combinations(placed, 2):
        assert one.buffer_address is not None and other.buffer_address is not None
        together = one.keep or other.keep or (one.first <= other.last and other.first <= one.last)
        apart = (
            one.buffer_address + one.bytes <= other.buffer_address
            or other.buffer_address + other.bytes <= one.buffer_address
        )
        assert apart or not together
    rest = [storage for storage in storages.everything if storage.buffer_address is None]
    assert placement.traffic == sum(storage.traffic for storage in rest)


def test_state_is_placed_by_traffic_per_byte() -> None:
    storages = Storages()
    often = storages.add(Storage("often", 64, 0, 0, reads=3, keep=True))
    seldom = storages.add(Storage("seldom", 64, 0, 0, keep=True))
    place(storages, 64, 0)
    assert (often.buffer_address, seldom.buffer_address) == (0, None)


@given(st.integers(0, 10**6))
def test_lines(size: int) -> None:
    assert 0 <= aligned(size) - size < 64 and aligned(size) % 64 == 0
