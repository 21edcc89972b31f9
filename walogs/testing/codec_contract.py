"""`CodecContract`: everything a codec owes, to be subclassed with one method."""

from __future__ import annotations

import base64
import json
import random
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Final
from unittest import mock

from walogs.assembly import open as open_log
from walogs.errors import WalError
from walogs.formats.native import CODEC_NAME_MAX, CODEC_PARAMETERS_MAX
from walogs.protocols import Codec, FrameContext, ReadsOtherParameters, RefusesOtherCodecs
from walogs.testing.contract import (
    Contract,
    NotOffered,
    after_the_rest,
    breaks,
    is_text,
    must,
    must_not_raise,
    must_raise,
    rests_on,
    shortened,
)
from walogs.testing.memory_disk import MemoryDisk
from walogs.testing.memory_store import MemoryStore
from walogs.testing.memory_use import peak_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["CodecContract"]

LIMIT: Final = 4 << 20
"""`body_bytes_max` where a check does not say otherwise."""
FRAME: Final = FrameContext(bytes(range(16)), 3, 0x1234_5678, 4096, 1207, 1, LIMIT)
ELSEWHERE: Final[dict[str, Any]] = {
    "log_id": bytes(range(1, 17)),
    "segment": 4,
    "salt": 0x1234_5679,
    "offset": 4104,
    "first_lsn": 1208,
    "entries": 2,
}
"""Another frame, one field at a time."""
SEEDS: Final = (0, 1, 0x1234_5678, 0xFFFF_FFFF)
BOMB_LIMIT: Final = 64 << 10
HEADROOM: Final = 12 << 20
"""What decoding may take beside the body: tables of a decompressor, and what else the process does meanwhile."""


class CodecContract(Contract):
    """Subclass it as `class TestMyCodec(CodecContract)` with a method `codec(self)`; pytest does the rest.

    What a codec can do beyond the protocol it declares by attributes of its own, which are optional, or the subclass
    does: `authenticates` (it refuses whatever was not encoded with its key for this very frame), `encrypts` (stored
    bytes tell nothing of the body). A declared one must work.
    """

    refusals: ClassVar[tuple[type[Exception], ...]] = (ValueError, WalError)
    """What `decode` raises, and nothing else, for bytes that it did not encode."""

    bomb_bytes: ClassVar[int] = 64 << 20
    """How large a body is that is to be refused before it is there; well above 12 MiB."""

    def codec(self) -> Codec:
        """A new codec object, each time with the same parameters (and the same key)."""
        raise NotImplementedError(f"{type(self).__name__}.codec(): the one method that every contract needs")

    def without_key(self) -> Codec:
        """The same, with another key or none: what `verify` has, and recovery."""
        raise NotOffered("needs without_key(): the same codec with another key")

    def made_with(self, parameters: Mapping[str, object]) -> Codec:
        """What its factory makes with these as options. Asked where it has no `with_parameters`; to be overridden
        where the factory is not the codec's class."""
        return type(self.codec())(**parameters)

    def secrets(self) -> Iterable[bytes]:
        """What must not be found in what the codec tells of itself: its keys."""
        raise NotOffered("needs secrets(): the keys, to be looked for")

    @property
    def authenticates(self) -> bool:
        """Whether the codec declares that a frame decodes nowhere but where it was encoded for."""
        return bool(getattr(self.codec(), "authenticates", False))

    @property
    def encrypts(self) -> bool:
        """Whether the codec declares that stored bytes tell nothing of the body but its size."""
        return bool(getattr(self.codec(), "encrypts", False))

    # What it says of itself

    def test_it_has_the_members(self) -> None:
        """`Codec`: "Body into stored bytes and back, and the proof that the stored bytes are intact." """
        codec = self.codec()
        must(isinstance(codec, Codec), "a member of Codec is missing")
        size: object = codec.check_bytes
        must(type(size) is int and size > 0, f"check_bytes is {size!r}: 1 or more")
        must(type(codec.identity) is bool, f"identity is {codec.identity!r}: True or False")

    def test_its_name_fits_a_header(self) -> None:
        """`Codec.name`: "at most 63 bytes of UTF-8". Printable, and the same for every object."""
        name = self.codec().name
        must(is_text(name), f"its name is {name!r}")
        size = len(must_not_raise(f"its name, {name!r}, as UTF-8", name.encode))
        must(size <= CODEC_NAME_MAX, f"its name is {size} bytes; {CODEC_NAME_MAX} fit")
        must(name.isprintable(), f"its name is {name!r}: it stands in messages")
        must(self.codec().name == name, f"another object has the name {self.codec().name!r}, not {name!r}")

    def test_its_parameters_are_small_json(self) -> None:
        """`Codec.parameters`: "Stamped in the segment header as JSON". They fit there, and come back as they were."""
        parameters = dict(self.codec().parameters())
        text = must_not_raise("as JSON", json.dumps, parameters, allow_nan=False, ensure_ascii=False)
        must(json.loads(text) == parameters, f"JSON gives back something else than {shortened(parameters)}")
        size = len(json.dumps(parameters, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())
        must(size <= CODEC_PARAMETERS_MAX, f"they are {size} bytes of JSON; {CODEC_PARAMETERS_MAX} fit")

    def test_its_parameters_are_stable(self) -> None:
        """`Codec.parameters`: "Stamped in the segment header". A log is refused whose stamp is not what is given."""
        codec = self.codec()
        before = dict(codec.parameters())
        codec.decode(codec.encode(b"a body", FRAME), FRAME)
        must(dict(codec.parameters()) == before, "they differ once it has been used")
        must(dict(self.codec().parameters()) == before, "another object with the same options has others")

    @rests_on("test_its_parameters_are_small_json", "test_its_parameters_are_stable", "test_another_object_decodes")
    def test_its_parameters_are_enough(self) -> None:
        """`Codec.parameters`: "A codec made with them as options has the same parameters, and reads the segment."
        Who opens a log by its stamp alone has nothing else."""
        codec = self.codec()
        stamped = json.loads(json.dumps(dict(codec.parameters())))
        remade = must_not_raise(f"a codec made with {shortened(stamped)}", self.remade, codec, stamped)
        must(remade.name == codec.name, f"made with its parameters it has the name {remade.name!r}")
        must(dict(remade.parameters()) == stamped, f"made with them it has others: {shortened(remade.parameters())}")
        for body in bodies():
            told = f"decode() of a body of {len(body)} bytes, by a codec made with its parameters"
            got = must_not_raise(told, remade.decode, codec.encode(body, FRAME), FRAME)
            must(got == body, f"{told}, gives another body")

    def remade(self, codec: Codec, parameters: Mapping[str, object]) -> Codec:
        """What walogs makes for a segment that is stamped with these parameters."""
        if isinstance(codec, ReadsOtherParameters):
            return codec.with_parameters(parameters)
        return self.made_with(parameters)

    def test_parameters_that_it_does_not_know_are_refused(self) -> None:
        """`ReadsOtherParameters.with_parameters`: "Raises `ValueError`: there is none, and why." Whatever a stamp
        says."""
        codec = self.codec()
        if not isinstance(codec, ReadsOtherParameters):
            raise NotOffered("it has no with_parameters(): it is made anew, by its name")
        own: dict[str, object] = dict(codec.parameters())
        others: list[dict[str, object]] = [
            {**own, "walogs-conformance": 1},
            {"walogs-conformance": "of another release"},
        ]
        others += [{**own, key: {"walogs-conformance": [own[key]]}} for key in own]
        others += [{**own, key: None} for key in own if own[key] is not None]
        others += [{key: own[key] for key in own if key != without} for without in own]
        for parameters in others:
            try:
                made = codec.with_parameters(parameters)
            except ValueError as refused:
                must(str(refused), f"with_parameters({shortened(parameters)}) is refused without a word")
                continue
            except Exception as error:  # noqa: BLE001 told
                breaks(f"with_parameters({shortened(parameters)}) raises {type(error).__name__}: {error}")
            told = f"with_parameters({shortened(parameters)}) gives a codec that has others"
            must(dict(made.parameters()) == parameters, told)

    def test_its_parameters_hold_no_secret(self) -> None:
        """`Codec.parameters`: "Never a secret." Nor its name, nor its repr: both stand in messages."""
        codec = self.codec()
        told = f"{codec.name} {json.dumps(dict(codec.parameters()))} {codec!r}"
        for secret in self.secrets():
            forms = {secret.hex(), repr(secret)[2:-1], secret.decode("latin-1"), str(int.from_bytes(secret, "big"))}
            forms |= {base64.b64encode(secret).decode(), base64.urlsafe_b64encode(secret).decode()}
            shows = any(form.lower() in told.lower() for form in forms)
            must(not shows, "a key stands in its parameters, name or repr")

    def test_identity_is_what_it_says(self) -> None:
        """`Codec.identity`: "`encode` and `decode` return the body as it is". The engine may leave both out."""
        codec = self.codec()
        if not codec.identity:
            raise NotOffered("identity is not declared")
        for body in bodies():
            must(codec.encode(body, FRAME) == body, f"encode() changes a body of {len(body)} bytes")
            must(codec.decode(body, FRAME) == body, f"decode() changes a body of {len(body)} bytes")

    # Round trips

    def test_a_body_comes_back(self) -> None:
        """`Codec.decode`: "The body." Of any size, from any buffer, as `bytes`, in any order."""
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
        """`Codec`: "Pure: no I/O, no clock." What one process has stored, another reads years later."""
        codec = self.codec()
        for body in bodies():
            stored = codec.encode(body, FRAME)
            got = must_not_raise("decode() by another object", self.codec().decode, stored, FRAME)
            must(got == body, f"another object decodes a body of {len(body)} bytes into another one")

    def test_no_body_is_stored_as_more_than_its_bound(self) -> None:
        """`Codec.encoded_bytes_max`: "No body of that length is stored as more than this". What cannot shrink, too."""
        codec = self.codec()
        for body in bodies():
            bound, size = codec.encoded_bytes_max(len(body)), len(codec.encode(body, FRAME))
            must(type(bound) is int, f"encoded_bytes_max({len(body)}) is {bound!r}")
            must(size <= bound, f"a body of {len(body)} bytes is stored as {size}; encoded_bytes_max says {bound}")
        for size in (64 << 20, 1 << 30):
            must(codec.encoded_bytes_max(size) > 0, f"encoded_bytes_max({size}) is {codec.encoded_bytes_max(size)}")

    @rests_on("test_decode_takes_the_largest_body")
    def test_the_limit_is_no_part_of_the_frame(self) -> None:
        """`FrameContext`: "all of it but `body_bytes_max`".
        A later release, or another reader, may set it otherwise."""
        codec, body = self.codec(), sample(5000)
        stored = codec.encode(body, FRAME)
        for limit in (len(body), LIMIT - 1, LIMIT * 64):
            told = f"decode() with body_bytes_max={limit} of what was encoded with {LIMIT}"
            got = must_not_raise(told, codec.decode, stored, FRAME._replace(body_bytes_max=limit))
            must(got == body, f"{told} gives another body")

    @rests_on("test_a_body_comes_back", "test_a_check_is_always_the_same")
    def test_threads_do_not_disturb_each_other(self) -> None:
        """`Codec`: "Called by one writing and many reading threads at a time." With one object."""
        codec, complaints = self.codec(), list[str]()
        start = threading.Barrier(8)

        def work(who: int) -> None:
            start.wait(10)
            try:
                for turn in range(30):
                    body = sample(3000 + 700 * who, who * 100 + turn)
                    frame = FRAME._replace(first_lsn=1 + turn, segment=1 + who)
                    stored = codec.encode(body, frame)
                    if codec.decode(stored, frame) != body:
                        complaints.append("a body came back changed")
                    if codec.check(who, stored) != codec.check(who, stored):
                        complaints.append("one check was two")
            except Exception as error:  # noqa: BLE001 told below
                complaints.append(f"{type(error).__name__}: {error}")

        threads = [threading.Thread(target=work, args=(who,)) for who in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        must(not complaints, f"with eight threads: {'; '.join(sorted(set(complaints))[:3])}")

    # The check

    def test_a_check_has_its_length(self) -> None:
        """`Codec.check_bytes`: "Length of what `check` returns." Over nothing, too."""
        codec = self.codec()
        for stored in checked(codec):
            for seed in SEEDS:
                check = codec.check(seed, stored)
                must(type(check) is bytes, f"check() gives {type(check).__name__}: bytes")
                told = f"check() gives {len(check)} bytes; check_bytes is {codec.check_bytes}"
                must(len(check) == codec.check_bytes, told)

    def test_a_check_is_always_the_same(self) -> None:
        """`Codec.check`: "Proof over what is stored".
        The same for the same bytes, whoever holds them, in what buffer."""
        codec, other = self.codec(), self.codec()
        for stored in checked(codec):
            for seed in SEEDS:
                first = codec.check(seed, stored)
                for lent in (stored, bytearray(stored), memoryview(stored), memoryview(b"?" + stored)[1:]):
                    must(codec.check(seed, lent) == first, f"two checks for the same {len(stored)} bytes")
                must(other.check(seed, stored) == first, f"another object has another check for {len(stored)} bytes")

    @rests_on("test_a_check_is_always_the_same")
    def test_a_check_sees_every_flipped_bit(self) -> None:
        """`Codec.check`: "Proof over what is stored". All of it, whatever the codec itself has put there."""
        codec = self.codec()
        for size in (1, 7, 120):
            stored, seed = codec.encode(sample(size), FRAME), 0x1234_5678
            check = codec.check(seed, stored)
            for bit in range(len(stored) * 8):
                changed = flipped(stored, bit)
                told = f"bit {bit} of {len(stored)} stored bytes was flipped, unseen"
                must(codec.check(seed, changed) != check, told)
        stored = codec.encode(random.Random(1).randbytes(20_000), FRAME)
        check = codec.check(0, stored)
        for start in range(0, len(stored), 512):
            lost = stored[:start] + bytes(min(512, len(stored) - start)) + stored[start + 512 :]
            must(lost == stored or codec.check(0, lost) != check, f"a lost sector at byte {start} was not seen")

    @rests_on("test_a_check_sees_every_flipped_bit")
    def test_a_check_sees_all_of_a_large_body_and_its_order(self) -> None:
        """`Codec.check`: "Proof over what is stored". To its very end, and of where each sector is."""
        stored = self.codec().encode(random.Random(2).randbytes(1 << 20), FRAME)
        codec, size = self.codec(), len(stored)
        check, rng = codec.check(7, stored), random.Random(3)
        for bit in (size * 8 - 1, *(rng.randrange(size * 8) for _ in range(20))):
            must(codec.check(7, flipped(stored, bit)) != check, f"bit {bit} of {size} bytes was flipped, unseen")
        for _ in range(10):
            one, other = sorted(rng.sample(range(size // 512), 2))
            moved = bytearray(stored)
            moved[one * 512 : one * 512 + 512] = stored[other * 512 : other * 512 + 512]
            moved[other * 512 : other * 512 + 512] = stored[one * 512 : one * 512 + 512]
            told = f"sectors {one} and {other} have changed places, and nobody sees it"
            must(codec.check(7, bytes(moved)) != check, told)

    @rests_on("test_a_check_needs_no_decoding")
    def test_a_check_is_started_from_the_frames_header(self) -> None:
        """`Codec.check`: "a body must not verify under another frame's header". Nor one of no bytes at all."""
        codec = self.codec()
        for stored in (b"", b"\0", codec.encode(b"", FRAME), codec.encode(sample(900), FRAME)):
            for seed in SEEDS:
                check = codec.check(seed, stored)
                for bit in range(32):
                    told = f"{len(stored)} bytes have one check under two headers: {seed:#x} and bit {bit} flipped"
                    must(codec.check(seed ^ 1 << bit, stored) != check, told)

    @rests_on("test_a_check_sees_every_flipped_bit", "test_a_check_is_always_the_same")
    def test_a_check_needs_no_decoding(self) -> None:
        """`Codec.check`: "damage shows without key or decompressor". It takes any bytes for what they are."""
        codec, body = self.codec(), sample(700)
        stored = codec.encode(body, FRAME)
        check = codec.check(7, stored)

        def refuses(*_: object) -> bytes:
            raise ContractBrokenByDecoding

        told = "check() decodes what it is to check"
        for name in ("decode", "encode"):
            with mock.patch.object(type(codec), name, refuses):
                must(must_not_raise(told, codec.check, 7, stored) == check, told)
        for seed in range(20):
            garbage = random.Random(seed).randbytes(1 + seed * 7)
            of_it = must_not_raise("check() of bytes that were never encoded", codec.check, 7, garbage)
            other = must_not_raise("check() of other such bytes", codec.check, 7, flipped(garbage, 3))
            must(of_it != other, "check() tells nothing of bytes that it did not encode: it must not look inside")

    @rests_on("test_its_parameters_hold_no_secret")
    def test_a_check_needs_no_key(self) -> None:
        """`Codec.check`: "damage shows without key or decompressor". With a wrong key, a log opens and verifies."""
        codec, keyless = self.codec(), self.without_key()
        must(keyless.name == codec.name, "without its key it has another name")
        must(dict(keyless.parameters()) == dict(codec.parameters()), "without its key it has other parameters")
        for stored in (b"", codec.encode(sample(900), FRAME)):
            got = must_not_raise("check() without the key", keyless.check, 7, stored)
            must(got == codec.check(7, stored), "without the key, intact bytes have another check")

    # What is not as it was encoded

    def test_decode_is_bounded_before_it_allocates(self) -> None:
        """`FrameContext.body_bytes_max`: "refuse before allocating".
        Few bytes can be made to say that they are many."""
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
        """`FrameContext.body_bytes_max`: "No body of this log is larger".
        One as large comes back; a byte more does not."""
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
        """`Codec.decode`: "bounded before it allocates".
        Garbage is refused with one of the declared errors, or decodes."""
        codec = self.codec()
        rng = random.Random(5)
        whole = codec.encode(sample(500), FRAME)
        garbage = [b"", b"\0", *(rng.randbytes(rng.randrange(1, 400)) for _ in range(150))]
        garbage += [whole[:size] for size in range(0, len(whole), 7)] + [whole + b"\0", whole * 2]
        garbage += [flipped(whole, rng.randrange(len(whole) * 8)) for _ in range(100)]
        for stored in garbage:
            try:
                body = codec.decode(stored, FRAME)
            except self.refusals:
                continue
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 `SystemExit` and `MemoryError` are no refusals either
                names = ", ".join(refusal.__name__ for refusal in self.refusals)
                breaks(f"decode() of garbage raised {type(error).__name__}: {error}; its refusals are {names}")
            must(type(body) is bytes and len(body) <= LIMIT, f"decode() of garbage gives {shortened(body)}")

    # Where it declares more

    def test_a_frame_elsewhere_is_refused(self) -> None:
        """`FrameContext`: "associated data for a codec that authenticates (all of it but `body_bytes_max`)"."""
        if not self.authenticates:
            raise NotOffered("authenticates is not declared")
        codec = self.codec()
        for body in (b"", sample(300)):
            stored = codec.encode(body, FRAME)
            for field, value in ELSEWHERE.items():
                frame = FRAME._replace(**{field: value})
                told = f"decode() of a frame under another {field}"
                must_raise(self.refusals, told, codec.decode, stored, frame)

    def test_an_altered_frame_is_refused(self) -> None:
        """`FrameContext`: "associated data for a codec that authenticates".
        Whoever can compute its check can alter none."""
        if not self.authenticates:
            raise NotOffered("authenticates is not declared")
        codec, stored = self.codec(), self.codec().encode(sample(60), FRAME)
        for bit in range(len(stored) * 8):
            altered = flipped(stored, bit)
            must_raise(self.refusals, f"decode() with bit {bit} altered", codec.decode, altered, FRAME)
        for size in range(len(stored)):
            must_raise(self.refusals, f"decode() of {size} bytes of it", codec.decode, stored[:size], FRAME)

    def test_what_needs_no_key_is_refused(self) -> None:
        """`RefusesOtherCodecs`: "segments of other codecs are not read beside its own". Whoever can write to the log
        could stamp one with a codec that needs no key."""
        if not self.authenticates:
            raise NotOffered("authenticates is not declared")
        codec = self.codec()
        told = "it is no RefusesOtherCodecs: a segment of another codec, which it authenticates nothing of, is believed"
        if not isinstance(codec, RefusesOtherCodecs):
            breaks(told)
        for name in ("crc32", "zstd", "walogs-conformance"):  # the built-in one, and whatever is installed beside it
            why: object = codec.refuses_codec(name)
            must(type(why) is str and bool(why), f"refuses_codec({name!r}) gives {why!r}: the reason and the next move")

    def test_no_nonce_comes_twice(self) -> None:
        """`FrameContext`: "A nonce is never made from it: LSN, salt and offset can all come twice." Nor from a
        counter."""
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
        """`Codec`: "Pure: no I/O, no clock." Two processes can ask the clock at one moment, and inherit one seed."""
        if not self.encrypts:
            raise NotOffered("encrypts is not declared")
        body, seen = sample(64), set[bytes]()
        before, now_ns = random.getstate(), time.time_ns()
        try:
            for _ in range(4):
                random.seed(1)  # as after a fork
                with stopped_clocks(now_ns):
                    stored = self.codec().encode(body, FRAME)
                must(stored not in seen, "at one time, or with one seed of the module random, nonces are the same")
                seen.add(stored)
        finally:
            random.setstate(before)

    def test_the_body_does_not_show(self) -> None:
        """`Codec.encode`: "What is stored for this body (compressed, encrypted, ...)." Encrypted means that none of
        it shows."""
        if not self.encrypts:
            raise NotOffered("encrypts is not declared")
        codec, body = self.codec(), sample(400)
        stored = codec.encode(body, FRAME)
        for start in range(len(body) - 8):
            shows = body[start : start + 8] in stored
            must(not shows, f"bytes {start} to {start + 8} of the body are stored as they are")

    def test_a_wrong_key_is_refused(self) -> None:
        """`Codec.decode`: "The body." Or an error, and never what a wrong key makes of it."""
        stored, keyless = self.codec().encode(sample(300), FRAME), self.without_key()
        must_raise(self.refusals, "decode() with a wrong key", keyless.decode, stored, FRAME)

    @after_the_rest
    def test_a_log_with_it_comes_back(self) -> None:
        """`Codec.decode`: "Called when entries are read, never by recovery".
        Through rotations, a power cut and a kill."""
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


@contextmanager
def stopped_clocks(now_ns: int) -> Iterator[None]:
    """Every clock of `time` says the same, for as long as this lasts."""
    with ExitStack() as stack:
        for clock in ("time", "monotonic", "perf_counter"):
            stack.enter_context(mock.patch.object(time, clock, return_value=now_ns / 1e9))
            stack.enter_context(mock.patch.object(time, f"{clock}_ns", return_value=now_ns))
        yield


class ContractBrokenByDecoding(Exception):
    """The check under way called what it must not."""


def never(*_: object) -> bytes:
    raise ContractBrokenByDecoding("recovery has called decode()")


def sample(size: int, seed: int = 0) -> bytes:
    """Random bytes: nothing makes fewer of them."""
    return random.Random(f"{size} {seed}").randbytes(size)


def checked(codec: Codec) -> list[bytes]:
    """Stored bytes, nothing among them, and what was never encoded."""
    return [b"", b"x", codec.encode(b"", FRAME), codec.encode(sample(900), FRAME), sample(10_001)]


def flipped(data: bytes, bit: int) -> bytes:
    at = bit // 8
    return data[:at] + bytes([data[at] ^ 1 << bit % 8]) + data[at + 1 :]


def bodies() -> Iterator[bytes]:
    """Of every size at which something may change, of random bytes, of zeros and of text."""
    for size in (0, 1, 2, 7, 8, 9, 63, 64, 65, 255, 256, 511, 512, 513, 4095, 4096, 4097, 65_535, 65_536, 65_537):
        yield sample(size)
    yield from (bytes(1), bytes(64), bytes(5000), bytes(1 << 20), sample(1 << 20))
    yield from (b"\xff" * 300, b"the same again, " * 4000)
