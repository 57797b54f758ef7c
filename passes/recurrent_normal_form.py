"""Bring every recurrent layer into one form: one direction, time first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from reuse_compiler.errors import ModelError
from reuse_compiler.passes.initializers import NewInitializers
from reuse_compiler.passes.replacement import Replacement, Shape, constant_of, fixed_shape

__all__ = ["RECURRENT", "RecurrentNormalForm"]

RECURRENT = {"GRU": 2, "LSTM": 3, "RNN": 1}
"""Recurrent operators of ONNX and how many activations each direction has."""

_PARAMETERS = {"GRU": (1, 2, 3), "LSTM": (1, 2, 3, 7), "RNN": (1, 2, 3)}
"""Positions of W, R, B and P, which have an entry per direction."""

_STATES = (5, 6)
"""Positions of the initial states; 6 exists for LSTM alone."""

_ARGUMENTS = {
    "affine": (1, 1),
    "elu": (1, 0),
    "hardsigmoid": (1, 1),
    "leakyrelu": (1, 0),
    "parametricsoftplus": (1, 1),
    "scaledtanh": (1, 1),
    "thresholdedrelu": (1, 0),
}
"""How many of activation_alpha and activation_beta an activation consumes; those that are not here consume none."""


@dataclass(frozen=True)
class RecurrentNormalForm(ir.passes.InPlacePass):
    """Rewrite LSTM, GRU and RNN of the top graph with an input of fixed shape.

    1. layout 1 becomes layout 0 between Transposes.
    2. A bidirectional layer whose W and R, and B and P where there are any, are constant float32 becomes two, called
       ``<name>.forward`` and ``<name>.reverse``. Each has its part of the activations and of the initial states, and both the
       sequence lengths; outputs are concatenated. activation_alpha and activation_beta are consumed in order, as
       onnxruntime does it.
    3. Constant sequence lengths that are all the whole time axis go.
    4. `direction` and `hidden_size` are always written out, and Y always has a name.

    Layers of one direction keep their name. Needs shapes inferred and constants folded.

    Raises ModelError for a constant sequence length below 0 or beyond the time axis.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite in place."""
        new = NewInitializers(model.graph)
        modified = False
        for node in model.graph:
            if node.domain == "" and node.op_type in RECURRENT and fixed_shape(node.inputs[0]) is not None:
                modified |= _check_lengths(node)
                modified |= _write_out(node, new)
                modified |= _rewrite(node, new)
        return ir.passes.PassResult(model, modified)


def _check_lengths(node: ir.Node) -> bool:
    """Remove sequence lengths that say nothing; whether there were any."""
    value, x = _input(node, 4), fixed_shape(node.inputs[0])
    tensor = constant_of(value, ir.DataType.INT32)
    if tensor is None or x is None or value is None:
        return False
    steps = x[1] if node.attributes.get_int("layout", 0) else x[0]
    lengths = tensor.numpy()
    wrong = lengths[(lengths < 0) | (lengths > steps)]
    if wrong.size:
        raise ModelError(
            f"node {node.name} ({node.op_type}): sequence_lens {value.name} has {wrong[0]}, its input has {steps} time"
            " steps: give lengths within them"
        )
    if (lengths != steps).any():
        return False
    node.replace_input_with(4, None)
    return True


def _write_out(node: ir.Node, new: NewInitializers) -> bool:
    """Write `direction` and `hidden_size`, and name Y; whether any of it was to do."""
    attributes, recurrence, y = node.attributes, fixed_shape(node.inputs[2]), node.outputs[0]
    modified = False
    if "direction" not in attributes:
        attributes["direction"] = ir.AttrString("direction", "forward")
        modified = True
    if "hidden_size" not in attributes and recurrence is not None:
        attributes["hidden_size"] = ir.AttrInt64("hidden_size", recurrence[2])
        modified = True
    if not y.name:
        assert node.inputs[0] is not None
        y.name, y.type = new.free_name(f"{node.name}_Y"), node.inputs[0].type
        modified = True
    return modified


def _rewrite(node: ir.Node, new: NewInitializers) -> bool:
    x, recurrence = node.inputs[0], fixed_shape(node.inputs[2])
    batch_first = node.attributes.get_int("layout", 0) == 1
    split = node.attributes.get_string("direction") == "bidirectional" and _is_constant(node)
    activations = list(node.attributes.get_strings("activations", []))
    if activations and len(activations) != 2 * RECURRENT[node.op_type]:
        split = False
    if x is None or recurrence is None or not (batch_first or split):
        return False
    chain = Replacement(node, new)
    states = [_input(node, position) for position in _STATES]
    if batch_first:
        x = chain.permute(x, (1, 0, 2), "time_first")
        states = [
            state and chain.permute(state, (1, 0, 2), f"state_{number}_time_first")
            for number, state in enumerate(states)
        ]
    directions, hidden = recurrence[0], recurrence[2]
    y = _both(chain, node, x, states, hidden, new) if split else _one(chain, node, x, states, directions, hidden)
    chain.finish([_output(chain, node, number, value, batch_first) for number, value in enumerate(y)])
    return True


def _one(
    chain: Replacement, node: ir.Node, x: ir.Value, states: Sequence[ir.Value | None], directions: int, hidden: int
) -> list[ir.Value | None]:
    """The layer with layout 0, under its name."""
    inputs = _inputs(node, x, list(node.inputs[1:4]), states, _input(node, 7))
    attributes = [attribute for name, attribute in node.attributes.items() if name != "layout"]
    shapes = _shapes(node, x, directions, hidden)
    return [*chain.add(node.op_type, inputs, shapes, attributes, what="time_first", name=node.name)]


def _both(
    chain: Replacement, node: ir.Node, x: ir.Value, states: Sequence[ir.Value | None], hidden: int, new: NewInitializers
) -> list[ir.Value | None]:
    """The outputs of both directions, concatenated; None for one that nobody reads."""
    y = []
    for number, (direction, attributes) in enumerate(zip(("forward", "reverse"), _attributes(node), strict=True)):
        parameters = {position: _part(_input(node, position), number, direction, new) for position in (1, 2, 3, 7)}
        own = [_state(chain, state, number, f"state_{i}_{direction}", new) for i, state in enumerate(states)]
        inputs = _inputs(node, x, [parameters[position] for position in (1, 2, 3)], own, parameters[7])
        shapes, name = _shapes(node, x, 1, hidden), f"{node.name}.{direction}"
        y.append(chain.add(node.op_type, inputs, shapes, attributes, what=direction, name=name))
    joined: list[ir.Value | None] = []
    for number, (forward, reverse) in enumerate(zip(*y, strict=True)):
        if not _is_read(node, number):
            joined.append(None)
            continue
        shape, axis = fixed_shape(forward), 1 if number == 0 else 0
        assert shape is not None
        whole = (*shape[:axis], 2, *shape[axis + 1 :])
        joined += chain.add("Concat", [forward, reverse], [whole], [ir.AttrInt64("axis", axis)], what=f"both_{number}")
    return joined


def _is_read(node: ir.Node, number: int) -> bool:
    value = node.outputs[number] if number < len(node.outputs) else None
    return value is not None and bool(value.uses() or value.is_graph_output())


def _output(
    chain: Replacement, node: ir.Node, number: int, value: ir.Value | None, batch_first: bool
) -> ir.Value | None:
    """What stands for output `number` of `node`; None where nobody reads it."""
    if value is None or (number > 0 and not _is_read(node, number)):
        return None
    perm = (2, 0, 1, 3) if number == 0 else (1, 0, 2)
    return chain.permute(value, perm, f"batch_first_{number}") if batch_first else value


def _shapes(node: ir.Node, x: ir.Value, directions: int, hidden: int) -> list[Shape]:
    """Of Y, Y_h and, for LSTM, Y_c; x is time first."""
    shape = fixed_shape(x)
    assert shape is not None
    steps, batch, _ = shape
    state = (directions, batch, hidden)
    return [(steps, directions, batch, hidden), state, *([state] if node.op_type == "LSTM" else [])]


def _inputs(
    node: ir.Node,
    x: ir.Value,
    parameters: Sequence[ir.Value | None],
    states: Sequence[ir.Value | None],
    peephole: ir.Value | None,
) -> list[ir.Value | None]:
    inputs = [x, *parameters, *[None] * (3 - len(parameters)), _input(node, 4), *states, peephole]
    while inputs[-1] is None:
        inputs.pop()
    return inputs


def _part(value: ir.Value | None, number: int, direction: str, new: NewInitializers) -> ir.Value | None:
    """The entry of a constant for one direction."""
    if value is None or value.const_value is None:
        return None
    return new.add(f"{value.name}_{direction}", value.const_value.numpy()[number : number + 1])


def _state(chain: Replacement, state: ir.Value | None, number: int, what: str, new: NewInitializers) -> ir.Value | None:
    if state is None:
        return None
    if constant_of(state) is not None:
        return _part(state, number, what, new)
    return chain.slice(state, 0, number, what)


def _is_constant(node: ir.Node) -> bool:
    given = [_input(node, position) for position in _PARAMETERS[node.op_type]]
    return all(value is None or constant_of(value) is not None for value in given)


def _attributes(node: ir.Node) -> list[list[ir.Attr]]:
    """Attributes of the forward and of the reverse layer."""
    special = ("activations", "activation_alpha", "activation_beta", "direction", "layout")
    kept = [attribute for name, attribute in node.attributes.items() if name not in special]
    names = list(node.attributes.get_strings("activations", []))
    alphas, betas = (list(node.attributes.get_floats(f"activation_{kind}", [])) for kind in ("alpha", "beta"))
    count = RECURRENT[node.op_type]
    parts: list[list[ir.Attr]] = []
    for direction in ("forward", "reverse"):
        own, names = names[:count], names[count:]
        takes = [sum(_ARGUMENTS.get(name.lower(), (0, 0))[kind] for name in own) for kind in (0, 1)]
        attributes = [*kept, ir.AttrString("direction", direction)]
        if own:
            attributes.append(ir.AttrStrings("activations", own))
        for kind, values, taken in (("alpha", alphas, takes[0]), ("beta", betas, takes[1])):
            if values[:taken]:
                attributes.append(ir.AttrFloat32s(f"activation_{kind}", values[:taken]))
        alphas, betas = alphas[takes[0] :], betas[takes[1] :]
        parts.append(attributes)
    return parts


def _input(node: ir.Node, position: int) -> ir.Value | None:
    return node.inputs[position] if position < len(node.inputs) else None
