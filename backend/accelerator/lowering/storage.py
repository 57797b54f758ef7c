"""Storage: which memory holds each run-time tensor and each kept state, and for how long.

A storage is a piece of memory with a life: the steps of the schedule from its first write to its last read. Tensors
that differ in shape alone share one. The I/O buffer is divided into three regions: the kept state at the bottom, then
activations, then a staging region through which everything that lies in DRAM passes tile by tile. Activations of even
and odd steps are allocated from opposite ends, so that a layer reads from one side and writes to the other.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from reuse_compiler.backend.accelerator.lowering.recurrent_spec import RecurrentSpec
from reuse_compiler.backend.accelerator.lowering.specs import (
    AliasSpec,
    ConvSpec,
    FcSpec,
    HostSpec,
    Layer,
    LayerGraph,
)
from reuse_compiler.operators import Activation

__all__ = ["ALIGNMENT", "Placement", "State", "Storage", "aligned", "gather", "place"]

ALIGNMENT = 64  # bytes of a buffer line


def aligned(size: int) -> int:
    """`size` rounded up to whole lines."""
    return -(-size // ALIGNMENT) * ALIGNMENT


@dataclass(eq=False)
class Storage:
    """Memory of one tensor. Addresses are None until placed, or where it has no place in that memory."""

    name: str
    bytes: int
    first: int
    last: int
    reads: int = 0  # layers on the accelerator that read it
    writes: int = 0  # layers on the accelerator that write it
    is_input: bool = False
    is_output: bool = False
    from_host: bool = False
    to_host: bool = False
    keep: bool = False  # state: lives from frame to frame
    buffer_address: int | None = None
    dram_address: int | None = None

    @property
    def traffic(self) -> int:
        """DRAM bytes of a frame that keeping it in the buffer saves."""
        if self.keep:
            return self.bytes * (2 + self.reads)
        load_once = self.bytes if self.is_input else 0
        store_once = self.bytes if (self.is_output or self.to_host) and not self.is_input else 0
        return max(self.bytes * (self.reads + self.writes) - load_once - store_once, 0)


@dataclass(eq=False)
class State:
    """The kept state of one reuse layer; layers that read one tensor share `index`, and `list` between them."""

    index: Storage
    linear: Storage
    list: Storage | None


@dataclass
class Storages:
    """Every storage of a code."""

    by_tensor: dict[str, Storage] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)  # by layer name
    everything: list[Storage] = field(default_factory=list)

    def add(self, storage: Storage) -> Storage:
        """Remember `storage`."""
        self.everything.append(storage)
        return storage


def gather(graph: LayerGraph, reuse: bool) -> Storages:
    """The storages of a graph. With `reuse` off no layer keeps state."""
    storages = Storages()
    for tensor in (tensor for tensor in graph.inputs if not tensor.on_host):
        storages.by_tensor[tensor.name] = storages.add(Storage(tensor.name, tensor.bytes, 0, 0, is_input=True))
    for step, layer in enumerate(graph.layers):
        _read(storages, layer, step)
        if reuse and _reuses(layer):
            _keep_state(storages, graph, layer, step)
        if reuse and isinstance(layer.spec, RecurrentSpec):
            _keep_steps(storages, layer, layer.spec, step)
        _write(storages, layer, step, reuse)
    for tensor in (tensor for tensor in graph.outputs if not tensor.on_host):
        storage = storages.by_tensor[tensor.name]
        storage.is_output = True
        storage.last = len(graph.layers)
    return storages


def _reuses(layer: Layer) -> bool:
    return isinstance(layer.spec, ConvSpec | FcSpec) and layer.spec.quantizer is not None


def _shares(layer: Layer, other: Layer) -> bool:
    """Whether two reuse layers keep the same indices: they read one tensor, and deadbands lie along the same axis."""
    if not _reuses(other) or other.inputs[0].name != layer.inputs[0].name:
        return False
    assert isinstance(other.spec, ConvSpec | FcSpec) and other.spec.quantizer is not None
    return type(other.spec) is type(layer.spec) or not isinstance(other.spec.quantizer.deadband, tuple)


def _read(storages: Storages, layer: Layer, step: int) -> None:
    placed = (tensor for tensor in layer.inputs if not tensor.on_host)
    for storage in dict.fromkeys(storages.by_tensor[tensor.name] for tensor in placed):
        storage.last = max(storage.last, step)
        if isinstance(layer.spec, HostSpec):
            storage.to_host = True
        elif not isinstance(layer.spec, AliasSpec):
            storage.reads += 1


def _write(storages: Storages, layer: Layer, step: int, reuse: bool) -> None:
    host = isinstance(layer.spec, HostSpec)
    if isinstance(layer.spec, AliasSpec):
        storages.by_tensor[layer.outputs[0].name] = storages.by_tensor[layer.inputs[0].name]
        return
    spec = layer.spec
    if reuse and isinstance(spec, ConvSpec | FcSpec) and spec.quantizer and spec.activation == Activation():
        storages.by_tensor[layer.outputs[0].name] = storages.states[layer.name].linear  # it is the output
        return
    for tensor in (tensor for tensor in layer.outputs if not tensor.on_host):
        storage = Storage(tensor.name, tensor.bytes, step, step, from_host=host, writes=0 if host else 1)
        storages.by_tensor[tensor.name] = storages.add(storage)


def _keep_state(storages: Storages, graph: LayerGraph, layer: Layer, step: int) -> None:
    spec, tensor = layer.spec, layer.inputs[0]
    assert isinstance(spec, ConvSpec | FcSpec)
    assert spec.quantizer is not None
    output = layer.outputs[0]
    linear = storages.add(Storage(f"linear of {layer.name}", output.bytes, step, step, keep=True))
    sharing = [i for i, other in enumerate(graph.layers) if _shares(layer, other)]
    if step != sharing[0]:
        shared = storages.states[graph.layers[sharing[0]].name]
        storages.states[layer.name] = State(shared.index, linear, shared.list)
        return
    size = tensor.bytes // 4 * spec.quantizer.index_dtype.itemsize
    index = storages.add(Storage(f"indices of {layer.name}", size, step, sharing[-1], keep=True))
    index.reads = 1 if len(sharing) > 1 else 0
    change_list = None
    if len(sharing) > 1:
        change_list = storages.add(
            Storage(f"change list of {layer.name}", size, step, sharing[-1], reads=len(sharing), writes=1)
        )
    storages.states[layer.name] = State(index, linear, change_list)


def _keep_steps(storages: Storages, layer: Layer, spec: RecurrentSpec, step: int) -> None:
    """The state of every site of a recurrent layer. It is moved once a frame where it lies in DRAM."""
    for site, product in spec.products.items():
        if product.quantizer is not None:
            name, size = f"{layer.name}.{site}", spec.rows * product.inputs * product.quantizer.index_dtype.itemsize
            index = storages.add(Storage(f"indices of {name}", size, step, step, keep=True))
            size = spec.rows * product.outputs * 4
            linear = storages.add(Storage(f"linear of {name}", size, step, step, keep=True))
            storages.states[name] = State(index, linear, None)


@dataclass(frozen=True)
class Placement:
    """Where everything lies: regions of the buffer in bytes, and the size of DRAM."""

    state_bytes: int
    staging_start: int
    staging_bytes: int
    buffer_bytes: int
    traffic: int


def place(storages: Storages, buffer_bytes: int, staging_bytes: int) -> Placement:
    """Give every storage that fits a place in the buffer; the rest stays in DRAM.

    The division between state and activations is the one, of nine tried, that moves the fewest DRAM bytes a frame.
    """
    room = buffer_bytes - staging_bytes
    best: tuple[int, int] | None = None
    for eighth in range(9):
        traffic = _assign(storages, room * eighth // 8, room)[0]
        if best is None or traffic < best[0]:
            best = (traffic, room * eighth // 8)
    assert best is not None
    traffic, state_bytes = _assign(storages, best[1], room)
    return Placement(state_bytes, room, staging_bytes, buffer_bytes, traffic)


def _assign(storages: Storages, state_room: int, room: int) -> tuple[int, int]:
    """Place state in the first `state_room` bytes and activations behind; DRAM bytes a frame, bytes of state placed."""
    top = 0
    kept = [storage for storage in storages.everything if storage.keep]
    for storage in sorted(kept, key=lambda s: (-s.traffic / max(s.bytes, 1), -s.bytes)):
        fits = top + aligned(storage.bytes) <= state_room
        storage.buffer_address = top if fits else None
        top += aligned(storage.bytes) if fits else 0
    top = aligned(top)
    live: list[Storage] = []
    for storage in storages.everything:
        if storage.keep:
            continue
        live = [other for other in live if other.last >= storage.first]
        storage.buffer_address = None
        if storage.traffic > 0 and not storage.from_host:
            storage.buffer_address = _first_fit(live, storage, top, room // ALIGNMENT * ALIGNMENT)
        if storage.buffer_address is not None:
            live.append(storage)
    traffic = sum(s.traffic for s in storages.everything if s.buffer_address is None)
    return traffic, top


def _first_fit(live: list[Storage], storage: Storage, bottom: int, top: int) -> int | None:
    """The lowest free address for steps of even number, the highest for odd ones; None where none is free."""
    size = aligned(storage.bytes)
    taken = sorted(
        (s.buffer_address, s.buffer_address + aligned(s.bytes)) for s in live if s.buffer_address is not None
    )
    edges = [(bottom, bottom), *taken, (top, top)]
    gaps = [(left[1], right[0]) for left, right in itertools.pairwise(edges)]
    gaps = [(low, high) for low, high in gaps if high - low >= size]
    if not gaps:
        return None
    return gaps[0][0] if storage.first % 2 == 0 else gaps[-1][1] - size
