"""Sequences from models: greedy, sampling, beam and exact search over anything that steps, without torch."""

from __future__ import annotations

from elman.decode.constraints.constraint import Constraint
from elman.decode.constraints.grammar import Grammar
from elman.decode.constraints.kinds import Allowed, Infix, Lexicon, Prefix, Regex, Utf8
from elman.decode.decoding import Decoding, decode, sample
from elman.decode.fusion import Fusion
from elman.decode.model import ModelStepper
from elman.decode.options import Options
from elman.decode.rankers import Rank, UserRank
from elman.decode.results import Carried, Output, Reason, Result
from elman.decode.roles import Hypotheses, Ranker, Stepper, StepperState
from elman.decode.scoring import Scorer, score
from elman.decode.search.draw import Decided
from elman.decode.search.tree import Tree, TreeNode
from elman.decode.spelling import Spelling
from elman.decode.steppers import CallableStepper, TableStepper
from elman.decode.text_stream import TextStream

__all__ = [
    "Allowed", "CallableStepper", "Carried", "Constraint", "Decided", "Decoding", "Fusion", "Grammar", "Hypotheses",
    "Infix", "Lexicon", "ModelStepper", "Options", "Output", "Prefix", "Rank", "Ranker", "Reason", "Regex", "Result",
    "Scorer", "Spelling", "Stepper", "StepperState", "TableStepper", "TextStream", "Tree", "TreeNode", "UserRank",
    "Utf8", "decode", "sample", "score",
]  # fmt: skip
