"""A codec that encrypts, the contract on it, and codecs that encrypt wrongly."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import time
import zlib
from collections.abc import Iterable, Mapping
from typing import ClassVar, Final
from zlib import crc32

from typing_extensions import Buffer

from tests.kit.codecs import LevelCodec
from walogs.defaults.crc32_codec import Crc32Codec
from walogs.errors import WalError
from walogs.protocols import Codec, FrameContext
from walogs.testing import CodecContract

KEY: Final = bytes(range(100, 132))


NONCE_BYTES: Final = 16


TAG_BYTES: Final = 16


MARK_BYTES: Final = 4


class OfCrc32(CodecContract):
    """The built-in codec."""

    bomb_bytes = 24 << 20

    codec_type: ClassVar[type[Codec]] = Crc32Codec

    def codec(self) -> Codec:
        return self.codec_type()


class OfDeflate(OfCrc32):
    """A codec that compresses."""

    codec_type: ClassVar[type[Codec]] = LevelCodec
    refusals = (ValueError, zlib.error)


class SealingCodec:
    """A stream cipher and a tag made of BLAKE2: right in all that a contract can see, and for tests alone."""

    name = "sealing"
    check_bytes = TAG_BYTES + MARK_BYTES + 4
    identity = False
    authenticates = True
    encrypts = True

    def __init__(self, key: bytes = KEY) -> None:
        self.key = key

    def parameters(self) -> Mapping[str, object]:
        return {"key_id": "k1"}

    def with_parameters(self, parameters: Mapping[str, object]) -> Codec:
        if parameters != self.parameters():
            raise ValueError(f"there is no key for {parameters}")
        return type(self)(self.key)

    def encoded_bytes_max(self, body_bytes: int) -> int:
        return NONCE_BYTES + body_bytes + TAG_BYTES

    def nonce(self, frame: FrameContext) -> bytes:
        return os.urandom(NONCE_BYTES)

    def associated(self, frame: FrameContext) -> bytes:
        return repr(frame[:-1]).encode()

    def encode(self, body: bytes, frame: FrameContext) -> bytes:
        nonce = self.nonce(frame)
        sealed = self.masked(nonce, body)
        return nonce + sealed + self.tag(nonce, sealed, frame)

    def decode(self, stored: Buffer, frame: FrameContext) -> bytes:
        size = memoryview(stored).nbytes - NONCE_BYTES - TAG_BYTES
        if not 0 <= size <= frame.body_bytes_max:
            raise ValueError("no body of this log has that size")
        data = bytes(stored)
        nonce, sealed, tag = data[:NONCE_BYTES], data[NONCE_BYTES:-TAG_BYTES], data[-TAG_BYTES:]
        if self.tag(nonce, sealed, frame) != tag:
            raise ValueError("not what was encoded for this frame with this key")
        return self.masked(nonce, sealed)

    def masked(self, nonce: bytes, body: bytes) -> bytes:
        stream = hashlib.shake_128(self.key + nonce).digest(len(body))
        return (int.from_bytes(body, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(body), "big")

    def tag(self, nonce: bytes, sealed: bytes, frame: FrameContext) -> bytes:
        return hashlib.blake2b(nonce + self.associated(frame) + sealed, key=self.key, digest_size=TAG_BYTES).digest()

    def check(self, header: bytes, stored: Buffer) -> bytes:
        return self.with_crc(header, stored, self.proof(header, bytes(stored)) + self.mark())

    def proof(self, header: bytes, stored: bytes) -> bytes:
        said = len(header).to_bytes(4, "big") + header + stored
        return hashlib.blake2b(said, key=self.key, digest_size=TAG_BYTES).digest()

    def mark(self) -> bytes:
        """Of the key."""
        return hashlib.blake2b(key=self.key, digest_size=MARK_BYTES).digest()

    def with_crc(self, header: bytes, stored: Buffer, proven: bytes) -> bytes:
        crc = crc32(proven, crc32(stored, int.from_bytes(header[-4:], "little")))
        return proven + crc.to_bytes(4, "little")

    def is_check(self, header: bytes, stored: Buffer, check: bytes) -> bool:
        if self.with_crc(header, stored, check[:-4]) != check:
            return False
        if check[TAG_BYTES:-4] != self.mark():
            raise WrongKey("it was sealed with another key: give that")
        return self.check(header, stored) == check

    def refuses_codec(self, name: str) -> str:
        return "it reads what it has sealed; read that log with its own codec"


class WrongKey(WalError):
    """Of a segment whose key is another one."""


class OfSealing(OfCrc32):
    """A codec that encrypts and authenticates, with all that its contract can be offered."""

    codec_type: ClassVar[type[Codec]] = SealingCodec

    def without_key(self) -> Codec:
        return self.codec_type(b"another key")  # type: ignore[call-arg]

    def secrets(self) -> Iterable[bytes]:
        return [KEY]


class BelievesEverybody(SealingCodec):
    """It has no word to say of segments that others have stamped."""

    refuses_codec = None  # type: ignore[assignment]


class BelievesPlainSegments(SealingCodec):
    def refuses_codec(self, name: str) -> str:
        return "" if name == "crc32" else super().refuses_codec(name)


class BelievesWhatItDoesNotKnow(SealingCodec):
    """It has heard of one other codec."""

    def refuses_codec(self, name: str) -> str:
        return super().refuses_codec(name) if name == "crc32" else ""


class NonceOfTheLsn(SealingCodec):
    def nonce(self, frame: FrameContext) -> bytes:
        return frame.first_lsn.to_bytes(8, "big") + frame.salt.to_bytes(8, "big")


class NonceThatCounts(SealingCodec):
    """From 1 in each process."""

    def __init__(self, key: bytes = KEY) -> None:
        super().__init__(key)
        self.count = itertools.count(1)

    def nonce(self, frame: FrameContext) -> bytes:
        return next(self.count).to_bytes(NONCE_BYTES, "big")


class NonceOfTheClock(SealingCodec):
    def nonce(self, frame: FrameContext) -> bytes:
        return time.time_ns().to_bytes(NONCE_BYTES, "big")


class NonceOfASeed(SealingCodec):
    """Of the module random, which processes share that were forked."""

    def nonce(self, frame: FrameContext) -> bytes:
        return random.randbytes(NONCE_BYTES)


class FrameNotAssociated(SealingCodec):
    def associated(self, frame: FrameContext) -> bytes:
        return b""


class OffsetNotAssociated(SealingCodec):
    def associated(self, frame: FrameContext) -> bytes:
        return super().associated(frame._replace(offset=0))


class TimeNotAssociated(SealingCodec):
    """When a commit was made is no part of what is authenticated."""

    def associated(self, frame: FrameContext) -> bytes:
        return super().associated(frame._replace(time_ns=0))


class LinkNotAssociated(SealingCodec):
    """Which frame was there before is somebody else's business."""

    def associated(self, frame: FrameContext) -> bytes:
        return super().associated(frame._replace(link=b""))


class TagOfTheFront(SealingCodec):
    """What comes after the first 32 bytes can be altered."""

    def tag(self, nonce: bytes, sealed: bytes, frame: FrameContext) -> bytes:
        return super().tag(nonce, sealed[:32] + len(sealed).to_bytes(4, "big"), frame)


class PlainWithATag(SealingCodec):
    """Half of the body is not worth hiding, and is turned by the nonce, so that it differs all the same."""

    def masked(self, nonce: bytes, body: bytes) -> bytes:
        half = len(body) // 2
        if half < 100:
            return super().masked(nonce, body)
        return super().masked(nonce, body[:half]) + body[half:]


class WrongKeyGivesSomething(SealingCodec):
    """Only the frame is authenticated by a key that everybody has."""

    def tag(self, nonce: bytes, sealed: bytes, frame: FrameContext) -> bytes:
        return hashlib.blake2b(nonce + self.associated(frame) + sealed, digest_size=TAG_BYTES).digest()
