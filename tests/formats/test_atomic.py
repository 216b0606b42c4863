import os
import signal
import stat
import subprocess
import sys
from contextlib import suppress

import pytest

from elman.formats.atomic import atomic_write, clear_leftovers


def write(path, data):
    with atomic_write(path) as file:
        file.write(data)


def test_the_file_is_there_and_nothing_else(tmp_path):
    write(tmp_path / "a", b"one")
    write(str(tmp_path / "a"), b"two")
    assert (tmp_path / "a").read_bytes() == b"two"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_block_that_raises_leaves_everything_as_it_was(tmp_path):
    write(tmp_path / "a", b"one")

    def interrupted():
        with atomic_write(tmp_path / "a") as file:
            file.write(b"tw")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (tmp_path / "a").read_bytes() == b"one"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.skipif(os.name != "posix", reason="pipes with names")
def test_a_pipe_is_written_to_at_the_end_and_never_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with suppress(KeyboardInterrupt), atomic_write(tmp_path / "pipe") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert os.read(reader, 9) == b""
    write(tmp_path / "pipe", b"whole")
    assert os.read(reader, 9) == b"whole"
    os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_the_old_file_can_be_read_until_the_new_one_is_whole(tmp_path):
    write(tmp_path / "a", b"one")
    with atomic_write(tmp_path / "a") as file:
        file.write(b"two")
        file.flush()
        assert (tmp_path / "a").read_bytes() == b"one"


@pytest.mark.skipif(os.name != "posix", reason="signals and modes of POSIX")
def test_a_killed_process_leaves_the_old_file(tmp_path):
    write(tmp_path / "a", b"one")
    program = (
        "import os, signal, sys; from elman.formats.atomic import atomic_write, clear_leftovers\n"
        "with atomic_write(sys.argv[1]) as file:\n"
        "    file.write(b'two'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "a"], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "a").read_bytes() == b"one"


@pytest.mark.skipif(os.name != "posix", reason="signals and modes of POSIX")
def test_links_are_followed_and_permissions_are_kept(tmp_path):
    (tmp_path / "folder").mkdir()
    target, link = tmp_path / "folder" / "a", tmp_path / "link"
    target.write_bytes(b"one")
    target.chmod(0o640)
    link.symlink_to(target)
    write(link, b"two")
    assert link.is_symlink()
    assert target.read_bytes() == b"two"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_long_name_is_no_obstacle(tmp_path):
    write(tmp_path / ("a" * 255), b"one")
    assert len(list(tmp_path.iterdir())) == 1


def test_a_missing_folder_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        write(tmp_path / "none" / "a", b"one")


def test_the_file_before_is_kept(tmp_path):
    path, before = tmp_path / "a", tmp_path / "b"
    for data in (b"one", b"two", b"three"):
        with atomic_write(path, keep=before) as file:
            file.write(data)
    assert (path.read_bytes(), before.read_bytes()) == (b"three", b"two")
    with pytest.raises(KeyboardInterrupt), atomic_write(path, keep=before):
        raise KeyboardInterrupt
    assert (path.read_bytes(), before.read_bytes()) == (b"three", b"two")
    assert sorted(found.name for found in tmp_path.iterdir()) == ["a", "b"]


@pytest.mark.skipif(os.name != "posix", reason="only POSIX tells which processes live")
def test_only_what_no_living_process_owns_is_cleared(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    kept = ["a", f".a.{os.getppid()}.00ff00ff.tmp", f".b.{ended.pid}.00ff00ff.tmp", ".a.txt", ".a.1.00ff00ff.tmp"]
    lost = [f".a.{ended.pid}.00ff00ff.tmp", f".a.{os.getpid()}.00ff00ff.tmp", ".a.99999999999999999999.00ff00ff.tmp"]
    for name in kept + lost:
        (tmp_path / name).touch()
    clear_leftovers(tmp_path / "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
