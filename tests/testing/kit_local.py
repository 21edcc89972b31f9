"""The contract of the local store: in a real directory, and with every system call of it on a modelled disk."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest

from tests.shims.memory_os import ROOT, MemoryOS, run_as
from tests.testing.kit_places import OnADisk
from walogs.defaults.local_store import LocalStore
from walogs.protocols import RepairableStore, SegmentStore
from walogs.protocols.cursor_store import CursorLock, CursorStore
from walogs.testing import StoreContract

MEMBERS: Final = sorted(
    name
    for protocol in (RepairableStore, CursorStore)
    for name in dir(protocol)
    if not name.startswith("_") and name != "cursor_lock" and callable(getattr(protocol, name, None))
)


class InADirectory(StoreContract):
    """What the kernel does is real, so nothing can be made to fail here."""

    def store(self, place: Path) -> SegmentStore:
        return LocalStore(place)

    def aside(self, place: Path, name: str) -> bytes:
        return (place / name).read_bytes()


class InProcess:
    """A local store as one process of a modelled disk: whenever it is called, the system calls are that process's."""

    turn: ClassVar[threading.RLock] = threading.RLock()

    def __init__(self, process: MemoryOS, patch: pytest.MonkeyPatch) -> None:
        self.process, self.patch = process, patch
        self.local = self.running(LocalStore, ROOT)
        self.name, self.capabilities = self.local.name, self.local.capabilities

    def running(self, call: Any, *given: Any, **options: Any) -> Any:
        with self.turn:
            run_as(self.process, self.patch.setattr)
            return call(*given, **options)

    def cursor_lock(self, name: str) -> LockInProcess:
        return LockInProcess(self, self.running(self.local.cursor_lock, name))


class LockInProcess:
    """The lock of a cursor, taken and released by one process of a modelled disk."""

    def __init__(self, store: InProcess, lock: CursorLock) -> None:
        self.store, self.lock = store, lock

    def take(self) -> None:
        self.store.running(self.lock.take)

    def release(self) -> None:
        self.store.running(self.lock.release)


def as_process(name: str) -> Any:
    def member(self: InProcess, *given: Any, **options: Any) -> Any:
        return self.running(getattr(self.local, name), *given, **options)

    return member


for member_name in MEMBERS:
    setattr(InProcess, member_name, as_process(member_name))


class OnALocalDisk(OnADisk):
    """It can be cut off from power, filled, and failed at each system call."""

    def setup_method(self) -> None:
        super().setup_method()
        self.patch = pytest.MonkeyPatch()

    def teardown_method(self) -> None:
        super().teardown_method()
        self.patch.undo()

    def store(self, place: Path) -> SegmentStore:
        store: Any = InProcess(MemoryOS(self.disk(place)), self.patch)
        return store  # type: ignore[no-any-return]
