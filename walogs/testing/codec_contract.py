"""`CodecContract`: all that a codec must do. A subclass needs one method."""

from __future__ import annotations

import random
from unittest import mock

from walogs.assembly.opening import open as open_log
from walogs.testing.body_checks import BodyChecks
from walogs.testing.codec_samples import sample
from walogs.testing.contract import after_the_rest, must
from walogs.testing.description_checks import DescriptionChecks
from walogs.testing.integrity_checks import IntegrityChecks
from walogs.testing.memory_disk import MemoryDisk
from walogs.testing.memory_store import MemoryStore
from walogs.testing.secrecy_checks import SecrecyChecks

__all__ = ["CodecContract"]


class CodecContract(SecrecyChecks, IntegrityChecks, BodyChecks, DescriptionChecks):
    """The contract of a codec. Subclass it as `class TestMyCodec(CodecContract)` with a method `codec(self)`.

    pytest does the rest. A codec, or the subclass for it, can declare two more abilities with optional attributes:

    - `authenticates`: the codec refuses all bytes that were not encoded with its key for this very frame. If such a
      codec is the identity, its check refuses them.
    - `encrypts`: the stored bytes reveal nothing of the body but its size.

    The contract tests a declared ability.
    """

    @after_the_rest
    def test_a_log_with_it_comes_back(self) -> None:
        """`Codec.decode`: "The engine calls this when it reads entries, and never in recovery." Through rotations, a
        power cut and a kill."""
        disk, expected = MemoryDisk(), list[tuple[int, bytes]]()
        for turn in range(3):
            with open_log(store=MemoryStore(disk), codec=self.codec(), max_segment_size=4000) as wal:
                for body in (b"", sample(10), bytes(3000), sample(2500, turn)):
                    expected.append((wal.append(body), body))
                batch = [sample(size, turn) for size in (3, 0, 700)]
                expected += zip(wal.append_batch(batch), batch, strict=True)
                if turn:
                    wal.closed = True
                    disk.power_cut(random.Random(turn))
            codec = self.codec()
            with mock.patch.object(type(codec), "decode", never):
                wal = open_log(store=MemoryStore(disk), codec=codec)
            with wal:
                must(list(wal) == expected, "what was appended is not what is there")


class DecodedInRecovery(Exception):
    """Recovery has called `decode`."""


def never(*_: object) -> bytes:
    """Stand for a `decode` that must not be called: raise `DecodedInRecovery`."""
    raise DecodedInRecovery("recovery has called decode()")
