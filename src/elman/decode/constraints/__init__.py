"""What a text must be: regular expressions, grammars, lexicons, forced parts; values first, then automata in force."""

from __future__ import annotations

from elman.decode.constraints.grammar import Grammar
from elman.decode.constraints.kinds import Allowed, Infix, Lexicon, Prefix, Regex, Utf8

__all__ = ["Allowed", "Grammar", "Infix", "Lexicon", "Prefix", "Regex", "Utf8"]
