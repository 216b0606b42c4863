"""Torch's layers in ONNX Runtime: one LSTM, GRU or RNN node with the same weights, built by hand.

Reference: ONNX operators LSTM, GRU and RNN, opset 14; gates in the order i o f c and z r h.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, ValueInfoProto, helper, numpy_helper

Array = NDArray[np.float32]

_ORDER = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}  # torch's gates in ONNX's order
_STATES = {"LSTM": ("h", "c"), "GRU": ("h",), "RNN": ("h",)}


class OnnxLayer:
    """A layer of torch's, one direction, as a session.

    Args:
        module: where the weights come from.
        threads: of the session.
        states: whether a call takes and gives the states, rather than starting at zero.
    """

    def __init__(self, module: torch.nn.RNNBase, threads: int, states: bool = False) -> None:
        self.states = _STATES[module.mode.partition("_")[0]] if states else ()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        # Between its runs its threads must not hold the cores that the other side is measured on.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._session = onnxruntime.InferenceSession(
            _model(module, self.states).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, x: Array, states: Sequence[Array] = ()) -> tuple[Array, list[Array]]:
        """Output [T, B, H] and the new states [1, B, H] of input [T, B, D]."""
        given = {f"{name}_0": state for name, state in zip(self.states, states, strict=True)}
        output, *after = self._session.run(None, {"x": x, **given})
        return output, after


def _model(module: torch.nn.RNNBase, states: Sequence[str]) -> ModelProto:
    kind = module.mode.partition("_")[0]
    weights = _weights(module, _ORDER[kind])
    node = helper.make_node(
        kind,
        ["x", "W", "R", "B", "", *(f"{name}_0" for name in states)],
        ["Y", *(f"{name}_n" for name in states)],
        hidden_size=module.hidden_size,
    )
    if kind == "GRU":
        node.attribute.append(helper.make_attribute("linear_before_reset", 1))
    squeeze = helper.make_node("Squeeze", ["Y", "axis"], ["y"])  # the axis of directions
    batch_state = (1, "B", module.hidden_size)
    graph = helper.make_graph(
        [node, squeeze],
        kind,
        [_value("x", ("T", "B", module.input_size)), *(_value(f"{name}_0", batch_state) for name in states)],
        [_value("y", ("T", "B", module.hidden_size)), *(_value(f"{name}_n", batch_state) for name in states)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)


def _value(name: str, shape: Sequence[int | str]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _weights(module: torch.nn.RNNBase, order: Sequence[int]) -> dict[str, NDArray[np.generic]]:
    def ordered(name: str) -> Array:
        gates = getattr(module, name).detach().numpy().reshape(len(order), module.hidden_size, -1)
        stacked: Array = gates[list(order)].reshape(1, len(order) * module.hidden_size, -1)
        return stacked

    biases = np.concatenate([ordered("bias_ih_l0"), ordered("bias_hh_l0")], axis=1)[..., 0]
    return {"W": ordered("weight_ih_l0"), "R": ordered("weight_hh_l0"), "B": biases, "axis": np.array([1], np.int64)}
