"""elman compress, elman decompress"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from elman.cli.progress import say
from elman.cli.status import ExitStatus
from elman.cli.targets import check_output
from elman.codec import compress as coding
from elman.errors import ConfigError
from elman.formats.atomic import atomic_write
from elman.runtime import load
from elman.runtime.model import model_path

_SUFFIX = ".elman"


def compress(
    run: Annotated[Positional[Path], arg(metavar="RUN")],
    file: Annotated[Positional[Path], arg(metavar="FILE")],
    *,
    output: Path | None = None,
    overwrite: bool = False,
    threads: int = 0,
) -> int:
    """Compress a file by what a trained model expects; `elman decompress` restores it bit for bit.

    Args:
        run: the folder of a run, or a model file; restoring needs the same one.
        file: what to compress. Characters that the model does not know are kept as they are.
        output: the archive, whole or not at all; by default the file's name and .elman.
        overwrite: replace a file that is there already.
        threads: that a step may take; 0: one, or where the step is worth it ELMAN_NUM_THREADS or the machine's cores.
    """
    target = output or file.with_name(file.name + _SUFFIX)
    check_output(target, "the archive", overwrite=overwrite, reads=(file, model_path(run)))
    model, data = load(run), file.read_bytes()
    with atomic_write(target) as archive:
        coding.compress(model, data, archive, _progress(), threads)
        written = archive.tell()
    share = f", {8 * written / len(data):.3f} bits for each of its bytes" if data else ""
    say(f"{target}: {len(data):,} bytes became {written:,}{share}")
    return ExitStatus.OK


def decompress(
    run: Annotated[Positional[Path], arg(metavar="RUN")],
    archive: Annotated[Positional[Path], arg(metavar="ARCHIVE")],
    *,
    output: Path | None = None,
    overwrite: bool = False,
    threads: int = 0,
) -> int:
    """Restore what `elman compress` made.

    Args:
        run: the model that compressed it.
        archive: the archive.
        output: the restored file, whole or not at all; by default the archive's name without .elman.
        overwrite: replace a file that is there already.
        threads: that a step may take; 0: one, or where the step is worth it ELMAN_NUM_THREADS or the machine's cores.
    """
    if output is None and archive.suffix != _SUFFIX:
        raise ConfigError(f"{archive} does not end in {_SUFFIX}: name the restored file with --output")
    target = output or archive.with_suffix("")
    check_output(target, "the restored file", overwrite=overwrite, reads=(archive, model_path(run)))
    model, data = load(run), archive.read_bytes()
    restored = coding.decompress(model, data, str(archive), _progress(), threads)
    with atomic_write(target) as file:
        file.write(restored)
    say(f"{target}: {len(restored):,} bytes restored")
    return ExitStatus.OK


def _progress() -> Callable[[float], None] | None:
    """A line on a terminal that is written over and over; silence elsewhere."""
    if not sys.stderr.isatty():
        return None

    def show(share: float) -> None:
        sys.stderr.write(f"\r{share:4.0%}\r")
        sys.stderr.flush()

    return show
