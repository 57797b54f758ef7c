"""ONNX function bodies of recurrent layers: a Scan over the steps, in four forms of one cell.

``reuse``
    The operators ReuseLSTM, ReuseGRU, ReuseGRUResetFirst and ReuseRNN of domain `ai.reuse`: each operand of a step is
    quantized, compared with the step before, and corrects the kept linear output.
``replay``
    The operands are given: the centroids of recorded indices. Shows what each would have been, and the last linear
    outputs.
``dense``
    The layer itself; shows what the weights of each operand multiply.
``trial``
    Each operand is quantized by a quantizer that is an input, and its centroids are multiplied anew.

A row whose sequence has ended changes nothing. Gates and their order are ONNX's; a clip bounds the gates before their
activation, as in onnxruntime.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import onnx
import onnx_ir as ir

from reuse_compiler import function_text
from reuse_compiler.recurrent import DEFAULT_ACTIVATIONS, Layer

__all__ = ["Form", "Signature", "recurrent_function", "reuse_op", "signature"]

Form = Literal["reuse", "replay", "dense", "trial"]

_DOMAINS: dict[Form, str] = {
    "reuse": "ai.reuse",
    "replay": "ai.reuse.replay",
    "dense": "ai.reuse.dense",
    "trial": "ai.reuse.trial",
}


@dataclass(frozen=True)
class Signature:
    """Domain, name, inputs, outputs and attributes of a function, by name."""

    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: tuple[str, ...]


def reuse_op(layer: Layer) -> str:
    """The operator that reuses in `layer`: activations other than the default ones are part of its name."""
    base = f"Reuse{layer.kind}ResetFirst" if layer.reset_first else f"Reuse{layer.kind}"
    names = layer.activations.names
    suffix = "" if names == DEFAULT_ACTIVATIONS[layer.kind] else "".join(f"_{name}" for name in names)
    return base + suffix + ("_InputForget" if layer.input_forget else "")


def signature(layer: Layer, form: Form) -> Signature:
    """What the function of a form takes and gives; T steps, N rows, I inputs, H cells.

    Of an operand s with K elements (I of x, else H) and G linear outputs: ``past_index_s`` [N, K], ``past_linear_s``
    [N, G], ``W_s`` [K, G], ``B_s`` [G], ``centroid_s``, ``steps_index_s`` and ``seen_s`` [T, N, K]; of a trial ``past_s`` [N, K] and ``held_s`` [T, N, K], in steps
    from zero, and ``dense_s``, bool, whether the operand is read as it is. X [T, N, I], P [3H],
    sequence_lens int32 [N], initial_h and initial_c [1, N, H]; Y [T, 1, N, H], Y_h and Y_c [1, N, H].
    """
    operands = layer.operands
    cell = ("c",) if layer.kind == "LSTM" else ()
    state = [f"past_{what}_{s}" for s in operands for what in ("index", "linear")] if form == "reuse" else []
    given = [f"centroid_{s}" for s in operands] if form == "replay" else []
    if form == "trial":
        given = [f"{what}_{s}" for s in operands for what in ("past", "dense", *function_text.TRIAL_INPUTS)]
    weights = [f"{what}_{s}" for s in operands for what in ("W", "B")]
    initial = [f"initial_{s}" for s in ("h", *cell)]
    shown: list[str]
    if form == "reuse":
        shown = [f"present_{what}_{s}" for s in operands for what in ("index", "linear")]
        shown += [f"steps_index_{s}" for s in operands]
    elif form == "trial":
        shown = [f"held_{s}" for s in operands]
    else:
        shown = [f"seen_{s}" for s in operands]
        shown += [f"linear_{s}" for s in operands] if form == "replay" else []
    quantizers = [f"{s}_{what}" for s in operands for what in ("step", "zero", "clusters", "deadband")]
    plain = ["clip", "reverse", "hidden_size", "activations", "activation_alpha", "activation_beta"]
    return Signature(
        domain=_DOMAINS[form],
        name=reuse_op(layer) if form == "reuse" else reuse_op(layer).replace("Reuse", form.capitalize(), 1),
        inputs=("X", *state, *given, *weights, *(["P"] if cell else []), "sequence_lens", *initial),
        outputs=("Y", "Y_h", *(["Y_c"] if cell else []), *shown),
        attributes=(*(quantizers if form == "reuse" else []), *plain),
    )


def recurrent_function(layer: Layer, form: Form, opset: int) -> ir.Function:
    """The body of a form in standard operators of `opset` (18 or later); attributes hold all but the activations."""
    return ir.serde.deserialize_function(onnx.parser.parse_function(_text(layer, form, opset)))


def _text(layer: Layer, form: Form, opset: int) -> str:
    sign = signature(layer, form)
    states = list(_states(layer, form))
    scans = ["y", *_scanned(layer, form)]
    carried = ", ".join(f"last_{name}" for name, _ in states)
    stacked = ", ".join(f"ordered_{name}" for name in scans)
    body_inputs = ", ".join([*(name for name, _ in states), "t"])
    # A step of a trial calls a function, and where that is a kernel onnxruntime cannot tell what shapes come of it.
    own = f', "{sign.domain}": 1' if form == "trial" else ""
    shape = "float[?, ?] " if form == "trial" else ""
    results = [*(f"{name}_next" for name, _ in states), *(f"{name}_out" for name in scans)]
    body_outputs = ", ".join(f"{shape}{name}" for name in results)
    return f"""
<domain: "{sign.domain}", opset_import: ["": {opset}{own}]>
{sign.name} <{", ".join(sign.attributes)}> ({", ".join(sign.inputs)}) => ({", ".join(sign.outputs)})
{{
    {function_text.COMMON}
    {"".join(_constants(layer, form))}
    {carried}, {stacked} = Scan <num_scan_inputs: int = 1, body: graph = step ({body_inputs}) => ({body_outputs}) {{
        {"".join(_body(layer, form))}
    }}> ({", ".join(start for _, start in states)}, times)
    {"".join(_results(layer, form))}
}}
"""


def _states(layer: Layer, form: Form) -> Iterator[tuple[str, str]]:
    """What is carried from step to step, and what it starts with."""
    yield "h", "start_h"
    if layer.kind == "LSTM":
        yield "c", "start_c"
    for s in layer.operands:
        if form == "reuse":
            yield f"index_{s}", f"past_index_{s}"
            yield f"linear_{s}_kept", f"past_linear_{s}"
        elif form == "trial":
            yield f"kept_{s}", f"past_{s}"
        else:
            yield f"seen_{s}_kept", f"start_seen_{s}"
        if form == "replay":
            yield f"linear_{s}_kept", f"start_linear_{s}"


def _scanned(layer: Layer, form: Form) -> list[str]:
    """What a step gives beside its output."""
    what = {"reuse": "steps_index", "trial": "held"}.get(form, "seen")
    return [f"{what}_{s}" for s in layer.operands]


def _constants(layer: Layer, form: Form) -> Iterator[str]:
    yield """
    direction_axis = Constant <value_ints: ints = [0]> ()
    row_axis = Constant <value_ints: ints = [1]> ()
    start_h = Squeeze (initial_h, direction_axis)
    clip = Constant <value_float: float = @clip> ()
    clip_low = Neg (clip)
    lengths = Cast <to: int = 7> (sequence_lens)
    row_lengths = Unsqueeze (lengths, row_axis)
    reverse = Constant <value_int: int = @reverse> ()
    steps_axis = Shape <start: int = 0, end: int = 1> (X)
    steps = Squeeze (steps_axis, direction_axis)
    last_step = Sub (steps, one_int)
    first = Mul (reverse, last_step)
    twice = Add (reverse, reverse)
    stride = Sub (one_int, twice)
    forward_end = Mul (stride, steps)
    end = Add (first, forward_end)
    times = Range (first, end, stride)
"""
    if layer.kind == "LSTM":
        yield """
    start_c = Squeeze (initial_c, direction_axis)
    P_i, P_o, P_f = Split <axis: int = 0, num_outputs: int = 3> (P)
"""
    for s in layer.operands:
        if form == "reuse":
            yield function_text.constants(f"{s}_")
            yield f"    {s}_deadband = Constant <value_floats: floats = @{s}_deadband> ()\n"
        elif form != "trial":
            yield f"    shape_{s} = Shape <start: int = {1 if s == 'x' else 0}> ({'X' if s == 'x' else 'start_h'})\n"
            yield f"    start_seen_{s} = Expand (nothing, shape_{s})\n"
        if form == "replay":
            yield f"    blank_{s} = MatMul (start_seen_{s}, W_{s})\n"
            yield f"    start_linear_{s} = Add (blank_{s}, B_{s})\n"
    names = layer.activations.names
    if names != DEFAULT_ACTIVATIONS[layer.kind]:
        yield """
    alphas = Constant <value_floats: floats = @activation_alpha> ()
    betas = Constant <value_floats: floats = @activation_beta> ()
"""
        for number in range(len(names)):
            yield f"    number_{number} = Constant <value_int: int = {number}> ()\n"
            yield f"    alpha_{number} = Gather (alphas, number_{number})\n"
            yield f"    beta_{number} = Gather (betas, number_{number})\n"


def _body(layer: Layer, form: Form) -> Iterator[str]:
    yield """
        active = Less (t, row_lengths)
        idle = Not (active)
        x = Gather <axis: int = 0> (X, t)
"""
    yield _product(form, "x", "x")
    yield _product(form, "h", "h")
    yield from {"LSTM": _lstm, "GRU": _gru, "RNN": _rnn}[layer.kind](layer, form)
    yield """
        h_next = Where (active, h_cell, h)
        y_out = Where (active, h_cell, nothing)
"""


def _product(form: Form, s: str, operand: str) -> str:
    """``z_s``, the linear output of the tensor `operand`, and the state of the site."""
    p = f"{s}_"
    if form == "reuse":
        return f"""
        {function_text.keep(p, operand, f"index_{s}")}
        {p}held = Or ({p}keep, idle)
        {function_text.present(p, f"{p}held", f"index_{s}", f"index_{s}_next")}
        {function_text.change(p)}
        {p}correction = MatMul ({p}change, W_{s})
        z_{s} = Add (linear_{s}_kept, {p}correction)
        linear_{s}_kept_next = Identity (z_{s})
        steps_index_{s}_out = Identity (index_{s}_next)
"""
    if form == "trial":
        quantizer = ", ".join(f"{what}_{s}" for what in ("dense", *function_text.TRIAL_INPUTS))
        return f"""
        {p}read, kept_{s}_next = {_DOMAINS[form]}.TrialStep ({operand}, kept_{s}, {quantizer}, active)
        {p}product = MatMul ({p}read, W_{s})
        z_{s} = Add ({p}product, B_{s})
        held_{s}_out = Identity (kept_{s}_next)
"""
    source = operand
    replayed = ""
    if form == "replay":
        source = f"{p}given"
        replayed = f"{p}given = Gather <axis: int = 0> (centroid_{s}, t)"
    kept = f"linear_{s}_kept_next = Where (active, z_{s}, linear_{s}_kept)" if form == "replay" else ""
    still = f"{p}given" if form == "replay" else f"seen_{s}_kept"
    return f"""
        {replayed}
        {p}product = MatMul ({source}, W_{s})
        z_{s} = Add ({p}product, B_{s})
        {kept}
        seen_{s}_kept_next = Where (active, {operand}, {still})
        seen_{s}_out = Identity (seen_{s}_kept_next)
"""


def _lstm(layer: Layer, form: Form) -> Iterator[str]:
    yield """
        z = Add (z_x, z_h)
        z_i, z_o, z_f, z_c = Split <axis: int = -1, num_outputs: int = 4> (z)
        peep_i = Mul (P_i, c)
        sum_i = Add (z_i, peep_i)
"""
    yield _gate(layer, 0, "sum_i", "gate_i")
    if layer.input_forget:
        yield "        gate_f = Sub (one, gate_i)\n"
    else:
        yield """
        peep_f = Mul (P_f, c)
        sum_f = Add (z_f, peep_f)
"""
        yield _gate(layer, 0, "sum_f", "gate_f")
    yield _gate(layer, 1, "z_c", "gate_c")
    yield """
        forgotten = Mul (gate_f, c)
        added = Mul (gate_i, gate_c)
        c_cell = Add (forgotten, added)
        c_next = Where (active, c_cell, c)
        peep_o = Mul (P_o, c_cell)
        sum_o = Add (z_o, peep_o)
"""
    yield _gate(layer, 0, "sum_o", "gate_o")
    yield _activation(layer, 2, "c_cell", "c_active")
    yield "        h_cell = Mul (gate_o, c_active)\n"


def _gru(layer: Layer, form: Form) -> Iterator[str]:
    yield "        x_z, x_r, x_h = Split <axis: int = -1, num_outputs: int = 3> (z_x)\n"
    if layer.reset_first:
        yield "        h_z, h_r = Split <axis: int = -1, num_outputs: int = 2> (z_h)\n"
    else:
        yield "        h_z, h_r, h_h = Split <axis: int = -1, num_outputs: int = 3> (z_h)\n"
    yield "        sum_z = Add (x_z, h_z)\n        sum_r = Add (x_r, h_r)\n"
    yield _gate(layer, 0, "sum_z", "gate_z")
    yield _gate(layer, 0, "sum_r", "gate_r")
    if layer.reset_first:
        yield "        reset = Mul (gate_r, h)\n"
        yield _product(form, "r", "reset")
        yield "        sum_h = Add (x_h, z_r)\n"
    else:
        yield "        reset = Mul (gate_r, h_h)\n        sum_h = Add (x_h, reset)\n"
    yield _gate(layer, 1, "sum_h", "gate_h")
    yield """
        update = Sub (one, gate_z)
        fresh = Mul (update, gate_h)
        old = Mul (gate_z, h)
        h_cell = Add (fresh, old)
"""


def _rnn(layer: Layer, form: Form) -> Iterator[str]:
    yield "        z = Add (z_x, z_h)\n"
    yield _gate(layer, 0, "z", "h_cell")


def _gate(layer: Layer, activation: int, value: str, result: str) -> str:
    """Clip, then activate."""
    clipped = f"        {value}_clipped = Clip ({value}, clip_low, clip)\n"
    return clipped + _activation(layer, activation, f"{value}_clipped", result)


def _activation(layer: Layer, number: int, x: str, y: str) -> str:
    a, b = f"alpha_{number}", f"beta_{number}"
    lines = {
        "Relu": f"{y} = Relu ({x})",
        "Tanh": f"{y} = Tanh ({x})",
        "Sigmoid": f"{y} = Sigmoid ({x})",
        "Softsign": f"{y} = Softsign ({x})",
        "Softplus": f"{y} = Softplus ({x})",
        "Affine": f"{y}_1 = Mul ({x}, {a})\n{y} = Add ({y}_1, {b})",
        "ScaledTanh": f"{y}_1 = Mul ({x}, {b})\n{y}_2 = Tanh ({y}_1)\n{y} = Mul ({y}_2, {a})",
        "HardSigmoid": f"{y}_1 = Mul ({x}, {a})\n{y}_2 = Add ({y}_1, {b})\n{y} = Clip ({y}_2, nothing, one)",
        "LeakyRelu": f"{y}_1 = Mul ({x}, {a})\n{y}_2 = Less ({x}, nothing)\n{y} = Where ({y}_2, {y}_1, {x})",
        "ThresholdedRelu": f"{y}_1 = Greater ({x}, {a})\n{y} = Where ({y}_1, {x}, nothing)",
        "Elu": (
            f"{y}_1 = Exp ({x})\n{y}_2 = Sub ({y}_1, one)\n{y}_3 = Mul ({y}_2, {a})\n{y}_4 = Less ({x}, nothing)\n"
            f"{y} = Where ({y}_4, {y}_3, {x})"
        ),
    }
    return lines[layer.activations.names[number]] + "\n"


def _results(layer: Layer, form: Form) -> Iterator[str]:
    """The outputs: what was stacked in the order of the steps goes to the order of time, which reversing twice is."""
    yield """
    timely = Gather <axis: int = 0> (ordered_y, times)
    Y = Unsqueeze (timely, row_axis)
    Y_h = Unsqueeze (last_h, direction_axis)
"""
    if layer.kind == "LSTM":
        yield "    Y_c = Unsqueeze (last_c, direction_axis)\n"
    for name in _scanned(layer, form):
        yield f"    {name} = Gather <axis: int = 0> (ordered_{name}, times)\n"
    for s in layer.operands:
        if form == "reuse":
            yield f"    present_index_{s} = Identity (last_index_{s})\n"
            yield f"    present_linear_{s} = Identity (last_linear_{s}_kept)\n"
        elif form == "replay":
            yield f"    linear_{s} = Identity (last_linear_{s}_kept)\n"
