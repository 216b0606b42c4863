"""Which class of ours takes the place of which of torch's, and why a layer must stay as it is."""

from __future__ import annotations

import copyreg
import dis
import inspect
import itertools
import types
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch.nn.utils.parametrize import is_parametrized

from elman.nn._standin import StandIn, class_name
from elman.nn.linear import Linear
from elman.nn.paths.choice import FUSED_DTYPES
from elman.nn.torch_cells import GRUCell, LSTMCell, RNNCell
from elman.nn.torch_layers import GRU, LSTM, RNN

REPLACEMENTS: dict[type[torch.nn.Module], type[StandIn]] = {
    torch.nn.LSTM: LSTM,
    torch.nn.GRU: GRU,
    torch.nn.RNN: RNN,
    torch.nn.LSTMCell: LSTMCell,
    torch.nn.GRUCell: GRUCell,
    torch.nn.RNNCell: RNNCell,
}
RECURRENT = (torch.nn.RNNBase, torch.nn.RNNCellBase)
_NAMES = frozenset(kind.__name__ for kind in REPLACEMENTS)
# What torch's forward calls and ours does not, and what a pickle or a copy of a class made here must go through.
_ITS_OWN = frozenset({
    "check_input", "check_forward_args", "check_hidden_size", "get_expected_hidden_size", "get_expected_cell_size",
    "permute_hidden", "__reduce__", "__reduce_ex__", "__deepcopy__",
})  # fmt: skip


def replacement(kind: type[torch.nn.Module]) -> type[torch.nn.Module]:
    """The class to take for a layer of exactly this class, which has no `class_obstacle`.

    For a subclass, a class that stands between it and torch's: where its forward calls the one above, it finds ours.
    Raises TypeError where Python cannot make one.
    """
    if kind in REPLACEMENTS:
        return REPLACEMENTS[kind]
    for known in kind.__subclasses__():
        if vars(known).get("_stands_for") is kind:
            return known
    names = {name: getattr(kind, name) for name in ("__module__", "__qualname__", "__doc__")}
    names |= {"_stands_for": kind, "__reduce_ex__": _reduce}
    ours = REPLACEMENTS[torch_class(kind)]
    made: type[torch.nn.Module] = types.new_class(kind.__name__, (kind, ours), {}, lambda space: space.update(names))
    return made


def original(kind: type[torch.nn.Module]) -> type[torch.nn.Module] | None:
    """The class whose place this one took; None where it took none."""
    pairs: list[tuple[type[torch.nn.Module], type[StandIn]]] = [*REPLACEMENTS.items(), (torch.nn.Linear, Linear)]
    found: Any = vars(kind).get("_stands_for")
    return next((theirs for theirs, ours in pairs if kind is ours), found)


def torch_class(kind: type) -> Any:
    """The class of torch's that this one is or derives from; None where there is none of ours for it."""
    return next((base for base in kind.__mro__ if base in REPLACEMENTS), None)


def _reduce(self: Any, protocol: int) -> Any:
    """A class made here has no place to be imported from: a pickle names the class that it stands for."""
    state: tuple[Any, ...] = object.__reduce_ex__(self, max(protocol, 2))[2:]  # type: ignore[assignment]
    return _empty, (self._stands_for,), *state


def _empty(kind: type[torch.nn.Module]) -> Any:
    """A layer without a state, of the class that takes this one's place."""
    return copyreg.__newobj__(kind if class_obstacle(kind) else replacement(kind))  # type: ignore[attr-defined]


def obstacle(module: torch.nn.Module) -> str:
    """Why a recurrent module must stay as it is, or nothing (for any other module too)."""
    kind = type(module)
    if not isinstance(module, RECURRENT):
        return _foreign(module)
    if is_parametrized(module):
        return "its parameters are parametrised"
    if "forward" in vars(module):
        return "its forward has been replaced"
    if reason := class_obstacle(kind) or _clash(vars(module), torch_class(kind)):
        return reason
    parameter = next(module.parameters())
    if parameter.device.type != "cpu":
        return f"it is on {parameter.device}"
    if parameter.dtype not in FUSED_DTYPES:
        return f"its element type is {parameter.dtype}"
    return ""


def _foreign(module: torch.nn.Module) -> str:
    """Why a module of other tools that computes one of torch's layers stays, or nothing."""
    if isinstance(module, torch.jit.ScriptModule) and module.original_name in _NAMES:
        return "it is scripted"
    if "quantized" in type(module).__module__ and type(module).__name__ in _NAMES:
        return "it is quantised"
    return ""


def class_obstacle(kind: type[torch.nn.Module]) -> str:
    """Why layers of a class must stay as they are, or nothing."""
    base = torch_class(kind)
    if base is None:
        return "it derives from none of torch's layers"
    for theirs in kind.__mro__[: kind.__mro__.index(base)]:
        own = vars(theirs)
        codes = [code for member in own.values() for code in _codes(member)]
        if reason := _clash({*own, *_attributes_set(codes)}, base):
            return reason
        if "forward" in own and (reason := _does_not_end(codes, base)):
            return reason
    try:
        replacement(kind)
    except TypeError as error:
        return f"Python makes no class from it and ours: {error}"
    return ""


def _clash(own: Iterable[str], base: type[torch.nn.Module]) -> str:
    """Why the names of a class or of a layer do not go together with ours, or nothing."""
    ours = REPLACEMENTS[base].__mro__
    names = {name for kind in ours[: ours.index(base)] for name in vars(kind) if not name.startswith("__")}
    found = sorted((names - {"forward", "extra_repr"} | _ITS_OWN).intersection(own))
    return f"it has {found[0]!r} of its own" if found else ""


def _does_not_end(codes: Sequence[types.CodeType], base: type[torch.nn.Module]) -> str:
    """Why the forward of a class with these functions does not end in the one above, or nothing."""
    if any(_calls_above(code) for code in codes):
        return ""
    if any({"forward", name} <= {*code.co_names} for code in codes for name in (base.__name__, "RNNBase")):
        return f"its forward calls {class_name(base)}.forward by name; super().forward would find ours"
    return "its forward does not call super().forward"


def _codes(member: Any) -> Iterator[types.CodeType]:
    """The code of a function, decorated or not, and of those that are made inside."""
    code = member if isinstance(member, types.CodeType) else getattr(inspect.unwrap(member), "__code__", None)
    if isinstance(code, types.CodeType):
        yield code
        yield from itertools.chain.from_iterable(_codes(c) for c in code.co_consts if isinstance(c, types.CodeType))


def _attributes_set(codes: Sequence[types.CodeType]) -> set[str]:
    """What the functions of a class, `__init__` among them, write to their objects."""
    return {i.argval for code in codes for i in dis.get_instructions(code) if i.opname == "STORE_ATTR"}


def _calls_above(code: types.CodeType) -> bool:
    """Whether a function looks up super().forward."""
    waiting = False
    for instruction in dis.get_instructions(code):
        if instruction.opname == "LOAD_GLOBAL" and instruction.argval == "super":
            waiting = True
        elif waiting and instruction.opname in ("LOAD_METHOD", "LOAD_ATTR", "LOAD_SUPER_ATTR", "LOAD_SUPER_METHOD"):
            if instruction.argval == "forward":
                return True
            waiting = False
    return False
