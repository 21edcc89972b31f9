"""Codecs whose check of a frame is wrong. Each breaks one rule."""

from __future__ import annotations

import hashlib
import random
import zlib
from array import array
from zlib import crc32

from typing_extensions import Buffer

from tests.kit.codecs import LevelCodec
from tests.testing.sealing_codecs import TAG_BYTES, SealingCodec, WrongKey
from walogs.defaults.crc32_codec import Crc32Codec
from walogs.testing.codec_samples import FRAME


class CheckOfThePayloadOnly(LevelCodec):
    """The digest of the place, which it puts before the payload, is not covered."""

    def check(self, header: bytes, stored: Buffer) -> bytes:
        return super().check(header, memoryview(stored)[8:] if memoryview(stored).nbytes > 8 else stored)


class CheckThatIgnoresTheFrame(Crc32Codec):
    def check(self, header: bytes, stored: Buffer) -> bytes:
        return crc32(stored).to_bytes(4, "little")


class CheckThatIgnoresTheFrameOfNothing(Crc32Codec):
    """Where there is nothing stored, there is nothing to prove, it thinks."""

    def check(self, header: bytes, stored: Buffer) -> bytes:
        return super().check(header, stored) if memoryview(stored).nbytes else bytes(4)


class CheckThatIsNoCrc32(Crc32Codec):
    """The check is as good as any. But it says `checks_by_crc32`, and writes the bytes in the other order."""

    def check(self, header: bytes, stored: Buffer) -> bytes:
        return super().check(header, stored)[::-1]


class CheckOfHalfTheSeed(Crc32Codec):
    def check(self, header: bytes, stored: Buffer) -> bytes:
        return super().check(header[:-2] + bytes(2), stored)


class CheckOfTheLsn(LevelCodec):
    """Of a header, what is the LSN must be right, it thinks; the rest the format has a CRC for."""

    def check(self, header: bytes, stored: Buffer) -> bytes:
        return super().check(header[8:16] + header[-2:], stored)


class CheckOfTheWholeHeader(Crc32Codec):
    """A CRC over bytes and their own CRC is a constant: it has forgotten the header."""

    def check(self, header: bytes, stored: Buffer) -> bytes:
        return crc32(stored, crc32(header)).to_bytes(4, "little")


class CheckThatBeginsWithAWord(LevelCodec):
    """The frame after it says of every one the same."""

    check_bytes = 16

    def check(self, header: bytes, stored: Buffer) -> bytes:
        return b"checked:" + hashlib.blake2b(header + bytes(stored), digest_size=8).digest()


class CheckTooLong(LevelCodec):
    """A segment's header has no room for it."""

    check_bytes = 65

    def check(self, header: bytes, stored: Buffer) -> bytes:
        return hashlib.shake_128(header + bytes(stored)).digest(self.check_bytes)


class CheckThatDecodes(LevelCodec):
    """What does not decode is damaged, it thinks."""

    def check(self, header: bytes, stored: Buffer) -> bytes:
        data = bytes(stored)
        if data[8:10] == b"x\x9c":
            try:
                self.decode(stored, FRAME)  # which the codecs that ask for it do not look at
            except (ValueError, zlib.error):
                pass
        return super().check(header, stored)


class CheckThatDecompresses(LevelCodec):
    """What does not decompress is damaged, whatever it is: without the decompressor, nobody can tell."""

    def check(self, header: bytes, stored: Buffer) -> bytes:
        try:
            zlib.decompress(bytes(stored)[8:])
        except zlib.error:
            return bytes(self.check_bytes)
        return super().check(header, stored)


class CheckWithTheKey(SealingCodec):
    """What another key has made is damaged, it thinks, and damage at the end of a log may be cut."""

    def is_check(self, header: bytes, stored: Buffer, check: bytes) -> bool:
        return self.check(header, stored) == check


class CheckOfAnyMark(SealingCodec):
    """It believes a proof for its CRC."""

    def is_check(self, header: bytes, stored: Buffer, check: bytes) -> bool:
        return self.with_crc(header, stored, check[:-4]) == check


class CheckOfTheHeadersCrc(SealingCodec):
    """What was given to every check once: four bytes, which can be chosen."""

    def proof(self, header: bytes, stored: bytes) -> bytes:
        return super().proof(header[-4:], stored)


class CheckWithoutTheKey(SealingCodec):
    """Its proof is one that everybody can make."""

    def proof(self, header: bytes, stored: bytes) -> bytes:
        return hashlib.blake2b(len(header).to_bytes(4, "big") + header + stored, digest_size=TAG_BYTES).digest()

    def mark(self) -> bytes:
        return b"mark"


class CheckThatBelieves(SealingCodec):
    """What it cannot make itself is good enough."""

    def is_check(self, header: bytes, stored: Buffer, check: bytes) -> bool:
        return True


class CheckThatBeginsWithTheMark(SealingCodec):
    """So links are the mark of the key."""

    check_bytes = TAG_BYTES + 8 + 4

    def check(self, header: bytes, stored: Buffer) -> bytes:
        return self.with_crc(header, stored, self.mark() * 2 + self.proof(header, bytes(stored)))

    def is_check(self, header: bytes, stored: Buffer, check: bytes) -> bool:
        if self.with_crc(header, stored, check[:-4]) != check:
            return False
        if check[:8] != self.mark() * 2:
            raise WrongKey("it was sealed with another key: give that")
        return self.check(header, stored) == check


class CheckOfAnotherLength(Crc32Codec):
    check_bytes = 8


class CheckWithAPinch(Crc32Codec):
    """Salted, for safety, by each object."""

    def __init__(self) -> None:
        self.pinch = random.getrandbits(32)

    def check(self, header: bytes, stored: Buffer) -> bytes:
        return crc32(stored, int.from_bytes(header[-4:], "little") ^ self.pinch).to_bytes(4, "little")


class CheckOfTheFront(Crc32Codec):
    """The first 64 KiB will do."""

    def check(self, header: bytes, stored: Buffer) -> bytes:
        return super().check(header, memoryview(stored)[: 1 << 16])


class CheckThatAdds(Crc32Codec):
    """A sum does not know what came first."""

    def check(self, header: bytes, stored: Buffer) -> bytes:
        data = bytes(stored)
        words = array("I", data + bytes(-len(data) % 4))
        return (int.from_bytes(header[-4:], "little") + sum(words) & 0xFFFF_FFFF).to_bytes(4, "little")
