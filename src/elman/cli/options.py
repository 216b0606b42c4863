"""How options look in help: a default is shown where it tells something."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass, replace
from typing import Annotated, Any, get_type_hints

import docstring_parser
from tyro.conf import arg
from tyro.constructors import ConstructorRegistry, StructConstructorSpec, StructFieldSpec, StructTypeInfo

_SILENT: tuple[object, ...] = (None, False, "", (), {})


def with_plain_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command whose own options show no default that says "nothing"."""
    hints = get_type_hints(command, include_extras=True)
    signature = inspect.signature(command)
    shown = [p.replace(annotation=_plain(hints[p.name], p.default)) for p in signature.parameters.values()]
    command.__annotations__ = {p.name: p.annotation for p in shown} | {"return": hints["return"]}
    command.__dict__["__signature__"] = signature.replace(parameters=shown)
    command.__dict__.pop("__wrapped__", None)  # or else what is wrapped would be looked at
    return command


def settings_registry() -> ConstructorRegistry:
    """How the fields of our frozen settings become options."""
    registry = ConstructorRegistry()
    registry.struct_rule(_settings)
    return registry


def _settings(info: StructTypeInfo) -> StructConstructorSpec | None:
    """The options of a settings class: a dataclass or a msgspec.Struct with documented attributes."""
    kind = info.type
    if not _is_settings(kind):
        return None
    default = info.default if isinstance(info.default, kind) else kind()
    help_ = _documented(kind)
    fields = [
        StructFieldSpec(name, _plain(hint, getattr(default, name)), getattr(default, name), help_.get(name))
        for name, hint in get_type_hints(kind, include_extras=True).items()
        if name in help_
    ]
    return StructConstructorSpec(kind, tuple(fields))


def _is_settings(kind: Any) -> bool:
    """Whether a class is one of ours; tyro has dataclasses of its own."""
    return kind.__module__.startswith("elman.") and (is_dataclass(kind) or hasattr(kind, "__struct_fields__"))


def _documented(kind: type) -> Mapping[str, str]:
    """The attributes that a class and its bases describe."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        described = docstring_parser.parse(base.__doc__ or "").params if base.__module__ != "builtins" else []
        found |= {one.arg_name: " ".join((one.description or "").split()) for one in described}
    return found


def _plain(hint: Any, default: object) -> Any:
    """The type of an option, with what is known about it, and silent about a default that says "nothing"."""
    if not any(default is silent or (default == silent and type(default) is type(silent)) for silent in _SILENT):
        return hint
    known = [note for note in getattr(hint, "__metadata__", ()) if hasattr(note, "help_behavior_hint")]
    note = replace(known[-1], help_behavior_hint="") if known else arg(help_behavior_hint="")
    return Annotated[hint, note]
