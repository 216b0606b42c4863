"""The room of tasks: one short file a task, and the registry by name (torch, once a task is asked for)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from elman.errors import ConfigError

if TYPE_CHECKING:
    from elman.tasks.task import Task

# Where each task lives; the command line names them all without loading torch.
REGISTRY = {"text": "elman.tasks.text:Text"}


def names() -> tuple[str, ...]:
    """The names of the tasks."""
    return tuple(REGISTRY)


def get(name: str) -> type[Task]:
    """The task of this name. Raises ConfigError for an unknown one."""
    if name not in REGISTRY:
        raise ConfigError(f"unknown task {name!r}; there are {', '.join(REGISTRY)}")
    module, _, found = REGISTRY[name].partition(":")
    task: type[Task] = getattr(import_module(module), found)
    return task
