"""Codecs that break one rule each, and the one check of the contract that must fail for each."""

from __future__ import annotations

import itertools
import os
import threading
import time
import zlib
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from typing_extensions import Buffer

from tests.kit.codecs import KeptCodec, LevelCodec, place
from tests.testing.codecs_broken_in_checks import (
    CheckOfAnotherLength,
    CheckOfAnyMark,
    CheckOfHalfTheSeed,
    CheckOfTheFront,
    CheckOfTheHeadersCrc,
    CheckOfTheLsn,
    CheckOfThePayloadOnly,
    CheckOfTheWholeHeader,
    CheckThatAdds,
    CheckThatBeginsWithAWord,
    CheckThatBeginsWithTheMark,
    CheckThatBelieves,
    CheckThatDecodes,
    CheckThatDecompresses,
    CheckThatIgnoresTheFrame,
    CheckThatIgnoresTheFrameOfNothing,
    CheckThatIsNoCrc32,
    CheckTooLong,
    CheckWithAPinch,
    CheckWithoutTheKey,
    CheckWithTheKey,
)
from tests.testing.sealing_codecs import (
    BelievesEverybody,
    BelievesPlainSegments,
    BelievesWhatItDoesNotKnow,
    FrameNotAssociated,
    LinkNotAssociated,
    NonceOfASeed,
    NonceOfTheClock,
    NonceOfTheLsn,
    NonceThatCounts,
    OfCrc32,
    OfDeflate,
    OffsetNotAssociated,
    OfSealing,
    PlainWithATag,
    SealingCodec,
    TagOfTheFront,
    TimeNotAssociated,
    WrongKeyGivesSomething,
)
from walogs.defaults.crc32_codec import Crc32Codec
from walogs.protocols import Codec, FrameContext
from walogs.testing import CodecContract

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
    of(OfCrc32, CheckThatIsNoCrc32, "test_a_check_by_crc32_is_one"),
    of(OfCrc32, CheckOfHalfTheSeed, "test_a_check_is_started_from_the_frames_header"),
    of(OfDeflate, CheckThatDecodes, "test_a_check_needs_no_decoding"),
    of(OfDeflate, CheckThatDecompresses, "test_a_check_needs_no_decoding"),
    of(OfSealing, CheckWithTheKey, "test_a_check_needs_no_key"),
    of(OfDeflate, CheckOfTheLsn, "test_a_check_is_started_from_the_frames_header"),
    of(OfCrc32, CheckOfTheWholeHeader, "test_a_check_is_started_from_the_frames_header"),
    of(OfDeflate, CheckThatBeginsWithAWord, "test_a_check_tells_frames_apart_by_its_first_bytes"),
    of(OfSealing, CheckThatBeginsWithTheMark, "test_a_check_tells_frames_apart_by_its_first_bytes"),
    of(OfSealing, CheckOfTheHeadersCrc, "test_a_check_with_a_key_covers_the_header_itself"),
    of(OfSealing, CheckWithoutTheKey, "test_a_check_cannot_be_made_without_its_key"),
    of(OfSealing, CheckOfAnyMark, "test_a_check_cannot_be_made_without_its_key"),
    of(OfSealing, CheckThatBelieves, "test_is_check_tells_its_own_checks"),
    of(OfDeflate, CheckTooLong, "test_it_has_the_members"),
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
    of(OfSealing, TimeNotAssociated, "test_a_frame_elsewhere_is_refused"),
    of(OfSealing, LinkNotAssociated, "test_a_frame_elsewhere_is_refused"),
    of(OfSealing, TagOfTheFront, "test_an_altered_frame_is_refused"),
    of(OfSealing, BelievesEverybody, "test_what_needs_no_key_is_refused"),
    of(OfSealing, BelievesPlainSegments, "test_what_needs_no_key_is_refused"),
    of(OfSealing, PlainWithATag, "test_the_body_does_not_show"),
    of(OfSealing, WrongKeyGivesSomething, "test_a_wrong_key_is_refused"),
]


__all__ = ["BROKEN", "OfCrc32", "OfDeflate", "OfSealing"]
