"""Every exception that Elman raises on purpose.

A message says what was expected, what came, and the likely fix:
``lstm: U must be [4*H, H] = [256, 64], got [64, 256]; transposed?``
Settings stand in backticks, `learning_rate`; the command line makes options of them.
"""

from __future__ import annotations


class ElmanError(Exception):
    """The root: ``except ElmanError`` catches whatever Elman refuses."""


class EquationError(ElmanError):
    """A cell's equations are refused; the message names the line and the cure."""


class ShapeError(ElmanError, ValueError):
    """An array does not have the shape that the cell or the layer needs."""


class DtypeError(ElmanError, TypeError):
    """An array does not have an element type that can be computed with."""


class FormatError(ElmanError):
    """A file cannot be read as what it should be."""


class DataError(ElmanError):
    """The user's data cannot be used: missing, empty, not UTF-8, an unknown character."""


class ConfigError(ElmanError):
    """Settings that are unknown, out of range, or contradict one another."""


class UsageError(ElmanError):
    """A command line asks for no command, or for what no command knows."""


class TrainingDiverged(ElmanError):
    """The loss is no number any more."""


class SaveError(ElmanError):
    """A run cannot be written down: the disk is full, or its folder is gone; the message says what is lost."""


class KernelError(ElmanError):
    """The compiled kernels cannot do what was asked, or cannot be loaded."""
