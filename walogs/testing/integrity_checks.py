"""The checks of a codec's `check` and `is_check`: every change to a frame is seen, without decoding it."""

from __future__ import annotations

import random
from unittest import mock

from walogs.errors import WalError
from walogs.formats.crc32 import crc32
from walogs.formats.native import is_check
from walogs.formats.native_checks import LINK_BYTES
from walogs.protocols import KeyedCodec, checks_by_crc32
from walogs.testing.codec_methods import CodecMethods
from walogs.testing.codec_samples import (
    CRC_BYTES,
    FRAME,
    HEADER,
    HEADERS,
    flip_bit,
    header_of,
    sample,
    stored_samples,
    with_crc,
)
from walogs.testing.contract import NotOffered, must, must_not_raise, rests_on

__all__ = ["IntegrityChecks"]


class IntegrityChecks(CodecMethods):
    """The checks of the proof that the bytes of a frame are intact."""

    def test_a_check_has_its_length(self) -> None:
        """`Codec`: "The length of what `check` returns, 1 to 64 bytes." Over nothing, too."""
        codec = self.codec()
        for stored in stored_samples(codec):
            for header in HEADERS:
                check = codec.check(header, stored)
                must(type(check) is bytes, f"check() gives {type(check).__name__}: bytes")
                told = f"check() gives {len(check)} bytes; check_bytes is {codec.check_bytes}"
                must(len(check) == codec.check_bytes, told)

    def test_a_check_is_always_the_same(self) -> None:
        """`Codec.check`: "Return a proof over *header* and the bytes stored after it." The same for the same bytes,
        whoever holds them, in what buffer."""
        codec, other = self.codec(), self.codec()
        for stored in stored_samples(codec):
            for header in HEADERS:
                first = codec.check(header, stored)
                for lent in (stored, bytearray(stored), memoryview(stored), memoryview(b"?" + stored)[1:]):
                    must(codec.check(header, lent) == first, f"two checks for the same {len(stored)} bytes")
                must(other.check(header, stored) == first, f"another object has another check for {len(stored)} bytes")

    @rests_on("test_a_check_is_always_the_same")
    def test_a_check_sees_every_flipped_bit(self) -> None:
        """`Codec.check`: "Return a proof over *header* and the bytes stored after it." All of it, whatever the codec
        itself has put there."""
        codec = self.codec()
        for size in (1, 7, 120):
            stored = codec.encode(sample(size), FRAME)
            check = codec.check(HEADER, stored)
            for bit in range(len(stored) * 8):
                changed = flip_bit(stored, bit)
                told = f"bit {bit} of {len(stored)} stored bytes was flipped, unseen"
                must(codec.check(HEADER, changed) != check, told)
        stored = codec.encode(random.Random(1).randbytes(20_000), FRAME)
        check = codec.check(HEADER, stored)
        for start in range(0, len(stored), 512):
            lost = stored[:start] + bytes(min(512, len(stored) - start)) + stored[start + 512 :]
            must(lost == stored or codec.check(HEADER, lost) != check, f"a lost sector at byte {start} was not seen")

    @rests_on("test_a_check_sees_every_flipped_bit")
    def test_a_check_sees_all_of_a_large_body_and_its_order(self) -> None:
        """`Codec.check`: "Return a proof over *header* and the bytes stored after it." To its very end, and of where
        each sector is."""
        stored = self.codec().encode(random.Random(2).randbytes(1 << 20), FRAME)
        codec, size = self.codec(), len(stored)
        check, rng = codec.check(HEADER, stored), random.Random(3)
        for bit in (size * 8 - 1, *(rng.randrange(size * 8) for _ in range(20))):
            must(codec.check(HEADER, flip_bit(stored, bit)) != check, f"bit {bit} of {size} bytes was flipped, unseen")
        for _ in range(10):
            one, other = sorted(rng.sample(range(size // 512), 2))
            moved = bytearray(stored)
            moved[one * 512 : one * 512 + 512] = stored[other * 512 : other * 512 + 512]
            moved[other * 512 : other * 512 + 512] = stored[one * 512 : one * 512 + 512]
            told = f"sectors {one} and {other} have changed places, and nobody sees it"
            must(codec.check(HEADER, bytes(moved)) != check, told)

    @rests_on("test_a_check_needs_no_decoding")
    def test_a_check_is_started_from_the_frames_header(self) -> None:
        """`Codec.check`: "A change to the header or the stored bytes gives another check". A body must not pass under
        another frame's header, nor one of no bytes at all, nor as a frame of another kind."""
        codec = self.codec()
        for stored in (b"", b"\0", codec.encode(b"", FRAME), codec.encode(sample(900), FRAME)):
            check = codec.check(HEADER, stored)
            for bit in range(len(HEADER[:-CRC_BYTES]) * 8):
                other = with_crc(flip_bit(HEADER[:-CRC_BYTES], bit))
                told = f"{len(stored)} bytes have one check under two headers, which differ in byte {bit // 8}"
                must(codec.check(other, stored) != check, told)
            for header in HEADERS:
                check = codec.check(header, stored)
                for bit in range((len(header) - CRC_BYTES) * 8, len(header) * 8):
                    told = f"{len(stored)} bytes have one check under two headers, with two CRCs"
                    must(codec.check(flip_bit(header, bit), stored) != check, told)

    @rests_on("test_a_check_is_started_from_the_frames_header", "test_a_check_sees_every_flipped_bit")
    def test_a_check_tells_frames_apart_by_its_first_bytes(self) -> None:
        """`Codec.check`: "which differs within its first 8 bytes. These are the link." Frames of two copies of a log
        are told apart by nothing else."""
        codec, seen = self.codec(), set[bytes]()
        bodies_of_one = [b"", *(codec.encode(sample(40, seed), FRAME) for seed in range(200))]
        headers = [header_of(FRAME._replace(first_lsn=lsn)) for lsn in range(1, 200)]
        pairs = [(HEADER, stored) for stored in bodies_of_one] + [(header, bodies_of_one[1]) for header in headers]
        for header, stored in pairs:
            seen.add(codec.check(header, stored)[:LINK_BYTES])
        must(len(seen) == len(pairs), f"{len(pairs)} frames have {len(seen)} different links")

    @rests_on(
        "test_a_check_has_its_length",
        "test_a_check_is_started_from_the_frames_header",
        "test_a_check_sees_all_of_a_large_body_and_its_order",
        "test_a_check_needs_no_decoding",
    )
    def test_a_check_by_crc32_is_one(self) -> None:
        """`Codec`: "If its `check` is the CRC-32 of the stored bytes, continued from the last four bytes of the
        header". The engine computes such a check itself."""
        codec = self.codec()
        if not checks_by_crc32(codec):
            raise NotOffered("it does not say checks_by_crc32: it is asked for every check")
        must(not isinstance(codec, KeyedCodec), "it says checks_by_crc32, and has is_check(), which nobody would call")
        for stored in stored_samples(codec):
            for header in HEADERS:
                crc = crc32(stored, int.from_bytes(header[-CRC_BYTES:], "little"))
                told = f"it says checks_by_crc32, and the check of {len(stored)} bytes is another"
                must(codec.check(header, stored) == crc.to_bytes(CRC_BYTES, "little"), told)

    @rests_on("test_a_check_sees_every_flipped_bit", "test_a_check_is_always_the_same")
    def test_a_check_needs_no_decoding(self) -> None:
        """`Codec.check`: "It shows damage without a decompressor." It takes any bytes for what they are."""
        codec, body = self.codec(), sample(700)
        stored = codec.encode(body, FRAME)
        check = codec.check(HEADER, stored)

        def refuses(*_: object) -> bytes:
            raise ContractBrokenByDecoding

        told = "check() decodes what it is to check"
        for name in ("decode", "encode"):
            with mock.patch.object(type(codec), name, refuses):
                must(must_not_raise(told, codec.check, HEADER, stored) == check, told)
        for seed in range(20):
            garbage = random.Random(seed).randbytes(1 + seed * 7)
            of_it = must_not_raise("check() of bytes that were never encoded", codec.check, HEADER, garbage)
            other = must_not_raise("check() of other such bytes", codec.check, HEADER, flip_bit(garbage, 3))
            must(of_it != other, "check() tells nothing of bytes that it did not encode: it must not look inside")

    @rests_on("test_its_parameters_hold_no_secret", "test_is_check_tells_its_own_checks")
    def test_a_check_needs_no_key(self) -> None:
        """`KeyedCodec.is_check`: "the codec never returns False for want of the right key". What is said to be damaged
        may be cut, so a wrong key must be an error, or no hindrance."""
        codec, keyless = self.codec(), self.without_key()
        must(keyless.name == codec.name, "without its key it has another name")
        must(dict(keyless.parameters()) == dict(codec.parameters()), "without its key it has other parameters")
        for stored in (b"", codec.encode(sample(900), FRAME)):
            check = codec.check(HEADER, stored)
            if not isinstance(keyless, KeyedCodec):
                got = must_not_raise("check() without the key", keyless.check, HEADER, stored)
                must(got == check, "without the key, intact bytes have another check")
                continue
            try:
                is_taken = keyless.is_check(HEADER, stored, check)
            except WalError as refused:
                must(str(refused), "is_check() with a wrong key is refused without a word")
            else:
                must(is_taken, "is_check() without the key says that intact bytes are damaged")

    @rests_on("test_a_check_sees_every_flipped_bit", "test_a_check_is_started_from_the_frames_header")
    def test_is_check_tells_its_own_checks(self) -> None:
        """`KeyedCodec.is_check`: "Return whether *check* is what `check` returns for *header* and *stored*, as far as
        the codec can tell." And False of all that is damaged."""
        codec = self.codec()
        if not isinstance(codec, KeyedCodec):
            raise NotOffered("it has no is_check(): what check() gives is compared")
        for stored in (b"", codec.encode(sample(90), FRAME)):
            for header in HEADERS:
                check = codec.check(header, stored)
                what = "is_check() of what check() has given"
                must(must_not_raise(what, codec.is_check, header, stored, check) is True, f"{what} is not True")
                damaged = [(header, stored, flip_bit(check, bit)) for bit in range(len(check) * 8)]
                damaged += [(header, flip_bit(stored, bit), check) for bit in range(0, len(stored) * 8, 5)]
                told = header[:-CRC_BYTES]
                damaged += [(with_crc(flip_bit(told, bit)), stored, check) for bit in range(0, len(told) * 8, 5)]
                damaged += [(header, stored, bytes(len(check))), (header, stored, check[:-1] + b"\0")]
                for one in damaged:
                    if one != (header, stored, check):
                        what = "is_check() of what was damaged"
                        must(must_not_raise(what, codec.is_check, *one) is False, f"{what} is not False")

    @rests_on("test_a_check_is_started_from_the_frames_header", "test_a_check_needs_no_key")
    def test_a_check_with_a_key_covers_the_header_itself(self) -> None:
        """`Codec.check`: "Return a proof over *header* and the bytes stored after it." Over its CRC alone it is none:
        whoever chooses four bytes of a header, of its time for one, gives it the CRC of any other."""
        if not self.authenticates:
            raise NotOffered("authenticates is not declared")
        codec = self.codec()
        for stored in (b"", codec.encode(sample(90), FRAME)):
            check = codec.check(HEADER, stored)
            for bit in range(len(HEADER[:-CRC_BYTES]) * 8):
                told = f"two headers of one CRC, which differ in byte {bit // 8}, have one check"
                must(codec.check(flip_bit(HEADER, bit), stored) != check, told)

    @rests_on("test_a_check_needs_no_key", "test_is_check_tells_its_own_checks")
    def test_a_check_cannot_be_made_without_its_key(self) -> None:
        """`Codec`: "If nobody can compute its `check` without its key". CHECKPOINTs, SEALs and the headers of segments
        have no other proof."""
        if not self.authenticates:
            raise NotOffered("authenticates is not declared")
        codec, keyless = self.codec(), self.without_key()
        for stored in (b"", codec.encode(sample(90), FRAME)):
            for header in HEADERS:
                try:
                    forged = keyless.check(header, stored)
                    is_taken = is_check(codec, header, stored, forged)
                except self.refusals:
                    continue
                must(not is_taken, "a check that was made without the key is believed")


class ContractBrokenByDecoding(Exception):
    """A call used the codec where it must not."""
