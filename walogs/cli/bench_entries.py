"""What `walogs bench` appends, and the check of what is read back: no figure without it."""

from __future__ import annotations

import os
import random
from struct import Struct
from typing import TYPE_CHECKING, Final

from walogs.errors import WalError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

HEAD: Final = Struct("<IIQ")
"""Seed of the log, thread, number within the thread. No two entries have the same."""
ENTRY_SIZE_MIN: Final = HEAD.size
NOISE_BYTES: Final = 1 << 20
STEP: Final = 648_055
"""NOISE_BYTES ÷ the golden ratio: the noise of a thousand small entries in a row does not overlap."""


class Differs(WalError):
    """What was read back is not what was appended: no figure of this run counts."""


class Entries:
    """The entries of one log, each of *size* bytes: a head, and then noise, which compresses badly."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._seed = int.from_bytes(os.urandom(4), "little")
        self._noise = random.Random(self._seed).randbytes(NOISE_BYTES + size)

    def data(self, thread: int, number: int) -> bytes:
        at = (thread * 4099 + number) * STEP % NOISE_BYTES
        return HEAD.pack(self._seed, thread, number) + self._noise[at : at + self.size - HEAD.size]

    def block(self, number: int, count: int) -> Iterator[bytes]:
        """So many of the first thread, from *number* on, each made when it is asked for."""
        return (self.data(0, each) for each in range(number, number + count))


class Check:
    """Whether a log holds what was appended to it: of each thread everything, in its order, byte for byte."""

    def __init__(self, what: str, entries: Entries, appended: Sequence[int]) -> None:
        """*what* was measured; *appended*: by thread, how many entries were acknowledged."""
        self._what = what
        self._entries = entries
        self._appended = list(appended)
        self._found = [0] * len(appended)
        self._next_lsn = 1

    def read(self, found: Iterable[tuple[int, bytes]]) -> None:
        """What comes next in the log. Raises `Differs`."""
        for lsn, data in found:
            thread = HEAD.unpack_from(data)[1] if len(data) >= HEAD.size else len(self._found)
            is_thread = thread < len(self._found)
            if lsn != self._next_lsn or not is_thread or data != self._entries.data(thread, self._found[thread]):
                raise differs(self._what, f"entry {lsn} is not what was appended")
            self._found[thread] += 1
            self._next_lsn += 1

    def end(self) -> None:
        """Nothing more is in the log. Raises `Differs`."""
        if self._found != self._appended:
            raise differs(self._what, f"{sum(self._found)} of {sum(self._appended)} acknowledged entries came back")


def differs(what: str, why: str) -> Differs:
    move = "Hold the codec and the store to their contracts with `walogs conformance NAME`; then suspect the disk"
    return Differs(f"{what}: {why}. So there is no figure. {move}.")
