"""The checks of `encode` and `decode`: a body comes back, and all other bytes are refused within bounds."""

from __future__ import annotations

import random
import threading
from typing import Final

from walogs.foundation.foreign import describe_error
from walogs.testing.codec_methods import CodecMethods
from walogs.testing.codec_samples import FRAME, LIMIT, bodies, flip_bit, header_of, sample
from walogs.testing.contract import NotOffered, breaks, must, must_not_raise, must_raise, rests_on, shorten
from walogs.testing.memory_use import peak_of

__all__ = ["BodyChecks"]

BOMB_LIMIT: Final = 64 << 10
HEADROOM: Final = 12 << 20
"""The memory that decoding may take besides the body, in bytes: for a decompressor's tables, and for other work of the
process."""


class BodyChecks(CodecMethods):
    """The checks of what `encode` stores, and of what `decode` makes of it."""

    def test_a_body_comes_back(self) -> None:
        """`Codec.decode`: "Return the body of these stored bytes." Of any size, from any buffer, as `bytes`, in any
        order."""
        codec, stored = self.codec(), list[tuple[bytes, bytes]]()
        for body in bodies():
            stored.append((body, codec.encode(body, FRAME)))
            must(type(stored[-1][1]) is bytes, f"encode() gives {type(stored[-1][1]).__name__}: bytes")
        for body, kept in reversed(stored):
            for lent in (kept, bytearray(kept), memoryview(kept), memoryview(b"?" + kept)[1:]):
                told = f"decode() of a body of {len(body)} bytes, lent as {type(lent).__name__}"
                got = must_not_raise(told, codec.decode, lent, FRAME)
                must(type(got) is bytes, f"{told} gives {type(got).__name__}: bytes")
                must(got == body, f"{told} gives another body")

    @rests_on("test_a_body_comes_back")
    def test_another_object_decodes(self) -> None:
        """`Codec`: "A codec is pure: it does no I/O and uses no clock." What one process has stored, another reads
        years later."""
        codec = self.codec()
        for body in bodies():
            stored = codec.encode(body, FRAME)
            got = must_not_raise("decode() by another object", self.codec().decode, stored, FRAME)
            must(got == body, f"another object decodes a body of {len(body)} bytes into another one")

    def test_no_body_is_stored_as_more_than_its_bound(self) -> None:
        """`Codec.encoded_bytes_max`: "Return the most bytes that a body of this length can be stored as." What cannot
        shrink, too."""
        codec = self.codec()
        for body in bodies():
            bound, size = codec.encoded_bytes_max(len(body)), len(codec.encode(body, FRAME))
            must(type(bound) is int, f"encoded_bytes_max({len(body)}) is {bound!r}")
            must(size <= bound, f"a body of {len(body)} bytes is stored as {size}; encoded_bytes_max says {bound}")
        for size in (64 << 20, 1 << 30):
            must(codec.encoded_bytes_max(size) > 0, f"encoded_bytes_max({size}) is {codec.encoded_bytes_max(size)}")

    @rests_on("test_decode_takes_the_largest_body")
    def test_the_limit_is_no_part_of_the_frame(self) -> None:
        """`FrameContext`: "all of it as associated data, except `body_bytes_max`". A later release, or another reader,
        may set it otherwise."""
        codec, body = self.codec(), sample(5000)
        stored = codec.encode(body, FRAME)
        for limit in (len(body), LIMIT - 1, LIMIT * 64):
            told = f"decode() with body_bytes_max={limit} of what was encoded with {LIMIT}"
            got = must_not_raise(told, codec.decode, stored, FRAME._replace(body_bytes_max=limit))
            must(got == body, f"{told} gives another body")

    @rests_on("test_a_body_comes_back", "test_a_check_is_always_the_same")
    def test_threads_do_not_disturb_each_other(self) -> None:
        """`Codec`: "One writing thread and many reading threads call it at the same time." With one object."""
        codec, complaints = self.codec(), list[str]()
        start = threading.Barrier(8)

        def work(who: int) -> None:
            start.wait(300)
            try:
                for turn in range(30):
                    body = sample(3000 + 700 * who, who * 100 + turn)
                    frame = FRAME._replace(first_lsn=1 + turn, segment=1 + who)
                    stored = codec.encode(body, frame)
                    if codec.decode(stored, frame) != body:
                        complaints.append("a body came back changed")
                    if codec.check(header_of(frame), stored) != codec.check(header_of(frame), stored):
                        complaints.append("one check was two")
            except Exception as error:  # noqa: BLE001 (reported below)
                complaints.append(describe_error(error))

        threads = [threading.Thread(target=work, args=(who,)) for who in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        must(not complaints, f"with eight threads: {'; '.join(sorted(set(complaints))[:3])}")

    # Bytes that were not encoded like this

    def test_decode_is_bounded_before_it_allocates(self) -> None:
        """`FrameContext.body_bytes_max`: "A codec refuses a larger body before it allocates memory for it." Few bytes
        can be made to say that they are many."""
        codec = self.codec()
        if codec.identity:
            raise NotOffered("it is the identity: the engine never calls decode")
        bomb = self.bomb_bytes
        stored = codec.encode(bytes(bomb), FRAME._replace(body_bytes_max=bomb))
        frame = FRAME._replace(body_bytes_max=BOMB_LIMIT)
        must_raise(self.refusals, "decode() of a body above body_bytes_max", codec.decode, stored, frame)
        peak = peak_of(lambda: codec.decode(stored, frame))
        told = f"to refuse {bomb >> 20} MiB where {BOMB_LIMIT >> 10} KiB are the limit, decode() took {peak >> 20} MiB"
        must(peak < HEADROOM, told)

    @rests_on("test_a_body_comes_back", "test_decode_is_bounded_before_it_allocates")
    def test_decode_takes_the_largest_body(self) -> None:
        """`FrameContext.body_bytes_max`: "The size of the largest body in this log, in bytes." One as large comes back;
        a byte more does not."""
        codec = self.codec()
        for limit in (1, 1000, 65_536):
            frame = FRAME._replace(body_bytes_max=limit)
            for body in (sample(limit), bytes(limit)):
                told = f"decode() of a body of body_bytes_max ({limit}) bytes"
                got = must_not_raise(told, codec.decode, codec.encode(body, frame), frame)
                must(got == body, f"{told} gives another body")
            if not codec.identity:
                longer = codec.encode(bytes(limit + 1), FRAME)
                must_raise(self.refusals, f"decode() above {limit} bytes", codec.decode, longer, frame)

    def test_what_was_not_encoded_is_refused(self) -> None:
        """`Codec.decode`: "Limit its size before you allocate memory for it." Garbage is refused with one of the
        declared errors, or decodes."""
        codec = self.codec()
        rng = random.Random(5)
        whole = codec.encode(sample(500), FRAME)
        garbage = [b"", b"\0", *(rng.randbytes(rng.randrange(1, 400)) for _ in range(150))]
        garbage += [whole[:size] for size in range(0, len(whole), 7)] + [whole + b"\0", whole * 2]
        garbage += [flip_bit(whole, rng.randrange(len(whole) * 8)) for _ in range(100)]
        for stored in garbage:
            try:
                body = codec.decode(stored, FRAME)
            except self.refusals:
                continue
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 (`SystemExit` and `MemoryError` are not allowed either)
                names = ", ".join(refusal.__name__ for refusal in self.refusals)
                breaks(f"decode() of garbage raised {describe_error(error)}; its refusals are {names}")
            must(type(body) is bytes and len(body) <= LIMIT, f"decode() of garbage gives {shorten(body)}")
