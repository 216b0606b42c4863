"""What our kernels leave as they found it: floating-point settings, the speed of others, and processes that fork."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest
import torch

from tests.conformance.cases import CELLS, draw_inputs, layer, run, same


def execute(script: str, **environment: str) -> str:
    """The output of a Python program, which must end by itself and well."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# Reads MXCSR with four bytes of machine code (stmxcsr [rdi]; ret), its status flags left out; and shows by arithmetic
# that subnormal numbers are there, in torch (on its team of threads too), numpy and Python.
CONTROL = """
import ctypes, mmap, platform, threading
import numpy, torch

def reader():
    if platform.machine() not in ("x86_64", "AMD64") or platform.system() != "Linux":
        return lambda: 0
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(bytes.fromhex("0fae1fc3"))
    function = ctypes.CFUNCTYPE(None, ctypes.POINTER(ctypes.c_uint))(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    def read(keep=code):
        word = ctypes.c_uint()
        function(ctypes.byref(word))
        return word.value & ~0x3F
    return read

read = reader()

def subnormals():
    tiny = torch.full((1_000_000,), 1e-40) * 0.5
    other = numpy.full(1000, 1e-40, numpy.float32) * numpy.float32(0.5)
    return bool((tiny != 0).all()) and bool((other != 0).all()) and 5e-324 * 1.0 != 0

def on_a_thread(function):
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]

torch.set_num_threads(2)
before = read()
assert subnormals()
"""


def test_control_word_and_subnormals():
    execute(
        CONTROL
        + """
import elman
import elman.nn
assert read() == before, "changed by the import"
layers = [elman.nn.Recurrent(name, 9, 65) for name in ("lstm", "layer_norm_lstm")] + [elman.nn.GRU(9, 65)]

def work():
    for layer in layers:
        for batch in (1, 40):
            x = torch.randn(7, batch, 9, requires_grad=True)
            layer(x)[0].sum().backward()
            with torch.no_grad():
                layer(x)
    return read(), subnormals()

assert work() == (before, True), "changed by a call"
assert on_a_thread(work) == (before, True), "changed on a thread of its own"
assert on_a_thread(lambda: (read(), subnormals())) == (before, True), "changed for threads made later"
assert (read(), subnormals()) == (before, True)
"""
    )


@pytest.mark.slow
def test_what_the_user_has_set_stays_set():
    """Flush-to-zero, where somebody wants it, is not taken away; and it changes no bit of ours."""
    execute(
        CONTROL
        + """
import elman.nn
layer = elman.nn.Recurrent("lstm", 9, 65)
x = torch.randn(7, 40, 9) * 1e-20
with torch.no_grad():
    expected = layer(x)[0]
assert torch.set_flush_denormal(True)
flushing = read()
with torch.no_grad():
    found = layer(x)[0]
assert read() == flushing
assert float(torch.tensor([1e-40]) * 0.5) == 0
torch.set_flush_denormal(False)
assert torch.equal(found, expected)
"""
    )


def test_torchs_team_is_ours():
    """A second pool of threads, spinning after each call, would be in torch's way: our calls start no thread at all."""
    execute(
        """
import os, sys, torch
import elman.nn
from elman.kernels import team

def threads():
    return len(os.listdir("/proc/self/task")) if sys.platform == "linux" else 0

torch.set_num_threads(2)
layers = [elman.nn.LSTM(64, 64), elman.nn.GRU(64, 64), elman.nn.Recurrent("layer_norm_lstm", 64, 64)]
x = torch.randn(5, 32, 64, requires_grad=True)
torch.tanh(torch.randn(300_000)) @ torch.randn(300_000)
torch.relu(torch.randn(4, 300_000, requires_grad=True)).sum().backward()  # torch's threads are there now
before = threads()
assert team().startswith("openmp:") and "/torch" in team(), team()
for layer in layers:
    layer(x)[0].sum().backward()
    with torch.no_grad():
        layer(x)
assert threads() == before, f"{threads() - before} more threads"
"""
    )


def test_many_threads_at_once():
    """Calls from several Python threads do not mix."""
    layers = [layer(CELLS[name], 7, 65) for name in ("lstm", "layer_norm_lstm", "stages", "readout")]
    inputs = [draw_inputs(recurrent, 9, 17) for recurrent in layers]
    expected = [run(recurrent, x) for recurrent, x in zip(layers, inputs, strict=True)]
    problems = []

    def work(k):
        try:
            torch.set_num_threads(2)
            for _ in range(20):
                same(run(layers[k % 4], inputs[k % 4]), expected[k % 4], k)
                x = inputs[k % 4][0].clone().requires_grad_()
                layers[k % 4](x)[0].sum().backward()
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(600)
        assert not thread.is_alive(), "a thread hangs"
    assert not problems, problems[0]


FORK = """
import hashlib, os, torch
import elman.nn

torch.set_num_threads(2)
torch.manual_seed(0)
layers = [elman.nn.Recurrent("lstm", 7, 65), elman.nn.GRU(7, 9, bidirectional=True)]
x = torch.randn(9, 17, 7)

def work():
    digest = hashlib.sha256()
    for layer in layers:
        layer.zero_grad()
        y, _ = layer(x)
        y.sum().backward()
        for tensor in (y, *(p.grad for p in layer.parameters())):
            digest.update(tensor.detach().numpy().tobytes())
    return digest.hexdigest()

def in_a_child(work):
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(send, work().encode())
        os._exit(0)
    os.close(send)
    with os.fdopen(receive) as stream:
        answer = stream.read()
    assert os.waitpid(child, 0)[1] == 0
    return answer

"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_works():
    """Before the parent has used threads, after, and a child's child; and the parent goes on."""
    execute(
        FORK
        + """
first = in_a_child(work)
here = work()
assert first == here
assert in_a_child(work) == here
assert in_a_child(lambda: in_a_child(work)) == here
assert work() == here
"""
    )


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_forking_pools_and_loaders_work():
    execute(
        FORK
        + """
import multiprocessing

class Features(torch.utils.data.Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, k):
        with torch.no_grad():
            return float(layers[0](x + k)[0].sum())

def digest(_):
    return work()

here = work()
alone = [Features()[k] for k in range(6)]
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(digest, range(4), chunksize=1) == [here] * 4
for persistent in (False, True):
    loader = torch.utils.data.DataLoader(
        Features(), batch_size=2, num_workers=2, multiprocessing_context="fork", persistent_workers=persistent
    )
    for _ in range(2):
        assert [value for batch in loader for value in batch.tolist()] == alone
        assert work() == here
"""
    )


@pytest.mark.slow
def test_no_compiler_is_asked_for(tmp_path):
    """A user's own cell is fast at once: nothing is generated, compiled or kept."""
    equations = "def mine(x, h, W, U, b):\n    h = tanh(W @ x + U @ h + b)\n    return h\n"
    (tmp_path / "mine.py").write_text(f"from elman import cell, tanh\n\n@cell(states='h')\n{equations}")
    script = f"""
import os, subprocess, sys
def refuse(*arguments, **options):
    raise AssertionError(f"a process is started: {{arguments}}")
import torch, elman.nn
sys.path.insert(0, {str(tmp_path)!r})
from mine import mine
subprocess.Popen = os.system = os.posix_spawn = os.fork = refuse
layer = elman.nn.Recurrent(mine, 7, 9)
x = torch.randn(3, 2, 7)
assert layer.path(x).name == "fused"
layer(x)[0].sum().backward()
"""
    nothing = tmp_path / "home"
    nothing.mkdir()
    execute(script, CC="/bin/false", CXX="/bin/false", HOME=str(nothing), PATH=str(nothing))
    assert list(nothing.iterdir()) == []
