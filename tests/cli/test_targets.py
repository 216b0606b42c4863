"""Whether a file can be written, asked beforehand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from elman.cli.targets import check_output, check_target
from elman.errors import ConfigError


def test_what_can_be_written_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("kept")
    for path in (None, tmp_path / "new", tmp_path / "there"):
        check_target("--json", path)
    assert (tmp_path / "there").read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (".", "a file to write expected, got a folder"),
        ("nowhere/file", "there is no folder .*nowhere"),
        ("there/file", "there is no folder .*there"),
    ],
)
def test_no_place_for_a_file(tmp_path: Path, place: str, message: str) -> None:
    (tmp_path / "there").touch()
    with pytest.raises(ConfigError, match=f"^--chart .*: {message}$"):
        check_target("--chart", tmp_path / place)


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: not (path == tmp_path and mode == os.W_OK))
    with pytest.raises(ConfigError, match=r"^--json .*: the folder .* cannot be written$"):
        check_target("--json", tmp_path / "rows.json")


@pytest.mark.skipif(os.name != "posix", reason="pipes with names")
def test_a_pipe_may_be_written_because_nothing_is_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    check_output(tmp_path / "pipe", "the archive", overwrite=False, reads=())
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is there already: replace it with --overwrite"):
        check_output(tmp_path / "file", "the archive", overwrite=False, reads=())


@pytest.mark.skipif(os.name != "posix", reason="/dev/stdout")
def test_standard_output_may_be_written_wherever_it_leads(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from elman.cli.targets import check_output; from elman.formats import atomic_write\n"
        "check_output(Path('/dev/stdout'), 'the archive', overwrite=False, reads=())\n"
        "with atomic_write('/dev/stdout') as file: file.write(b'whole')\n"
    )
    with (tmp_path / "out").open("wb") as out:
        subprocess.run([sys.executable, "-c", program], stdout=out, check=True)
        assert os.fstat(out.fileno()).st_ino == (tmp_path / "out").stat().st_ino
    assert (tmp_path / "out").read_bytes() == b"whole"
