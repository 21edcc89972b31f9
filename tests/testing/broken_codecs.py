"""Codecs that break one rule each: each is one override of one of three that break none."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import threading
import time
import zlib
from array import array
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final
from zlib import crc32

from typing_extensions import Buffer

from tests.codecs import KeptCodec, LevelCodec, place
from walogs.defaults.crc32_codec import Crc32Codec
from walogs.protocols import Codec, FrameContext
from walogs.testing import CodecContract

KEY: Final = bytes(range(100, 132))
NONCE_BYTES: Final = 16
TAG_BYTES: Final = 16


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
    check_bytes = 4
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

    def check(self, seed: int, stored: Buffer) -> bytes:
        return crc32(stored, seed).to_bytes(4, "little")

    def refuses_codec(self, name: str) -> str:
        return "it reads what it has sealed; read that log with its own codec"


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


# Checks


class CheckOfThePayloadOnly(LevelCodec):
    """The digest of the place, which it puts before the payload, is not covered."""

    def check(self, seed: int, stored: Buffer) -> bytes:
        return super().check(seed, memoryview(stored)[8:] if memoryview(stored).nbytes > 8 else stored)


class CheckThatIgnoresTheFrame(Crc32Codec):
    def check(self, seed: int, stored: Buffer) -> bytes:
        return crc32(stored).to_bytes(4, "little")


class CheckThatIgnoresTheFrameOfNothing(Crc32Codec):
    """Where there is nothing stored, there is nothing to prove, it thinks."""

    def check(self, seed: int, stored: Buffer) -> bytes:
        return super().check(seed, stored) if memoryview(stored).nbytes else bytes(4)


class CheckOfHalfTheSeed(Crc32Codec):
    def check(self, seed: int, stored: Buffer) -> bytes:
        return super().check(seed & 0xFFFF, stored)


class CheckThatDecodes(LevelCodec):
    """What does not decode is damaged, it thinks."""

    def check(self, seed: int, stored: Buffer) -> bytes:
        data = bytes(stored)
        if data[8:10] == b"x\x9c":
            try:
                self.decode(stored, FRAMELESS)
            except (ValueError, zlib.error):
                pass
        return super().check(seed, stored)


class CheckThatDecompresses(LevelCodec):
    """What does not decompress is damaged, whatever it is: without the decompressor, nobody can tell."""

    def check(self, seed: int, stored: Buffer) -> bytes:
        try:
            zlib.decompress(bytes(stored)[8:])
        except zlib.error:
            return bytes(self.check_bytes)
        return super().check(seed, stored)


class CheckWithTheKey(SealingCodec):
    def check(self, seed: int, stored: Buffer) -> bytes:
        return hashlib.blake2b(bytes(stored), key=self.key, salt=seed.to_bytes(4, "little"), digest_size=4).digest()


class CheckOfAnotherLength(Crc32Codec):
    check_bytes = 8


class CheckWithAPinch(Crc32Codec):
    """Salted, for safety, by each object."""

    def __init__(self) -> None:
        self.pinch = random.getrandbits(32)

    def check(self, seed: int, stored: Buffer) -> bytes:
        return crc32(stored, seed ^ self.pinch).to_bytes(4, "little")


class CheckOfTheFront(Crc32Codec):
    """The first 64 KiB will do."""

    def check(self, seed: int, stored: Buffer) -> bytes:
        return super().check(seed, memoryview(stored)[: 1 << 16])


class CheckThatAdds(Crc32Codec):
    """A sum does not know what came first."""

    def check(self, seed: int, stored: Buffer) -> bytes:
        data = bytes(stored)
        words = array("I", data + bytes(-len(data) % 4))
        return (seed + sum(words) & 0xFFFF_FFFF).to_bytes(4, "little")


# What it says of itself


class NameTooLong(Crc32Codec):
    name = "größer" * 10


class ParametersTooLarge(LevelCodec):
    def parameters(self) -> Mapping[str, object]:
        return {"dictionary": "x" * 400}


class ParametersThatAreNoJson(LevelCodec):
    """A tuple comes back as a list: the stamp is never what is given."""

    def parameters(self) -> Mapping[str, object]:
        return {"levels": (1, 6)}


class ParametersOfTheMoment(LevelCodec):
    counter: ClassVar[Any] = itertools.count()

    def parameters(self) -> Mapping[str, object]:
        return {"made": next(self.counter)}


class ParametersWithTheKey(SealingCodec):
    def parameters(self) -> Mapping[str, object]:
        return {"key": self.key.hex()}


class IdentityThatIsNone(LevelCodec):
    identity = True


class OptionThatIsNotStamped(LevelCodec):
    """What it is turned by, only who has made it knows: by its name alone, others read something else."""

    def __init__(self, level: int = 6, by: int = 0) -> None:
        super().__init__(level)
        self.by = by

    def encode(self, body: bytes, frame: FrameContext) -> bytes:
        return super().encode(body.translate(turned(self.by)), frame)

    def decode(self, stored: Buffer, frame: FrameContext) -> bytes:
        return super().decode(stored, frame).translate(turned(-self.by))


def turned(by: int) -> bytes:
    return bytes((byte + by) % 256 for byte in range(256))


class ParametersThatMakeNone(LevelCodec):
    """What is told of it is no option of it."""

    def parameters(self) -> Mapping[str, object]:
        return {"level": self.level, "what": "größer"}


class ParametersThatAreTakenForItsOwn(KeptCodec):
    """Whatever older segments were written with, it gives itself."""

    def with_parameters(self, parameters: Mapping[str, object]) -> KeptCodec:
        return self


class ParametersThatAreNotLookedAt(KeptCodec):
    """A stamp of a later release is a KeyError, or a TypeError."""

    def with_parameters(self, parameters: Mapping[str, object]) -> KeptCodec:
        return KeptCodec(parameters["level"] + 0)  # type: ignore[operator]


class NoMembers:
    name = "nothing"
    check_bytes = 4
    identity = True


# Bodies


class EmptyIsNothing(LevelCodec):
    def decode(self, stored: Buffer, frame: FrameContext) -> bytes:
        body = super().decode(stored, frame)
        if not body:
            raise ValueError("there is nothing here")
        return body


class BoundOfRandomBytes(LevelCodec):
    """Compressed is never larger, it thinks."""

    def encoded_bytes_max(self, body_bytes: int) -> int:
        return body_bytes + 8


class OneForItself(LevelCodec):
    """What it has stored, only this object decodes."""

    def __init__(self) -> None:
        super().__init__()
        self.mine = os.urandom(8)

    def encode(self, body: bytes, frame: FrameContext) -> bytes:
        return self.mine + super().encode(body, frame)

    def encoded_bytes_max(self, body_bytes: int) -> int:
        return super().encoded_bytes_max(body_bytes) + 8

    def decode(self, stored: Buffer, frame: FrameContext) -> bytes:
        if bytes(stored)[:8] != self.mine:
            raise ValueError("not mine")
        return super().decode(memoryview(stored)[8:], frame)


class OneThreadAtATime(LevelCodec):
    """The body on its way is kept in the object."""

    def encode(self, body: bytes, frame: FrameContext) -> bytes:
        self.body = body
        time.sleep(0.0002 if threading.active_count() > 2 else 0)
        return super().encode(self.body, frame)


class DecoderThatOverAllocates(LevelCodec):
    """It looks at the size once it has the body."""

    def decode(self, stored: Buffer, frame: FrameContext) -> bytes:
        data = bytes(stored)
        if data[:8] != place(frame):
            raise ValueError("elsewhere")
        body = zlib.decompress(data[8:])
        if len(body) > frame.body_bytes_max:
            raise ValueError("larger than any body of this log")
        return body


class DecoderWithoutALimit(LevelCodec):
    def decode(self, stored: Buffer, frame: FrameContext) -> bytes:
        return super().decode(stored, frame._replace(body_bytes_max=1 << 30))


class LimitThatIsNotReached(LevelCodec):
    """One byte below it is the end."""

    def decode(self, stored: Buffer, frame: FrameContext) -> bytes:
        body = super().decode(stored, frame)
        if len(body) >= frame.body_bytes_max:
            raise ValueError("larger than any body of this log")
        return body


class LimitIsPartOfTheFrame(SealingCodec):
    def associated(self, frame: FrameContext) -> bytes:
        return repr(frame).encode()


class GarbageIsFatal(LevelCodec):
    def decode(self, stored: Buffer, frame: FrameContext) -> bytes:
        try:
            return super().decode(stored, frame)
        except zlib.error as error:
            raise SystemExit(str(error)) from None


class GarbageIsAKeyError(LevelCodec):
    def decode(self, stored: Buffer, frame: FrameContext) -> bytes:
        kinds = {120: super().decode}
        return kinds[memoryview(stored)[8]](stored, frame) if memoryview(stored).nbytes > 8 else b""


# Encryption


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


FRAMELESS: Final = FrameContext(bytes(16), 1, 0, 512, 1, 1, 1 << 20)

Broken = tuple[type[CodecContract], str]


def of(base: type[OfCrc32], codec: Any, check: str) -> Broken:
    return type(f"Of{codec.__name__}", (base,), {"codec_type": codec}), check


class OfAnOption(OfDeflate):
    """With an option that is not its default."""

    def codec(self) -> Codec:
        return OptionThatIsNotStamped(by=13)


BROKEN: Final[list[Broken]] = [
    of(OfDeflate, CheckOfThePayloadOnly, "test_a_check_sees_every_flipped_bit"),
    of(OfCrc32, CheckThatIgnoresTheFrame, "test_a_check_is_started_from_the_frames_header"),
    of(OfCrc32, CheckThatIgnoresTheFrameOfNothing, "test_a_check_is_started_from_the_frames_header"),
    of(OfCrc32, CheckOfHalfTheSeed, "test_a_check_is_started_from_the_frames_header"),
    of(OfDeflate, CheckThatDecodes, "test_a_check_needs_no_decoding"),
    of(OfDeflate, CheckThatDecompresses, "test_a_check_needs_no_decoding"),
    of(OfSealing, CheckWithTheKey, "test_a_check_needs_no_key"),
    of(OfCrc32, CheckOfAnotherLength, "test_a_check_has_its_length"),
    of(OfCrc32, CheckWithAPinch, "test_a_check_is_always_the_same"),
    of(OfCrc32, NameTooLong, "test_its_name_fits_a_header"),
    of(OfDeflate, ParametersTooLarge, "test_its_parameters_are_small_json"),
    of(OfDeflate, ParametersThatAreNoJson, "test_its_parameters_are_small_json"),
    of(OfDeflate, ParametersOfTheMoment, "test_its_parameters_are_stable"),
    of(OfSealing, ParametersWithTheKey, "test_its_parameters_hold_no_secret"),
    of(OfCrc32, CheckOfTheFront, "test_a_check_sees_all_of_a_large_body_and_its_order"),
    of(OfCrc32, CheckThatAdds, "test_a_check_sees_all_of_a_large_body_and_its_order"),
    (OfAnOption, "test_its_parameters_are_enough"),
    of(OfDeflate, ParametersThatMakeNone, "test_its_parameters_are_enough"),
    of(OfDeflate, ParametersThatAreTakenForItsOwn, "test_parameters_that_it_does_not_know_are_refused"),
    of(OfDeflate, ParametersThatAreNotLookedAt, "test_parameters_that_it_does_not_know_are_refused"),
    of(OfSealing, NonceOfTheClock, "test_a_nonce_is_random_and_no_time"),
    of(OfSealing, NonceOfASeed, "test_a_nonce_is_random_and_no_time"),
    of(OfSealing, BelievesWhatItDoesNotKnow, "test_what_needs_no_key_is_refused"),
    of(OfDeflate, IdentityThatIsNone, "test_identity_is_what_it_says"),
    of(OfCrc32, NoMembers, "test_it_has_the_members"),
    of(OfDeflate, EmptyIsNothing, "test_a_body_comes_back"),
    of(OfDeflate, BoundOfRandomBytes, "test_no_body_is_stored_as_more_than_its_bound"),
    of(OfDeflate, OneForItself, "test_another_object_decodes"),
    of(OfDeflate, OneThreadAtATime, "test_threads_do_not_disturb_each_other"),
    of(OfDeflate, DecoderThatOverAllocates, "test_decode_is_bounded_before_it_allocates"),
    of(OfDeflate, DecoderWithoutALimit, "test_decode_is_bounded_before_it_allocates"),
    of(OfDeflate, LimitThatIsNotReached, "test_decode_takes_the_largest_body"),
    of(OfSealing, LimitIsPartOfTheFrame, "test_the_limit_is_no_part_of_the_frame"),
    of(OfDeflate, GarbageIsFatal, "test_what_was_not_encoded_is_refused"),
    of(OfDeflate, GarbageIsAKeyError, "test_what_was_not_encoded_is_refused"),
    of(OfSealing, NonceOfTheLsn, "test_no_nonce_comes_twice"),
    of(OfSealing, NonceThatCounts, "test_no_nonce_comes_twice"),
    of(OfSealing, FrameNotAssociated, "test_a_frame_elsewhere_is_refused"),
    of(OfSealing, OffsetNotAssociated, "test_a_frame_elsewhere_is_refused"),
    of(OfSealing, TagOfTheFront, "test_an_altered_frame_is_refused"),
    of(OfSealing, BelievesEverybody, "test_what_needs_no_key_is_refused"),
    of(OfSealing, BelievesPlainSegments, "test_what_needs_no_key_is_refused"),
    of(OfSealing, PlainWithATag, "test_the_body_does_not_show"),
    of(OfSealing, WrongKeyGivesSomething, "test_a_wrong_key_is_refused"),
]

__all__ = ["BROKEN", "OfCrc32", "OfDeflate", "OfSealing"]
