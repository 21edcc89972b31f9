"""The entries that `walogs bench` appends, and the check of what is read back. No figure is printed without it."""

from __future__ import annotations

import os
import random
from struct import Struct
from typing import TYPE_CHECKING, Final

from walogs.errors import WalError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

HEAD: Final = Struct("<IIQ")
"""The seed of the log, the thread, and the number within the thread. No two entries have the same head."""
ENTRY_SIZE_MIN: Final = HEAD.size
NOISE_BYTES: Final = 1 << 20
STEP: Final = 648_055
"""NOISE_BYTES ÷ the golden ratio. With this step, a thousand consecutive small entries have noise from places that
do not overlap."""


class Differs(WalError):
    """The entries that were read back are not those that were appended. No figure of this run counts."""


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
        """Yield *count* entries of the first thread from *number* on. Each is made when the caller asks for it."""
        return (self.data(0, each) for each in range(number, number + count))


class Check:
    """The check that a log holds every entry of each thread, in the order of the thread and byte for byte."""

    def __init__(self, what: str, entries: Entries, appended: Sequence[int]) -> None:
        """Begin the check of a log with no entry read yet.

        *what* names the row in the message of an error. *appended* is the number of acknowledged entries by thread.
        """
        self._what = what
        self._entries = entries
        self._appended = list(appended)
        self._found = [0] * len(appended)
        self._next_lsn = 1

    def read(self, found: Iterable[tuple[int, bytes]]) -> None:
        """Compare the next entries of the log, given as (LSN, data). Raises `Differs`."""
        for lsn, data in found:
            thread = HEAD.unpack_from(data)[1] if len(data) >= HEAD.size else len(self._found)
            is_thread = thread < len(self._found)
            if lsn != self._next_lsn or not is_thread or data != self._entries.data(thread, self._found[thread]):
                raise differs(self._what, f"entry {lsn} is not what was appended")
            self._found[thread] += 1
            self._next_lsn += 1

    def end(self) -> None:
        """Finish the check after the last entry. Raises `Differs` if entries are missing."""
        if self._found != self._appended:
            raise differs(self._what, f"{sum(self._found)} of {sum(self._appended)} acknowledged entries came back")


def differs(what: str, why: str) -> Differs:
    move = "Check the codec and the store with `walogs conformance NAME`; if they pass, suspect the disk"
    return Differs(f"{what}: {why}. So there is no figure. {move}.")
