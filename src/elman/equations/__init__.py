"""The algebra of recurrences: equations written as a Python function become the graph that all else is made from."""

from elman.equations.graph import Graph, Node, Parameter, Port
from elman.equations.language.cell import Cell, cell, from_graph
from elman.equations.language.functions import (
    abs,
    block_diagonal,
    cos,
    dot,
    exp,
    floor,
    layer_norm,
    log,
    maximum,
    mean,
    minimum,
    mod,
    relu,
    round,
    shift,
    sigmoid,
    sin,
    softmax,
    softplus,
    sqrt,
    step,
    straight_through,
    sum,
    tanh,
    where,
)
from elman.errors import EquationError

__all__ = [
    "Cell", "EquationError", "Graph", "Node", "Parameter", "Port", "abs", "block_diagonal", "cell", "cos", "dot",
    "exp", "floor", "from_graph", "layer_norm", "log", "maximum", "mean", "minimum", "mod", "relu", "round",
    "shift", "sigmoid", "sin", "softmax", "softplus", "sqrt", "step", "straight_through", "sum", "tanh", "where",
]  # fmt: skip
