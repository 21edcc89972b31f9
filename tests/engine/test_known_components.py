"""What costs less for our own codec and policies gives what any codec and policy get."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import walogs
from walogs.defaults.crc32_codec import Crc32Codec
from walogs.defaults.sync_policies import FdatasyncPolicy
from walogs.formats.native import NativeFormat
from walogs.protocols import Decision, Unsynced
from walogs.testing import MemoryDisk, MemoryStore

FORMAT = NativeFormat()
CODEC = Crc32Codec()

u32, u64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)


@given(
    fields=st.tuples(u32, u32, u32, st.binary(min_size=8, max_size=8), u64, u32, u64),
    entries=st.lists(st.binary(max_size=40), min_size=1, max_size=4),
)
def test_a_frame_by_its_crc_is_the_frame_by_its_codec(fields: tuple[Any, ...], entries: list[bytes]) -> None:
    """The writer names no codec if its check is the CRC-32. Any bytes and numbers give the same frame."""

    def stored() -> Any:
        return entries[0] if len(entries) == 1 else FORMAT.draft(entries, CODEC.check_bytes)

    assert FORMAT.encode_entries(*fields, stored(), None) == FORMAT.encode_entries(*fields, stored(), CODEC)
    body = FORMAT.body(entries)
    assert FORMAT.encode_entries(*fields, body, None) == FORMAT.encode_entries(*fields, body, CODEC)


class Inverted(Crc32Codec):
    """A codec that inherits all of `crc32` but its check."""

    name = "inverted"

    def check(self, header: bytes, stored: Any) -> bytes:  # type: ignore[override]
        return bytes(byte ^ 0xFF for byte in super().check(header, stored))


class OwnCheck(Crc32Codec):
    """A codec whose objects have a check of their own."""

    name = "own-check"

    def __init__(self) -> None:
        self.check = self._inverted  # type: ignore[method-assign]

    def _inverted(self, header: bytes, stored: Any) -> bytes:
        return bytes(byte ^ 0xFF for byte in super().check(header, stored))


def test_an_object_with_a_check_of_its_own_makes_its_own_checks() -> None:
    disk = MemoryDisk()
    with walogs.open(store=MemoryStore(disk), codec=OwnCheck()) as wal:
        for _ in range(3):
            wal.append(b"entry")
        assert [data for _, data in wal] == [b"entry"] * 3
    with walogs.open(store=MemoryStore(disk), codec=OwnCheck()) as wal:
        assert [data for _, data in wal] == [b"entry"] * 3


class Strict(Crc32Codec):
    """A codec that makes the checks of ours, and accepts fewer of them."""

    name = "strict"

    def is_check(self, header: bytes, stored: Any, check: bytes) -> bool:
        return self.check(header, stored) == check and bytes(stored) != b"forbidden"


@pytest.mark.parametrize("at", range(4))
def test_a_codec_that_judges_checks_itself_is_asked_wherever_a_frame_lies(at: int) -> None:
    disk = MemoryDisk()
    entries = [b"a", b"b", b"c"]
    entries.insert(at, b"forbidden")
    with walogs.open(store=MemoryStore(disk), codec=Strict()) as wal:
        for entry in entries:
            wal.append(entry)
    with pytest.raises(walogs.Corrupt) as refused:
        walogs.open(store=MemoryStore(disk), codec=Strict())
    assert refused.value.lsn == at + 1


def test_a_codec_that_inherits_from_ours_makes_its_own_checks() -> None:
    disk = MemoryDisk()
    with walogs.open(store=MemoryStore(disk), codec=Inverted()) as wal:
        for count in (1, 3):
            wal.append_batch([b"entry"] * count)
        wal.rotate()
        assert [data for _, data in wal] == [b"entry"] * 4
    with walogs.open(store=MemoryStore(disk), codec=Inverted(), verify="full") as wal:
        assert wal.last_lsn == 4
    with pytest.raises(walogs.WalError):
        walogs.open(store=MemoryStore(disk))


class Lazy(FdatasyncPolicy):
    """A policy that inherits all of `fdatasync` but its decisions."""

    durability = "none"

    def decide(self, pending: Unsynced) -> Decision:  # type: ignore[override]
        return "sync" if pending.entries == 3 else "leave"


def test_a_policy_that_inherits_from_ours_makes_its_own_decisions() -> None:
    with walogs.open(store=MemoryStore(MemoryDisk()), sync=Lazy()) as wal:
        assert [(wal.append(b"entry"), wal.durable_lsn) for _ in range(7)] == [
            (1, 0),
            (2, 0),
            (3, 3),
            (4, 3),
            (5, 3),
            (6, 6),
            (7, 6),
        ]
