"""The checks of a codec with a key: what `authenticates` and `encrypts` declare."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING
from unittest import mock

from walogs.protocols import ExclusiveCodec
from walogs.testing.codec_methods import CodecMethods
from walogs.testing.codec_samples import ELSEWHERE, FRAME, flip_bit, sample
from walogs.testing.contract import NotOffered, breaks, must, must_raise, rests_on

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SecrecyChecks"]


class SecrecyChecks(CodecMethods):
    """The checks of the two abilities that a codec can declare, and of a codec that is given another key."""

    def test_a_frame_elsewhere_is_refused(self) -> None:
        """`FrameContext`: "A codec that authenticates uses all of it as associated data, except `body_bytes_max`." """
        if not self.authenticates:
            raise NotOffered("authenticates is not declared")
        if self.codec().identity:
            raise NotOffered("it is the identity: the engine never calls decode")
        codec = self.codec()
        for body in (b"", sample(300)):
            stored = codec.encode(body, FRAME)
            for field, value in ELSEWHERE.items():
                frame = FRAME._replace(**{field: value})
                told = f"decode() of a frame under another {field}"
                must_raise(self.refusals, told, codec.decode, stored, frame)

    def test_an_altered_frame_is_refused(self) -> None:
        """`FrameContext`: "A codec that authenticates uses all of it as associated data". Whoever can compute its check
        can alter none."""
        if not self.authenticates:
            raise NotOffered("authenticates is not declared")
        if self.codec().identity:
            raise NotOffered("it is the identity: the engine never calls decode")
        codec, stored = self.codec(), self.codec().encode(sample(60), FRAME)
        for bit in range(len(stored) * 8):
            altered = flip_bit(stored, bit)
            must_raise(self.refusals, f"decode() with bit {bit} altered", codec.decode, altered, FRAME)
        for size in range(len(stored)):
            must_raise(self.refusals, f"decode() of {size} bytes of it", codec.decode, stored[:size], FRAME)

    def test_what_needs_no_key_is_refused(self) -> None:
        """`ExclusiveCodec`: "segments of other codecs are not read beside its own". A forger could
        otherwise add a segment of a codec that needs no key."""
        if not self.authenticates:
            raise NotOffered("authenticates is not declared")
        codec = self.codec()
        told = "it is no ExclusiveCodec: a segment of another codec, which it authenticates nothing of, is believed"
        if not isinstance(codec, ExclusiveCodec):
            breaks(told)
        for name in ("crc32", "zstd", "walogs-conformance"):  # The built-in codec, and others that may be installed.
            why: object = codec.refuses_codec(name)
            must(type(why) is str and bool(why), f"refuses_codec({name!r}) gives {why!r}: the reason and the next move")

    def test_no_nonce_comes_twice(self) -> None:
        """`FrameContext`: "Never make a nonce from it: all of it can occur twice". Nor from a counter."""
        if not self.encrypts:
            raise NotOffered("encrypts is not declared")
        body, seen = sample(64), set[bytes]()
        for _ in range(8):
            codec = self.codec()
            for _ in range(8):
                stored = codec.encode(body, FRAME)
                must(stored not in seen, "one body, encoded twice for one frame, was stored as the same bytes")
                seen.add(stored)
        constant = [at for at in range(min(map(len, seen))) if len({stored[at] for stored in seen}) == 1]
        rest = min(map(len, seen)) - len(constant)
        must(rest > len(body), f"only {rest} stored bytes differ from one time to the next; the body has {len(body)}")

    @rests_on("test_no_nonce_comes_twice")
    def test_a_nonce_is_random_and_no_time(self) -> None:
        """`Codec`: "A codec is pure: it does no I/O and uses no clock." Two processes can ask the clock at one moment,
        and inherit one seed."""
        if not self.encrypts:
            raise NotOffered("encrypts is not declared")
        body, seen = sample(64), set[bytes]()
        before, now_ns = random.getstate(), time.time_ns()
        try:
            for _ in range(4):
                random.seed(1)  # Processes have the same seed after a fork.
                with stop_clocks(now_ns):
                    stored = self.codec().encode(body, FRAME)
                must(stored not in seen, "at one time, or with one seed of the module random, nonces are the same")
                seen.add(stored)
        finally:
            random.setstate(before)

    def test_the_body_does_not_show(self) -> None:
        """`Codec.encode`: "Return the bytes to store for this body". Encrypted means that none of it shows."""
        if not self.encrypts:
            raise NotOffered("encrypts is not declared")
        codec, body = self.codec(), sample(400)
        stored = codec.encode(body, FRAME)
        for start in range(len(body) - 8):
            shows = body[start : start + 8] in stored
            must(not shows, f"bytes {start} to {start + 8} of the body are stored as they are")

    def test_a_wrong_key_is_refused(self) -> None:
        """`Codec.decode`: "Return the body of these stored bytes." Or an error, and never what a wrong key makes of
        it."""
        stored, keyless = self.codec().encode(sample(300), FRAME), self.without_key()
        if keyless.identity:
            raise NotOffered("it is the identity: the engine never calls decode")
        must_raise(self.refusals, "decode() with a wrong key", keyless.decode, stored, FRAME)


@contextmanager
def stop_clocks(now_ns: int) -> Iterator[None]:
    """Make every clock of `time` return the same time, inside this context."""
    with ExitStack() as stack:
        for clock in ("time", "monotonic", "perf_counter"):
            stack.enter_context(mock.patch.object(time, clock, return_value=now_ns / 1e9))
            stack.enter_context(mock.patch.object(time, f"{clock}_ns", return_value=now_ns))
        yield
