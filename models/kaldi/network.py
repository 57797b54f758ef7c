"""Kaldi, the acoustic network of the paper: six FC layers and four p-norms from nine frames of speech to 3,482 states.

The layers are those of the p-norm networks of Zhang et al., "Improving Deep Neural Network Acoustic Models Using Generalized
Maxout Networks" (ICASSP 2014), in the sizes that the paper's 4.7 M parameters belong to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from reuse_compiler.models.network_graph import NetworkGraph, Weights, check_weights, float_value

__all__ = [
    "FC_LAYERS",
    "GROUP",
    "INPUT_SHAPE",
    "MACS",
    "OPSET",
    "PARAMETERS",
    "FcLayer",
    "build",
    "initial_weights",
    "weight_shapes",
]

OPSET = 20
INPUT_SHAPE = (1, 360)
PARAMETERS = 4_654_242
MACS = 4_642_400
GROUP = 5
"""Values that one p-norm takes, p = 2."""


@dataclass(frozen=True)
class FcLayer:
    """A fully connected layer, and whether p-norms of groups of `GROUP` stand behind it."""

    name: str
    in_features: int
    out_features: int
    norm: bool


FC_LAYERS = (
    FcLayer("fc1", 360, 360, False),
    FcLayer("fc2", 360, 2000, True),
    FcLayer("fc3", 400, 2000, True),
    FcLayer("fc4", 400, 2000, True),
    FcLayer("fc5", 400, 2000, True),
    FcLayer("fc6", 400, 3482, False),
)


def weight_shapes() -> dict[str, tuple[int, ...]]:
    """Shape of every trained tensor by name: weights input-major [K, N], biases [N]."""
    shapes: dict[str, tuple[int, ...]] = {}
    for fc in FC_LAYERS:
        shapes[f"{fc.name}.weight"] = (fc.in_features, fc.out_features)
        shapes[f"{fc.name}.bias"] = (fc.out_features,)
    return shapes


def initial_weights(seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Untrained weights from a seed: deviation 1 behind every FC layer, biases zero; float32, shapes of `weight_shapes`."""
    rng = np.random.default_rng(seed)
    weights: dict[str, NDArray[np.float32]] = {}
    behind_norm = False
    for fc in FC_LAYERS:
        energy = fc.in_features * (GROUP if behind_norm else 1)
        shape = (fc.in_features, fc.out_features)
        weights[f"{fc.name}.weight"] = rng.standard_normal(shape, np.float32) * np.float32(1 / math.sqrt(energy))
        weights[f"{fc.name}.bias"] = np.zeros(fc.out_features, np.float32)
        behind_norm = fc.norm
    return weights


def build(weights: Weights | None = None) -> ir.Model:
    """The network as an ONNX model of batch 1, its weights stored as float16 and cast to float32 before use.

    Parameters
    ----------
    weights : mapping of str to float32 array, optional
        Every tensor of `weight_shapes` by name; `initial_weights()` by default. They are rounded to float16.

    Returns
    -------
    onnx_ir.Model
        Input ``features`` float32 [1, 360], nine frames of 40 log-mel values, the earliest first; output ``scores`` float32
        [1, 3482], the states' logits.

    Raises
    ------
    ModelError
        If a tensor is missing, is not known, or has another shape.
    """
    weights = initial_weights() if weights is None else weights
    check_weights(weights, weight_shapes())
    network = NetworkGraph("kaldi", OPSET, np.float16)
    groups, axis = network.integers("groups", [1, -1, GROUP]), network.integers("axis", [2])
    wide = {name: network.weight(name, weights[name]) for name in weight_shapes()}
    features = x = float_value("features", INPUT_SHAPE)
    for fc in FC_LAYERS:
        parts = [x, wide[f"{fc.name}.weight"], wide[f"{fc.name}.bias"]]
        x = network.node("Gemm", fc.name, parts, (1, fc.out_features))
        if fc.norm:
            count = fc.out_features // GROUP
            x = network.node("Reshape", f"{fc.name}_groups", [x, groups], (1, count, GROUP))
            x = network.node("ReduceL2", f"{fc.name}_pnorm", [x, axis], (1, count), {"keepdims": 0})
    return network.model(features, x, "scores")
