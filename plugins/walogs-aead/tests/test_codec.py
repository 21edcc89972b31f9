"""A body decodes with its key at its own place, and nowhere else, whatever CRC an attacker computes."""

from __future__ import annotations

import builtins
import copy
import hashlib
import hmac
import os
import pickle
import random
import zlib
from collections.abc import Callable
from typing import Any, Final, get_args

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

import walogs
from tests.system.children import seed_of
from walogs.plugins import Codec, FrameContext, ReparameterizableCodec
from walogs_aead import AeadCodec, AeadOptions, MissingKey, WrongKey, sealing
from walogs_aead.options import CIPHERS, Cipher
from walogs_aead.place import associated_data, prefix_of
from walogs_aead.sealing import OVERHEAD, with_crc

KEY: Final = bytes(range(32))
OTHER: Final = bytes(range(1, 33))
LIMIT: Final = 1 << 20
FRAME: Final = FrameContext(
    log_id=bytes(range(16)),
    segment=3,
    salt=0x1234_5678,
    offset=4096,
    first_lsn=1207,
    entries=2,
    time_ns=5,
    synced=4000,
    link=b"the link",
    body_bytes_max=LIMIT,
)
ELSEWHERE: Final[list[FrameContext]] = [
    FRAME._replace(log_id=bytes(range(1, 17))),
    FRAME._replace(log_id=bytes(range(15))),
    FRAME._replace(segment=4),
    FRAME._replace(salt=0x1234_5679),
    FRAME._replace(offset=4104),
    FRAME._replace(first_lsn=1208),
    FRAME._replace(entries=1),
    FRAME._replace(time_ns=6),
    FRAME._replace(synced=4096),
    FRAME._replace(link=b"the linc"),
    FRAME._replace(link=b"the li"),
]
HEADER: Final = bytes(range(48))
WORDS: Final = b"one tea, two milks; "


def make(cipher: Cipher | None = None, key: bytes = KEY, **options: Any) -> AeadCodec:
    return AeadCodec({"1": key}, cipher=cipher, **options)


@pytest.fixture(params=get_args(Cipher))
def codec(request: pytest.FixtureRequest) -> AeadCodec:
    return make(request.param)


def test_it_is_a_codec_that_reads_other_parameters(codec: AeadCodec) -> None:
    assert isinstance(codec, Codec)
    assert isinstance(codec, ReparameterizableCodec)
    assert (codec.name, codec.check_bytes, codec.identity) == ("aead", 28, False)
    assert codec.parameters() == {"cipher": codec.cipher, "key_id": "1"}


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_a_body_comes_back_and_keeps_its_bound(codec: AeadCodec, compression: Any) -> None:
    codec = make(codec.cipher, compression=compression)
    rng = random.Random(7)
    for size in (*range(20), 100, 5000, 65_537, LIMIT):
        for body in (rng.randbytes(size), bytes(size), (WORDS * size)[:size]):
            stored = codec.encode(body, FRAME)
            assert len(stored) <= codec.encoded_bytes_max(size) == size + OVERHEAD + 1
            for lent in (stored, bytearray(stored), memoryview(b"?" + stored)[1:]):
                assert make(codec.cipher).decode(lent, FRAME) == body


def test_compression_comes_before_encryption_and_is_no_parameter() -> None:
    plain, packing = make(), make(compression="zstd")
    assert len(packing.encode(WORDS * 1000, FRAME)) < 200 < len(plain.encode(WORDS * 1000, FRAME))
    assert plain.parameters() == packing.parameters()


def test_without_walogs_zstd_compression_is_refused_by_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = make(compression="zstd").encode(WORDS * 100, FRAME)
    imported = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "walogs_zstd":
            raise ImportError(name)
        return imported(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(walogs.UnsupportedFormat, match=r"walogs-aead\[zstd\]"):
        make(compression="zstd")
    with pytest.raises(walogs.UnsupportedFormat, match=r"walogs-aead\[zstd\]"):
        make().decode(stored, FRAME)


def test_the_limit_of_a_reader_is_no_part_of_the_place(codec: AeadCodec) -> None:
    stored = codec.encode(WORDS, FRAME)
    for limit in (len(WORDS), LIMIT - 1, LIMIT * 64):
        assert codec.decode(stored, FRAME._replace(body_bytes_max=limit)) == WORDS
    with pytest.raises(walogs.Corrupt, match="no body is over 19"):
        codec.decode(stored, FRAME._replace(body_bytes_max=len(WORDS) - 1))
    packed = make(codec.cipher, compression="zstd").encode(bytes(LIMIT), FRAME)
    with pytest.raises(walogs.Corrupt, match="no body is over 1000"):
        codec.decode(packed, FRAME._replace(body_bytes_max=1000))


# Forged


@pytest.mark.parametrize(
    "frame",
    ELSEWHERE,
    ids=[
        "log",
        "log's length",
        "segment",
        "salt",
        "offset",
        "LSN",
        "entries",
        "time",
        "synced",
        "link",
        "link's length",
    ],
)
def test_a_body_decodes_nowhere_else(codec: AeadCodec, frame: FrameContext) -> None:
    stored = codec.encode(WORDS, FRAME)
    with pytest.raises(walogs.Corrupt, match="altered, replayed or moved") as refused:
        codec.decode(stored, frame)
    assert (refused.value.segment, refused.value.offset, refused.value.lsn) == (
        frame.segment,
        frame.offset,
        frame.first_lsn,
    )


def test_every_altered_bit_is_refused(codec: AeadCodec) -> None:
    stored = codec.encode(WORDS, FRAME)
    for bit in range(len(stored) * 8):
        altered = bytearray(stored)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(WrongKey if bit < 64 else walogs.Corrupt):
            codec.decode(altered, FRAME)


def test_every_cut_and_whatever_is_added_is_refused(codec: AeadCodec) -> None:
    stored = codec.encode(WORDS, FRAME)
    for size in range(len(stored)):
        with pytest.raises(walogs.Corrupt):
            codec.decode(stored[:size], FRAME)
    for added in (b"\0", stored):
        with pytest.raises(walogs.Corrupt):
            codec.decode(stored + added, FRAME)


def test_what_another_cipher_or_key_id_sealed_is_refused() -> None:
    """The same key under another name: a header that was altered does not make a body mean something else."""
    both = AeadCodec({"1": KEY, "2": KEY}, "1", cipher="ChaCha20-Poly1305")
    stored = both.encode(WORDS, FRAME)
    for parameters in ({"cipher": "ChaCha20-Poly1305", "key_id": "2"}, {"cipher": "AES-256-GCM-SIV", "key_id": "1"}):
        with pytest.raises(walogs.Corrupt, match="altered, replayed or moved"):
            both.with_parameters(parameters).decode(stored, FRAME)
    assert both.with_parameters(both.parameters()).decode(stored, FRAME) == WORDS


@pytest.mark.guarantee("G6")
def test_the_check_sees_every_flipped_bit_and_belongs_to_its_frame(codec: AeadCodec) -> None:
    stored = codec.encode(WORDS, FRAME)
    check = codec.check(HEADER, stored)
    keyless = AeadCodec({}, cipher=codec.cipher)
    for bit in range(len(stored) * 8):
        flipped = bytearray(stored)
        flipped[bit // 8] ^= 1 << bit % 8
        assert codec.check(HEADER, flipped) != check
        assert not codec.is_check(HEADER, flipped, check)
        assert not keyless.is_check(HEADER, flipped, check)
    headers = [bytes(44) + number.to_bytes(4, "little") for number in range(1000)]
    assert len({codec.check(header, stored)[:8] for header in headers}) == 1000


def test_a_check_is_told_from_a_forged_one_with_the_key_alone(codec: AeadCodec) -> None:
    stored, keyless = codec.encode(WORDS, FRAME), AeadCodec({}, cipher=codec.cipher)
    check = codec.check(HEADER, stored)
    assert codec.is_check(HEADER, stored, check)
    assert keyless.is_check(HEADER, stored, check)
    for bit in range(24 * 8):
        proven = bytearray(check[:24])
        proven[bit // 8] ^= 1 << bit % 8
        forged = with_crc(HEADER, stored, bytes(proven))
        assert keyless.is_check(HEADER, stored, forged)
        if bit < 16 * 8:
            assert not codec.is_check(HEADER, stored, forged)
        else:
            with pytest.raises(WrongKey, match="'1'"):
                codec.is_check(HEADER, stored, forged)
    with pytest.raises(WrongKey, match="was encrypted with another key"):
        make(codec.cipher, OTHER).is_check(HEADER, stored, check)
    with pytest.raises(MissingKey):
        keyless.check(HEADER, stored)


def test_any_bytes_are_refused(codec: AeadCodec) -> None:
    rng = random.Random(seed_of("any bytes"))
    stored = codec.encode(b"", FRAME)
    for _ in range(500):
        noise = stored[:8] + rng.randbytes(rng.randrange(200))
        with pytest.raises(walogs.Corrupt):
            codec.decode(noise, FRAME)


# Nonces


def test_a_nonce_is_random_and_never_made_from_the_place(codec: AeadCodec) -> None:
    stored = {codec.encode(WORDS, FRAME) for _ in range(2000)}
    assert len({one[8:20] for one in stored}) == 2000
    assert len({one[20:] for one in stored}) == 2000
    assert {one[:8] for one in stored} == {next(iter(stored))[:8]}


def test_a_nonce_is_what_the_system_gives(codec: AeadCodec, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []

    def urandom(size: int) -> bytes:
        given.append(size)
        return b"N" * size

    monkeypatch.setattr(os, "urandom", urandom)
    assert codec.encode(WORDS, FRAME)[8:20] == b"N" * 12
    assert given == [12]


# Bytes on people's disks

PLACE: Final = (
    "77616c6f67732d616561642031000000"  # the magic
    "0f4145532d3235362d47434d2d534956"  # the cipher
    "0131"  # the key id
    "10000102030405060708090a0b0c0d0e0f"  # the log
    "0300000000000000"  # the segment
    "7856341200000000"  # the salt
    "0010000000000000"  # the offset
    "b704000000000000"  # the first LSN
    "0200000000000000"  # the entries
    "0500000000000000"  # the time
    "a00f000000000000"  # synced
    "08746865206c696e6b"  # the link
)
STORED: Final[dict[str, str]] = {
    "AES-256-GCM-SIV": (
        "7a1b3ca3ab3f2240"  # the mark of the key
        "6465666768696a6b6c6d6e6f"  # the nonce
        "1ce4f3848e2e3138dcc4ecff5d95608d9780e5733ad6db"
    ),
    "ChaCha20-Poly1305": ("7a1b3ca3ab3f22406465666768696a6b6c6d6e6f3476d4a6fcc018641943ece2099f37bbdf4aa51c60ed73"),
}


CHECK: Final = "f83dbf179c333f2f35e1f1cd6e57fcd47a1b3ca3ab3f22403539b45b"


@pytest.mark.guarantee("G20")
def test_the_associated_data_is_what_it_always_was() -> None:
    data = associated_data(prefix_of("AES-256-GCM-SIV", "1"), FRAME)
    assert data.hex() == PLACE
    assert associated_data(prefix_of("AES-256-GCM-SIV", "1"), FRAME._replace(body_bytes_max=1)) == data


@pytest.mark.guarantee("G20")
def test_what_was_stored_is_read_and_stored_again(codec: AeadCodec, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = bytes.fromhex(STORED[codec.cipher])
    assert codec.decode(stored, FRAME) == b"golden"
    monkeypatch.setattr(os, "urandom", lambda size: bytes(range(100, 100 + size)))
    assert codec.encode(b"golden", FRAME) == stored


@pytest.mark.guarantee("G20")
def test_a_check_is_what_it_always_was(codec: AeadCodec) -> None:
    check = codec.check(HEADER, b"stored")
    assert check.hex() == CHECK
    checks = hmac.digest(KEY, b"walogs-aead 1 key of the checks", "sha256")
    assert check[:16] == hashlib.blake2b(HEADER + b"stored", key=checks, digest_size=16).digest()
    assert check[24:] == zlib.crc32(b"stored" + check[:24], int.from_bytes(HEADER[-4:], "little")).to_bytes(4, "little")


def test_what_is_stored_is_what_the_cipher_alone_gives() -> None:
    stored = bytes.fromhex(STORED["AES-256-GCM-SIV"])
    assert AESGCMSIV(KEY).decrypt(stored[8:20], stored[20:], bytes.fromhex(PLACE)) == b"\0golden"
    assert hmac.digest(KEY, b"walogs-aead 1 mark of the key", "sha256")[:8] == stored[:8]


def test_no_two_places_are_one_text() -> None:
    """Lengths stand before what has one: no part of a name can pass for a part of the next."""
    prefixes = {prefix_of(cipher, key_id) for cipher in ("a", "aa", "") for key_id in ("a", "aa", "")}
    assert len(prefixes) == 9
    places = {associated_data(prefix_of("a", "1"), frame) for frame in (FRAME, *ELSEWHERE)}
    assert len(places) == len(ELSEWHERE) + 1


# Keys


def test_another_key_is_told_from_an_altered_body(codec: AeadCodec) -> None:
    stored = codec.encode(WORDS, FRAME)
    with pytest.raises(WrongKey, match=r"entry 1207 \(segment 3, byte 4096\).*has as '1'") as wrong:
        make(codec.cipher, OTHER).decode(stored, FRAME)
    assert (wrong.value.key_id, wrong.value.segment, wrong.value.offset, wrong.value.lsn) == ("1", 3, 4096, 1207)
    assert isinstance(wrong.value, walogs.WalError)
    assert not isinstance(wrong.value, walogs.Corrupt)
    assert pickle.loads(pickle.dumps(wrong.value)).key_id == "1"


def test_a_missing_key_is_named() -> None:
    codec = AeadCodec({"2": KEY}, "1")
    for call in (lambda: codec.encode(WORDS, FRAME), lambda: codec.decode(bytes(100), FRAME)):
        with pytest.raises(MissingKey, match="no key '1' from keys") as missing:
            call()
        assert missing.value.key_id == "1"


def test_older_segments_are_read_with_their_own_keys() -> None:
    old, new = make("ChaCha20-Poly1305"), AeadCodec({"1": KEY, "2": OTHER}, "2", cipher="AES-256-GCM-SIV")
    stored = old.encode(WORDS, FRAME)
    found = new.with_parameters(old.parameters())
    assert found.parameters() == old.parameters()
    assert found.decode(stored, FRAME) == WORDS


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"key_id": "1"},
        {"cipher": "rot13", "key_id": "1"},
        {"cipher": None, "key_id": "1"},
        {"cipher": "AES-256-GCM-SIV", "key_id": ""},
        {"cipher": "AES-256-GCM-SIV", "key_id": 1},
        {"cipher": "AES-256-GCM-SIV", "key_id": "1", "key_file": "/dev/zero"},
    ],
)
def test_a_stamp_that_no_codec_made_is_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"cipher|key_id|does not know"):
        make().with_parameters(parameters)


# Ciphers


def test_the_cipher_that_is_taken_is_one_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert make().cipher in CIPHERS
    stored = make("AES-256-GCM-SIV").encode(WORDS, FRAME)

    def absent(key: bytes) -> object:
        raise UnsupportedAlgorithm("not in this OpenSSL")

    monkeypatch.setattr(sealing, "AESGCMSIV", absent)
    monkeypatch.setattr(sealing, "CIPHERS", {**sealing.CIPHERS, "AES-256-GCM-SIV": absent})
    assert make().cipher == "ChaCha20-Poly1305"
    elsewhere = make().with_parameters({"cipher": "AES-256-GCM-SIV", "key_id": "1"})
    with pytest.raises(walogs.UnsupportedFormat, match=r"AES-256-GCM-SIV needs OpenSSL 3\.2"):
        elsewhere.check(HEADER, stored)
    with pytest.raises(walogs.UnsupportedFormat, match=r"AES-256-GCM-SIV needs OpenSSL 3\.2"):
        elsewhere.decode(stored, FRAME)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"cipher": "AES"}, "one of AES-256-GCM-SIV, ChaCha20-Poly1305"),
        ({"compression": "gzip"}, "one of none, zstd"),
        ({"key_env": "A", "key_file": "b"}, "one of them"),
        ({"key_env": ""}, "key_env"),
        ({"key_file": "a\0b"}, "key_file"),
        ({"key_env": 3}, "key_env"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], why: str) -> None:
    makers: list[Callable[..., object]] = [AeadOptions, AeadCodec]
    for maker in makers:
        with pytest.raises(ValueError, match=why):
            maker(**options)


def test_a_codec_with_keys_is_not_copied_by_accident() -> None:
    codec = make()
    codec.encode(WORDS, FRAME)
    for part in (codec, codec._source, codec._sealing):
        for duplicate in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="cannot be pickled"):
                duplicate(part)
