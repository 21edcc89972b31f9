"""The places where a log can be, behind one face: local files, a modelled disk, a modelled cloud; with two codecs."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

import walogs
from tests.codecs import DeflateCodec
from walogs.protocols import Codec, SegmentStore
from walogs.testing import MemoryChainStore, MemoryCloud, MemoryDisk, MemoryStore

CODECS: Final[dict[str, Callable[[], str | Codec]]] = {"crc32": lambda: "crc32", "deflate": DeflateCodec}
SHAPES: Final = ("local", "memory", "chain")


class LogFactory:
    """Opens one log, or a second one beside it, in one kind of place. Whatever a test leaves open is closed for it."""

    def __init__(self, shape: str, codec: str, directory: Path) -> None:
        self.shape = shape
        self.codec = codec
        self.appends = shape != "chain"
        """Whether segments grow; where they do not, every commit is a segment of its own, and so is every open."""
        self._directory = directory
        self._disk = MemoryDisk()
        self._cloud = MemoryCloud()
        self._open: list[walogs.Wal] = []
        self._fresh = itertools.count(1)

    def open(self, **overrides: Any) -> walogs.Wal:
        """The log, as it is there. The first call makes it."""
        overrides.setdefault("codec", CODECS[self.codec]())
        if self.shape == "local":
            wal = walogs.open(self._directory / "log", **overrides)
        else:
            wal = walogs.open(store=self.store(), **overrides)
        self._open.append(wal)
        return wal

    def store(self) -> SegmentStore:
        """A new store object on the same place (not for local files, which have a path)."""
        return MemoryStore(self._disk) if self.appends else MemoryChainStore(self._cloud)

    def another(self) -> LogFactory:
        """The same kind of place, with nothing in it."""
        return LogFactory(self.shape, self.codec, self._directory / f"other-{next(self._fresh)}")

    def close(self) -> None:
        for wal in self._open:
            with contextlib.suppress(Exception):
                wal.close()


@pytest.fixture(params=list(itertools.product(SHAPES, CODECS)), ids="-".join)
def log_factory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LogFactory]:
    """Every store with every codec."""
    factory = LogFactory(*request.param, tmp_path)
    yield factory
    factory.close()


@pytest.fixture(params=[(shape, codec) for shape in ("local", "memory") for codec in CODECS], ids="-".join)
def appending_factory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LogFactory]:
    """Every store whose segments grow, with every codec."""
    factory = LogFactory(*request.param, tmp_path)
    yield factory
    factory.close()
