"""Whom Elman is compared with, and which of them are installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from elman.errors import ConfigError


@dataclass(frozen=True)
class Peer:
    """A library to compare with.

    Attributes:
        name: as it is asked for.
        packages: the distributions that it needs, its own first.
        command: what installs them.
    """

    name: str
    packages: tuple[str, ...]
    command: str

    @property
    def version(self) -> str | None:
        """The version of its own package; None where any of its packages is missing."""
        try:
            versions = [version(package) for package in self.packages]
        except PackageNotFoundError:
            return None
        return versions[0]


PEERS = {
    peer.name: peer
    for peer in (
        Peer("torch", ("torch",), "pip install 'elman[train]'"),
        Peer("torch.compile", ("torch",), "pip install 'elman[train]'"),
        Peer("onnxruntime", ("onnxruntime", "onnx"), "pip install 'elman[bench]'"),
        Peer("jax", ("jax", "jaxlib"), "pip install jax"),
    )
}


def choose(names: Sequence[str]) -> dict[str, str]:
    """The versions of the peers that are asked for, or of all that are installed if none is.

    Raises:
        ConfigError: a peer is unknown, or asked for and not installed.
    """
    if not names:
        return {peer.name: peer.version for peer in PEERS.values() if peer.version is not None}
    chosen = {}
    for name in names:
        if name not in PEERS:
            raise ConfigError(f"`peers`: {name} is not known; choose from {', '.join(PEERS)}")
        found = PEERS[name].version
        if found is None:
            raise ConfigError(f"`peers`: {name} is not installed: {PEERS[name].command}")
        chosen[name] = found
    return chosen
