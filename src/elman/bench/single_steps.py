"""One sequence: many steps in a call ("infer"), and a call for each step ("stream").

The input is one number wide, as in audio and control, so that the weights which every step reads are U.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from elman import cells as built_in
from elman.bench.contest import Array, Contest, Results, Side
from elman.bench.layers import GATES, Peers, onnx_side, operations, pair_of_layers
from elman.bench.rows import Case
from elman.bench.sweep import Sweep
from elman.bench.torch_sides import side
from elman.formats.model_file import LayerSpec, ModelFile
from elman.interchange.torch import of_layer, to_cell, torch_layout
from elman.runtime.model import Model

Step = Callable[[Array], Array]

_COMPARED = 20  # steps of a stream whose outputs are compared


def cases(options: Sweep) -> list[Case]:
    """A long sequence, and single steps."""
    found = options.cases(
        "steps",
        cells=tuple(GATES),
        modes=("infer", "stream"),
        hidden=(128,) if options.quick else (32, 128, 512),
        batch=(1,),
        steps=1000,
    )
    return [case if case.mode == "infer" else replace(case, steps=1) for case in found]


def prepare(case: Case, peers: Sequence[str]) -> Contest:
    """The same weights in torch's layer, in ours, and in a model of the runtime."""
    theirs, ours = pair_of_layers(case, 1)
    x = torch.randn(case.steps if case.mode == "infer" else _COMPARED, case.batch, 1)
    sides: Peers = {}
    if case.mode == "infer":
        own = side(ours, lambda: ours(x)[0], case)
        if "torch" in peers:
            sides["torch"] = lambda: side(theirs, lambda: theirs(x)[0], case)
        if "onnxruntime" in peers:
            sides["onnxruntime"] = lambda: onnx_side(theirs, x, case)
    else:
        own = _stepped(_runtime(theirs, case), x, case)
        if "torch" in peers:
            sides["torch"] = lambda: _stepped(_torch(theirs), x, case)
        if "onnxruntime" in peers:
            sides["onnxruntime"] = lambda: replace(_stepped(_onnx(theirs, case), x, case), own_threads=case.threads > 1)
    weights = GATES[case.cell] * case.hidden_size**2 * x.element_size()
    return Contest(case, own, sides, operations(case, "infer", 1, case.steps * case.batch), bytes_read=weights)


def _stepped(begin: Callable[[], Step], x: torch.Tensor, case: Case) -> Side:
    """A side that advances a stream by one step, again and again on the same input.

    Args:
        begin: begins anew, and gives what advances by a step of input [1, B, D].
    """
    inputs = list(x.unsqueeze(1).numpy())
    advance, first = begin(), inputs[0]

    def results() -> Results:
        anew = begin()
        return {"output": np.stack([anew(row).reshape(case.batch, case.hidden_size) for row in inputs])}

    return Side(lambda: advance(first), case.batch, results)


def _runtime(weights: torch.nn.RNNBase, case: Case) -> Callable[[], Step]:
    model = Model(_model_file(weights, case.cell))

    def begin() -> Step:
        stream = model.stream(case.batch, threads=case.threads)
        return lambda x: stream.step(x[0])

    return begin


def _model_file(module: torch.nn.RNNBase, cell: str) -> ModelFile:
    """Torch's weights as a model of one layer."""
    graph = built_in.get(cell).graph
    size = module.hidden_size
    weights = {name: parameter.detach().numpy() for name, parameter in module.named_parameters()}
    tensors = to_cell(torch_layout(module.mode), of_layer(weights), size)
    spec = LayerSpec(graph.hash, {"D": module.input_size, "H": size})
    named = {f"layers.0.{name}": tensor for name, tensor in tensors.items()}
    return ModelFile({graph.hash: graph}, ((spec,),), None, None, named)


def _torch(module: torch.nn.RNNBase) -> Callable[[], Step]:
    def begin() -> Step:
        state = None

        def step(x: Array) -> Array:
            nonlocal state
            with torch.inference_mode():
                output, state = module(torch.from_numpy(x), state)
            found: Array = output.numpy()
            return found

        return step

    return begin


def _onnx(module: torch.nn.RNNBase, case: Case) -> Callable[[], Step]:
    from elman.bench.onnx_peer import OnnxLayer

    layer = OnnxLayer(module, case.threads, states=True)

    def begin() -> Step:
        states = [np.zeros((1, case.batch, case.hidden_size), np.float32) for _ in layer.states]

        def step(x: Array) -> Array:
            nonlocal states
            output, states = layer(x, states)
            return output

        return step

    return begin
