"""Operators of ONNX by what executes them."""

__all__ = ["ALIASES", "BINARY", "FUNCTIONS", "POOLS"]

ALIASES = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout")
FUNCTIONS = (
    "Abs",
    "Atan",
    "Clip",
    "Elu",
    "Erf",
    "Exp",
    "HardSigmoid",
    "LeakyRelu",
    "Log",
    "Neg",
    "Reciprocal",
    "Relu",
    "Sigmoid",
    "Softplus",
    "Sqrt",
    "Tanh",
)
BINARY = ("Add", "Div", "Max", "Min", "Mul", "Sub")
POOLS = ("AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool")
