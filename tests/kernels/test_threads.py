"""Teams of threads: our own pool, an OpenMP runtime found in the process, forked children. A process for each case."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = ("threads_check.cc", "host/threads.cc", "host/openmp.cc", "host/pool.cc")


def run(program: Path, *arguments: str, **env: str) -> str:
    """The output of one case; fails with what the program said."""
    command = [str(program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **env})
    assert done.returncode == 0, f"exit status {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def checks(build) -> Path:
    return build(*SOURCES)


@pytest.fixture(scope="module")
def race_checks(build, tmp_path_factory) -> Path:
    """The same under the thread sanitizer, where compiler and kernel support it."""
    empty = tmp_path_factory.mktemp("sanitizer") / "empty.cc"
    empty.write_text("int main() {}\n")
    compiler = shutil.which("c++")
    program = empty.with_suffix("")
    for command in ([compiler, "-fsanitize=thread", str(empty), "-o", str(program)], [str(program)]):
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            pytest.skip("the thread sanitizer does not run here")
    return build(*SOURCES, flags=("-g", "-fsanitize=thread"))


@pytest.fixture(scope="module")
def libgomp(checks) -> str:
    """The path of the system's libgomp, as the compiler finds it."""
    command = [shutil.which("c++"), "-print-file-name=libgomp.so.1"]
    path = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    if not Path(path).is_absolute():
        pytest.skip("libgomp is not installed")
    return path


@pytest.mark.parametrize("case", ["own", "barrier", "concurrent", "forked"])
def test_own_pool(checks, case):
    run(checks, case)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["own", "barrier", "concurrent"])
def test_own_pool_has_no_race(race_checks, case):
    run(race_checks, case)


@pytest.mark.parametrize("levels", ["1", "4"])
def test_openmp_is_found_once_it_is_loaded(checks, libgomp, levels):
    run(checks, "openmp", libgomp, OMP_MAX_ACTIVE_LEVELS=levels)


def test_torchs_openmp_is_preferred(checks, libgomp, tmp_path):
    torchs = tmp_path / "torch" / "lib" / "libgomp-24e2ab19.so.1"
    torchs.parent.mkdir(parents=True)
    shutil.copy(libgomp, torchs)
    run(checks, "torchs", libgomp, str(torchs))


def test_the_runtime_that_torch_brings_is_found(checks):
    spec = importlib.util.find_spec("torch")
    libraries = [] if spec is None else list(Path(str(spec.origin)).parent.glob("lib/lib*omp*.so*"))
    runtimes = [path for path in libraries if path.name.startswith(("libgomp", "libiomp5", "libomp"))]
    if not runtimes:
        pytest.skip("torch is not installed, or brings no OpenMP runtime")
    run(checks, "openmp", str(runtimes[0]))


def test_a_runtime_under_a_hashed_name_is_found(checks, libgomp, tmp_path):
    hashed = tmp_path / "libgomp-24e2ab19.so.1.0.0"
    shutil.copy(libgomp, hashed)
    run(checks, "openmp", str(hashed))


@pytest.mark.parametrize(
    ("value", "threads"),
    [("3", 3), ("1", 1), ("0", 0), ("-2", 0), ("two", 0), ("4 ", 0), ("99999999999999999999", 0)],
)
def test_number_of_threads_by_the_environment(checks, value, threads):
    assert int(run(checks, "default", ELMAN_NUM_THREADS=value)) == threads


def test_number_of_threads_by_the_cores_that_may_be_used(checks):
    cores = len(os.sched_getaffinity(0))
    assert int(run(checks, "default", ELMAN_NUM_THREADS="")) == cores
    unset = {name: value for name, value in os.environ.items() if name != "ELMAN_NUM_THREADS"}
    assert (
        int(subprocess.run([checks, "default"], capture_output=True, text=True, check=True, env=unset).stdout) == cores
    )
