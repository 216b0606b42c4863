"""Whatever way a weight is changed, the next call uses what it is now, with and without gradients."""

from __future__ import annotations

import copy

import pytest
import torch

import elman.nn
from tests.conformance.cases import CELLS, draw_inputs, draw_state, layer

T, B, D, H = 3, 4, 5, 8


def adam(**options):
    def change(module):
        optimiser = torch.optim.Adam(module.parameters(), lr=0.1, **options)
        for parameter in module.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimiser.step()
        for parameter in module.parameters():
            parameter.grad = None

    return change


def sgd(module):
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1, foreach=True)
    for parameter in module.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimiser.step()


def data_write(module):
    for parameter in module.parameters():
        parameter.data.mul_(0.5)


def data_element(module):
    next(module.parameters()).data.view(-1)[-1] += 1


def data_exchange(module):
    for parameter in module.parameters():
        parameter.data = parameter.data * 0.5


def numpy_write(module):
    for parameter in module.parameters():
        parameter.detach().numpy()[...] *= 0.5


def numpy_element(module):
    next(module.parameters()).detach().numpy().reshape(-1)[-1] += 1


def copied(module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(parameter * 0.5)


def in_inference_mode(module):
    with torch.inference_mode():
        for parameter in module.parameters():
            parameter.mul_(0.5)


def loaded(module):
    module.load_state_dict({name: v * 0.5 if torch.is_tensor(v) else v for name, v in module.state_dict().items()})


def assigned(module):
    state = {name: v * 0.5 if torch.is_tensor(v) else v for name, v in module.state_dict().items()}
    module.load_state_dict(state, assign=True)


def replaced(module):
    for name, parameter in list(module.named_parameters()):
        setattr(module, name, torch.nn.Parameter(parameter.detach() * 0.5))


def there_and_back(module):
    """The same place and another content, as a freed and reused allocation has it."""
    before = [p.detach().clone() for p in module.parameters()]
    copied(module)
    call(module)
    with torch.no_grad():
        for parameter, value in zip(module.parameters(), before, strict=True):
            parameter.copy_(value)
    data_element(module)


CHANGES = {
    "Adam": adam(), "fused Adam": adam(fused=True), "foreach Adam": adam(foreach=True), "foreach SGD": sgd,
    "data": data_write, "data, one element": data_element, "another data": data_exchange, "numpy": numpy_write,
    "numpy, one element": numpy_element, "copy": copied, "inference mode": in_inference_mode, "load": loaded,
    "load, assigned": assigned, "another parameter": replaced, "there and back": there_and_back,
}  # fmt: skip
MODULES = {
    "lstm": lambda: elman.nn.LSTM(D, H, num_layers=2),
    "gru": lambda: elman.nn.GRU(D, H, bidirectional=True),
    "rnn": lambda: elman.nn.RNN(D, H),
    "projected": lambda: elman.nn.LSTM(D, H, proj_size=3),
    **{
        name: lambda name=name: layer(CELLS[name], D, H)
        for name in ("layer_norm_lstm", "antisymmetric", "stages", "warm")
    },
}


def call(module):
    inputs = torch.linspace(-1, 1, T * B * D).reshape(T, B, D)
    return module(inputs)[0]


@pytest.mark.parametrize("grad", [True, False], ids=["grad", "no grad"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES.keys())
def test_a_change_is_seen(make, change, grad):
    torch.manual_seed(0)
    module = make()
    with torch.set_grad_enabled(grad):
        before = call(module).detach().clone()
        change(module)
        after = call(module).detach()
        fresh = call(copy.deepcopy(module)).detach()
    assert torch.equal(after, fresh)
    assert not torch.equal(after, before)


@pytest.mark.parametrize("name", ["lstm", "antisymmetric", "every_operation"])
def test_a_change_between_forward_and_backward_is_refused(name):
    """Torch's own rule for tensors that a gradient needs."""
    recurrent = layer(CELLS[name], D, H)
    (inputs,), state = draw_inputs(recurrent, T, B), draw_state(recurrent, B)
    output, _ = recurrent(inputs, state)
    with torch.no_grad():
        next(recurrent.parameters()).mul_(0.5)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()
