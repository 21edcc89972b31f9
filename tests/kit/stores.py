"""One interface to the places where a log can be: local files, a modelled disk, a modelled cloud; with two codecs."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

import walogs
from tests.kit.codecs import DeflateCodec
from walogs.protocols import Codec, SegmentStore
from walogs.testing import MemoryCloud, MemoryDisk, MemoryImmutableStore, MemoryStore

CODECS: Final[dict[str, Callable[[], str | Codec]]] = {"crc32": lambda: "crc32", "deflate": DeflateCodec}
SHAPES: Final = ("local", "memory", "immutable")


class LogFactory:
    """Opens one log, or a second one beside it, in one kind of place. It closes what a test leaves open."""

    def __init__(self, shape: str, codec: str, directory: Path) -> None:
        self.shape = shape
        self.codec = codec
        self.appends = shape != "immutable"
        """Whether segments grow. Where they do not, every commit and every open makes a segment of its own."""
        self.path = directory / "log"
        """The log's directory, if the place is one of local files."""
        self._directory = directory
        self._disk = MemoryDisk()
        self._cloud = MemoryCloud()
        self._open: list[walogs.Wal] = []
        self._fresh = itertools.count(1)

    def open(self, **overrides: Any) -> walogs.Wal:
        """Open the log. The first call makes it."""
        overrides.setdefault("codec", CODECS[self.codec]())
        if self.shape == "local":
            wal = walogs.open(self.path, **overrides)
        else:
            wal = walogs.open(store=self.store(), **overrides)
        self._open.append(wal)
        return wal

    def store(self) -> SegmentStore:
        """Return a new store object on the same place. Local files have a path instead."""
        return MemoryStore(self._disk) if self.appends else MemoryImmutableStore(self._cloud)

    def another(self) -> LogFactory:
        """Return a factory for another place of the same kind, with nothing in it."""
        return LogFactory(self.shape, self.codec, self._directory / f"other-{next(self._fresh)}")

    def forget(self) -> None:
        """Drop the factory's references to its logs, so that a test can drop the last one."""
        self._open.clear()

    def close(self) -> None:
        """Close every log that is still open."""
        for wal in self._open:
            with contextlib.suppress(Exception):
                wal.close()


@pytest.fixture(params=list(itertools.product(SHAPES, CODECS)), ids="-".join)
def log_factory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LogFactory]:
    """Run the test with every store and every codec."""
    factory = LogFactory(*request.param, tmp_path)
    yield factory
    factory.close()


@pytest.fixture(params=[(shape, codec) for shape in ("local", "memory") for codec in CODECS], ids="-".join)
def appending_factory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LogFactory]:
    """Run the test with every store whose segments grow, and every codec."""
    factory = LogFactory(*request.param, tmp_path)
    yield factory
    factory.close()
