"""Equations as plain data: the graph of one step, what every graph must be, and how one is read and grown."""

from elman.equations.graph.graph import (
    FORMAT,
    LEAVES,
    PRODUCTS,
    RESERVED,
    SCALAR,
    Constant,
    Graph,
    Kind,
    Node,
    Parameter,
    Port,
    Value,
    is_name,
    is_size,
    live,
    only,
)

__all__ = [
    "FORMAT", "LEAVES", "PRODUCTS", "RESERVED", "SCALAR", "Constant", "Graph", "Kind", "Node", "Parameter", "Port",
    "Value", "is_name", "is_size", "live", "only",
]  # fmt: skip
