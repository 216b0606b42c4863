"""Wrong arguments of the extension are refused: none ends the process, which is a child's here."""

from __future__ import annotations

import subprocess
import sys

import pytest

# A place of every kind: right values to put wrong ones among. Memory is larger than anything asked of it.
SETTING = """
import random, re
import numpy as np
from elman import cells
from elman.kernels import Precision, Weight, Rows, StateMemory, Targets, engine_for, _kernels as k
from elman.kernels.encode import encode
from elman.sequences import lanes

memory = np.zeros(1 << 20)
HERE = memory.ctypes.data
rows, weight, state = Rows(HERE, 8), Weight(HERE, 8, 1), StateMemory(HERE, 8, HERE, HERE)
tokens = np.zeros(64, np.int64)
plan_arrays = (lambda p: (p.rows, p.segments, p.lanes))(lanes.dense(3, 2))
plan = k.Plan(*plan_arrays)
engine = engine_for(cells.get("lstm").graph, {"D": 3, "H": 5})
bound = engine.inference.whole
weights = {p.name: weight for p in engine.graph.parameters}
packed = bound.pack(weights)
kernel, panels = bound._kernel, packed.panels
code, values = encode(bound.program, bound.sizes, bound.recurrents, bound.befores)
names = [a.name for a in bound.program.arrays]
places = [*packed.vectors, *[rows for _ in bound._rows]]
views = [weight for _ in bound._matrices]
isa = k.default_isa()
CALLS = {
    "Weight": (k.Weight, [HERE, 8, 1]),
    "Rows": (k.Rows, [HERE, 8, 0]),
    "StateMemory": (k.StateMemory, [HERE, 8, 0, 0]),
    "Targets": (k.Targets, [HERE, -1, 0.1, 0]),
    "Plan": (k.Plan, list(plan_arrays)),
    "Kernel": (k.Kernel, [isa, code, values, names, 0]),
    "Kernel.pack": (kernel.pack, [views, 1]),
    "Kernel.fingerprint": (kernel.fingerprint, [views]),
    "Kernel.run": (kernel.run, [panels, places, [state, state], [], plan, 6, False, 2]),
    "Isa.outer": (isa.outer, [plan, rows, 0.0, 5, [(rows, 7, weight)], 0, 2]),
    "Isa.column_sum": (isa.column_sum, [rows, (3, 5), weight, False, 2]),
    "Isa.token_sum": (isa.token_sum, [rows, (3, 5), Rows(HERE, 8, tokens.ctypes.data), False, 2]),
    "Isa.cross_entropy": (isa.cross_entropy, [rows, (3, 5), Targets(tokens.ctypes.data, -1), HERE, False, 2]),
    "ceiling_compute": (k.ceiling_compute, [False, 1, 1]),
    "ceiling_read": (k.ceiling_read, [memory.view(np.uint8)[-HERE % 64:], 1024, 1, 1]),
    "poison": (k.poison, [False]),
}
REFUSALS = (TypeError, ValueError, MemoryError)

def refused(function, arguments):
    try:
        function(*arguments)
    except REFUSALS:
        return True
    return False
"""


def child(script: str) -> list[str]:
    """The lines of a program's output, which must end by itself and well."""
    command = [sys.executable, "-X", "faulthandler", "-c", SETTING + script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"status {done.returncode}: {done.stderr[-2000:]}"
    return done.stdout.splitlines()


def test_every_function_is_among_those_tried() -> None:
    lines = child("""
found = {name for name in dir(k) if callable(getattr(k, name)) and not name.startswith("_")}
found |= {f"{c}.{m}" for c in ("Kernel", "Isa") for m in dir(getattr(k, c)) if not m.startswith("_")}
without_arguments = {"available_isas", "default_isa", "isa_error", "team", "default_threads"}
print(*sorted(found ^ (set(CALLS) | without_arguments | {"Panels", "Isa", "Isa.name"})))
""")
    assert lines == [""]


def test_right_arguments_are_taken() -> None:
    assert child("print([name for name, (f, arguments) in CALLS.items() if refused(f, arguments)])") == ["[]"]


def test_each_argument_of_a_wrong_kind_is_refused() -> None:
    """None, texts, numbers out of range, lists of them, objects that were never made: one in each place in turn."""
    lines = child("""
class Odd:
    pass

unmade = [c.__new__(c) for c in (k.Kernel, k.Rows, k.Weight, k.StateMemory, k.Targets, k.Plan)]
wrong = [None, "a", b"a", Odd(), Odd, object(), 2 ** 70, -(2 ** 70), 1j, [None], ["a"], [[]], {}, (1,),
         [2 ** 70], np.zeros((2, 2), np.int32), *unmade]
three = (1, 2, 3), np.zeros(3)
wrong += three
# Any number will do; there may be no parts; constants may be any sequence of three.
fitting = {("Isa.outer", 2): (2 ** 70, -(2 ** 70)), ("Isa.outer", 4): ({},), ("Kernel", 2): three}
for name, (function, arguments) in CALLS.items():
    for place in range(len(arguments)):
        for value in wrong:
            tried = [*arguments[:place], value, *arguments[place + 1:]]
            fits = any(value is right or repr(value) == repr(right) for right in fitting.get((name, place), ()))
            if not fits and not refused(function, tried):
                print(name, place, repr(value)[:40])
    for count in range(len(arguments)):
        shorter = arguments[:count]
        optional = name in ("Weight", "Rows", "StateMemory", "Targets")
        if not optional and not refused(function, shorter):
            print(name, "with", count)
    if not refused(function, [*arguments, 1]):
        print(name, "with one more")
""")
    assert lines == []


@pytest.mark.parametrize("seed", range(3))
def test_random_arguments_end_no_process(seed: int) -> None:
    """Nothing here lies in memory, so that whatever is asked for must be seen to be missing."""
    lines = child(
        f"random.seed({seed})"
        + """
numbers = [-(2 ** 63), -(2 ** 31), -7, -1, 0, 1, 2, 3, 7, 2 ** 20, 2 ** 29, 2 ** 31 - 1, 2 ** 31, 2 ** 62, 2 ** 63]
empty = k.Plan(np.zeros(0, np.int32), np.zeros((0, 4), np.int32), np.zeros(1, np.int32))

def made(kind, numbers):
    try:
        return kind(*[random.choice(numbers) for _ in range(random.randrange(1, 4))])
    except REFUSALS:
        return None

def value():
    nowhere = [Rows(0, random.choice([0, 8])), Weight(0), StateMemory(), Targets(0, -1)]
    pair = (random.choice(numbers), random.choice(numbers))
    simple = [None, True, 0.5, "a", *pair, pair]
    kept = [kernel, panels, plan, empty, isa, packed.vectors]
    return random.choice([*nowhere, *simple, *kept])

def anything():
    return value() if random.random() < 0.6 else [value() for _ in range(random.randrange(12))]

taken = 0
for _ in range(20000):
    name = random.choice([n for n in CALLS if not n.startswith(("ceiling", "poison"))])
    function, arguments = CALLS[name]
    arguments = [anything() if random.random() < 0.4 else a for a in arguments]
    # Right places may not be read to a wrong number of rows: no address is right where a number is drawn.
    arguments = [Rows(0, a.stride) if a is rows else Weight(0) if a is weight else a for a in arguments]
    taken += not refused(function, arguments)
print(taken)
"""
    )
    assert int(lines[0]) > 0


def test_damaged_programs_are_refused_or_run() -> None:
    """Numbers of the encoding changed at random: what is let through stays inside memory of the right size."""
    lines = child("""
random.seed(0)
some = ("lstm", "gru", "layer_norm_lstm", "projected_lstm")
engines = [engine_for(cells.get(name).graph, {"D": 3, "H": 5, "P": 2}) for name in some]
programs = [b for e in engines for b in (e.inference.whole, e.training.whole, e.backward)]
ran = 0
for _ in range(6000):
    b = random.choice(programs)
    code, values = encode(b.program, b.sizes, b.recurrents, b.befores)
    for _ in range(random.choice([1, 1, 2, 4])):
        code[random.randrange(len(code))] = random.choice([-9, -3, -2, -1, 0, 1, 2, 3, 4, 5, 7, 9, 22])
    try:
        damaged = k.Kernel(isa, code, values, [a.name for a in b.program.arrays], 0)
        panels = damaged.pack([weight for _ in b._matrices], 1)
        places = [*[rows for _ in b._vectors], *[Rows(HERE, 64) for _ in b._rows]]
        count = [len(b.recurrents), len(b.befores)]
        damaged.run(panels, places, *[[StateMemory(HERE, 64, HERE, HERE)] * n for n in count], plan, 6, False, 1)
        ran += 1
    except REFUSALS:
        pass
print(ran)
""")
    assert 0 < int(lines[0]) < 6000


MESSAGES = [
    ("Rows(-1, 4)", "Rows: addresses and a stride that are not negative expected"),
    ("Rows(HERE, -4)", "Rows: addresses and a stride that are not negative expected"),
    ("Weight(HERE, -1)", "Weight: an address and strides that are not negative expected"),
    ("StateMemory(stride=-1)", "StateMemory: addresses and a stride that are not negative expected"),
    ("Targets(-1, 0)", "Targets: addresses that are not negative expected"),
    ("Targets(HERE, 0, 1.5)", "Targets: smoothing must be 0 to 1"),
    ("Targets(HERE, 0, float('nan'))", "Targets: smoothing must be 0 to 1"),
    ("isa.column_sum(Rows(0, 8), (1, 5), weight, False, 1)", "the rows have no memory"),
    ("isa.column_sum(rows, (-1, 5), weight, False, 1)", "the number of rows must be 0 or more"),
    ("isa.column_sum(rows, (1, 0), weight, False, 1)", "a size must be at least 1, and below 2 ** 29"),
    ("isa.column_sum(rows, (1, 5), Weight(0), False, 1)", "column_sum: the sum has no memory"),
    ("isa.column_sum(rows, (1, 5), weight, False, 0)", "threads must be at least 1"),
    ("isa.token_sum(rows, (1, 5), rows, False, 1)", "token_sum: rows by token expected, got rows by step"),
    ("isa.outer(plan, Rows(0, 8), 0.0, 5, [(rows, 7, weight)], 0, 1)", "outer: the source has no memory"),
    ("isa.outer(plan, rows, 0.0, 5, [(rows, 7, Weight(0))], 0, 1)", "outer: a part has no memory"),
    ("isa.outer(plan, rows, 0.0, 5, [(rows, 7, weight)], 3, 1)", "there is no such precision"),
    ("isa.cross_entropy(rows, (3, 5), Targets(0, -1), HERE, False, 1)", "targets or losses have no memory"),
    ("isa.cross_entropy(rows, (3, 5), Targets(seven, -1), HERE, False, 1)", "cross_entropy: a target is no class"),
    ("bound.run(packed, {}, plan, 6, 1)", "run: 'x (input, D)' has no memory"),
    ("bound.run(packed, ins, None, 6, 1)", "run: a program that goes from step to step needs a plan"),
    ("bound.run(packed, ins, plan, 5, 1)", "run: the plan has another number of steps"),
    ("bound.run(packed, ins, plan, 6, -2)", "threads must be at least 1"),
    ("bound.run(other.pack(weights), ins, plan, 6, 1)", "run: these panels were packed for another program"),
    ("bound.pack(dict.fromkeys(weights, Weight(0)))", "pack: a matrix has no memory"),
    ("kernel.pack(views[1:], 1)", "panels: one view is needed for each product"),
    ("kernel.fingerprint(views * 2)", "fingerprint: one view is needed for each product"),
    ("kernel.run(panels, places[1:], [state] * 2, [], plan, 6, False, 1)", "there are too few"),
    ("kernel.run(panels, places * 2, [state] * 2, [], plan, 6, False, 1)", "there are too many"),
    ("kernel.run(panels, places, [state], [], plan, 6, False, 1)", "run: memory is needed for each state"),
    ("k.Kernel(isa, code[:-1], values, names, 0)", "program: the encoding ends early"),
    ("k.Kernel(isa, [*code, 0], values, names, 0)", "program: the encoding is too long"),
    ("k.Kernel(isa, code, values, names[1:], 0)", "Kernel: one name is needed for each array"),
    ("k.Plan(np.array([0, 2], np.int32), *plan_arrays[1:])", "Plan: rows must be 0 to N - 1"),
    ("k.Plan(arange(5), *plan_arrays[1:])", "Plan: a segment leaves the rows"),
    ("k.Plan(*plan_arrays[:2], plan_arrays[2][:-1])", "Plan: lanes must rise from 0 to the number of segments"),
    ("k.Plan(arange(3), segments, np.array([0, 1, 2], np.int32))", "Plan: lanes must be sorted by falling load"),
    ("k.ceiling_read(np.zeros(4096, np.uint8)[1:], 1024, 1, 1)", "must begin on a multiple of 64 bytes"),
    ("CALLS['ceiling_read'][0](CALLS['ceiling_read'][1][0], 1024, 1, 10 ** 5)", "too small for so many threads"),
    ("k.ceiling_compute(False, -1, 1)", "rounds must be 0 or more"),
]


def test_messages() -> None:
    said = child(f"""
sevens = np.full(3, 7)
seven = sevens.ctypes.data
arange = lambda n: np.arange(n, dtype=np.int32)
segments = np.array([[0, 1, 0, 0], [1, 2, 1, 1]], np.int32)
ins = {{array: rows for array in bound._rows}}
gru = engine_for(cells.get("gru").graph, {{"D": 3, "H": 5}})
other = gru.inference.whole
weights |= {{p.name: weight for p in gru.graph.parameters}}
for call in {[call for call, _ in MESSAGES]!r}:
    try:
        eval(call)
        print("taken")
    except ValueError as error:
        print(error)
""")
    assert len(said) == len(MESSAGES)
    for (call, message), line in zip(MESSAGES, said, strict=True):
        assert message in line, call
