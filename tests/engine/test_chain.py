"""What a store that fences by creation may answer, and what its writer makes of it."""

from __future__ import annotations

import errno
import random
from typing import TYPE_CHECKING

import pytest

import walogs
from walogs.testing import CloudFault, MemoryChainStore, MemoryCloud

if TYPE_CHECKING:
    from typing_extensions import Buffer


class NoSpaceWhileUnderWay(MemoryChainStore):
    def create(self, number: int, data: Buffer) -> None:
        if self.cloud.late:
            raise walogs.NoSpace(errno.EDQUOT, "over quota")
        super().create(number, data)


@pytest.mark.guarantee("G7")
def test_room_refused_to_a_second_try_does_not_make_the_first_one_fail() -> None:
    cloud = MemoryCloud()
    with walogs.open(store=NoSpaceWhileUnderWay(cloud)) as wal:
        wal.append(b"one")
        cloud.arm(1, CloudFault("late"), rng=random.Random(1))
        with pytest.raises(walogs.Indefinite):
            wal.append(b"two")
        with pytest.raises(walogs.Poisoned):
            wal.append(b"three")
    assert cloud.deliver()
    with walogs.open(store=MemoryChainStore(cloud)) as wal:
        assert list(wal) == [(1, b"one"), (2, b"two")]
        assert wal.append(b"three") == 3


@pytest.mark.guarantee("G4", "G19")
def test_a_chain_that_shows_what_is_not_durable_is_refused() -> None:
    from dataclasses import replace

    store = MemoryChainStore(MemoryCloud())
    store.capabilities = replace(store.capabilities, exists_means_durable=False)
    with pytest.raises(walogs.ConfigError, match="not durable yet"):
        walogs.open(store=store)
