"""Keys from objects, functions, variables and files; and nothing that is ever said repeats one."""

from __future__ import annotations

import base64
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

import walogs
from walogs.assembly import registry
from walogs.plugins import FrameContext
from walogs_aead import AeadCodec, AeadOptions, MissingKey, WrongKey

KEY: Final = bytes.fromhex("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")
OTHER: Final = bytes(range(200, 232))
FRAME: Final = FrameContext(
    log_id=bytes(16),
    segment=1,
    salt=7,
    offset=512,
    first_lsn=1,
    entries=1,
    time_ns=5,
    synced=512,
    link=bytes(8),
    body_bytes_max=1 << 20,
)
HEADER: Final = bytes(48)
CHECK: Final = AeadCodec({"1": KEY}).check(HEADER, b"stored")
FORMS: Final[dict[str, Callable[[bytes], str]]] = {
    "hex": bytes.hex,
    "HEX": lambda key: key.hex().upper(),
    "base64": lambda key: base64.b64encode(key).decode(),
    "urlsafe": lambda key: base64.urlsafe_b64encode(key).decode(),
    "unpadded": lambda key: base64.b64encode(key).decode().rstrip("="),
}


def works(codec: AeadCodec, key: bytes = KEY) -> None:
    """It has that key as the one of its id."""
    reference = AeadCodec({codec.key_id: key}, codec.key_id, cipher=codec.cipher)
    assert reference.decode(codec.encode(b"body", FRAME), FRAME) == b"body"
    assert codec.decode(reference.encode(b"body", FRAME), FRAME) == b"body"


@pytest.mark.parametrize("form", FORMS)
def test_a_key_from_a_variable_or_a_file(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = FORMS[form](KEY)
    file = tmp_path / "key"
    file.write_text(text + "\n")
    monkeypatch.setenv("ORDERS_KEY", text)
    works(AeadCodec(key_file=str(file)))
    works(AeadCodec(key_env="ORDERS_KEY", key_id="any"))
    monkeypatch.setenv("WALOGS_AEAD_KEY", text)
    works(AeadCodec())


def test_several_keys_in_one_place(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"old:{OTHER.hex()}\n2026:{base64.b64encode(KEY).decode()}, {bytes(32).hex()}\n")
    works(AeadCodec(key_file=str(file), key_id="mine"), bytes(32))
    file.write_text(f"old:{OTHER.hex()}\n2026:{base64.b64encode(KEY).decode()}\n")
    works(AeadCodec(key_file=str(file), key_id="2026"))
    works(AeadCodec(key_file=str(file), key_id="old"), OTHER)
    own = AeadCodec(key_file=str(file), key_id="2026")
    with pytest.raises(MissingKey, match=f"no key '1' from file {file}"):
        own.with_parameters({"cipher": own.cipher, "key_id": "1"}).encode(b"", FRAME)


def test_a_function_is_asked_once_for_each_id_when_it_is_needed() -> None:
    asked: list[str] = []

    def keys(key_id: str) -> bytes:
        asked.append(key_id)
        return {"1": KEY, "2": OTHER}[key_id]

    codec = AeadCodec(keys, "1")
    older = codec.with_parameters({"cipher": codec.cipher, "key_id": "2"})
    assert asked == []
    for _ in range(3):
        assert codec.decode(codec.encode(b"body", FRAME), FRAME) == b"body"
        assert older.decode(older.encode(b"body", FRAME), FRAME) == b"body"
    assert asked == ["1", "2"]


def test_a_function_that_has_no_key_is_not_asked_for_every_frame() -> None:
    asked: list[str] = []

    def keys(key_id: str) -> bytes:
        asked.append(key_id)
        raise LookupError(key_id)

    codec = AeadCodec(keys, "1")
    for _ in range(10):
        assert codec.is_check(HEADER, b"stored", CHECK)
    assert asked == ["1"]
    with pytest.raises(MissingKey):
        codec.encode(b"", FRAME)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (None, "no key of that id"),
        (KEY[:31], "it is 31 bytes"),
        ("k" * 32, "it gives str"),
        (KeyError, "no key of that id"),
    ],
)
def test_a_function_that_gives_no_key(answer: Any, why: str) -> None:
    def keys(key_id: str) -> bytes:
        if answer is KeyError:
            raise KeyError(key_id)
        return answer  # type: ignore[no-any-return]

    with pytest.raises(MissingKey, match=f"no key '1' from the function given as keys: .*{why}"):
        AeadCodec(keys).encode(b"", FRAME)


def test_what_a_function_raises_is_its_callers() -> None:
    def keys(key_id: str) -> bytes:
        raise ConnectionError("the vault does not answer")

    with pytest.raises(ConnectionError, match="the vault"):
        AeadCodec(keys).encode(b"", FRAME)


def test_what_is_not_there_is_missed_only_when_it_is_needed(tmp_path: Path) -> None:
    for codec, source in (
        (AeadCodec(key_env="NOT_SET"), "environment variable NOT_SET: it is not set"),
        (AeadCodec(), "environment variable WALOGS_AEAD_KEY: it is not set"),
        (AeadCodec(key_file=str(tmp_path / "absent")), "absent: there is no such file"),
        (AeadCodec(key_file=str(tmp_path)), "it is no regular file"),
        (AeadCodec(key_file="/dev/zero"), "it is no regular file"),
    ):
        assert codec.is_check(HEADER, b"stored", CHECK)
        with pytest.raises(MissingKey, match=source):
            codec.encode(b"", FRAME)


def test_a_fault_in_the_variable_that_nobody_named_does_not_keep_a_log_from_being_verified(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WALOGS_AEAD_KEY", KEY.hex()[:-2])
    codec = AeadCodec()
    assert codec.is_check(HEADER, b"stored", CHECK)
    with pytest.raises(MissingKey, match=r"WALOGS_AEAD_KEY, key 1: it is"):
        codec.encode(b"", FRAME)


WRONG: Final = {
    "31 bytes": (KEY[:31].hex(), "key 1"),
    "33 bytes": (KEY.hex() + "00", "key 1"),
    "16 bytes of base64": (base64.b64encode(KEY[:16]).decode(), "key 1: it is 16 bytes, and a key is 32"),
    "no hexadecimal": ("x" + KEY.hex()[1:], "key 1: it is neither"),
    "no base64": (
        base64.b64encode(KEY).decode()[:20] + "!" + base64.b64encode(KEY).decode()[21:],
        "key 1: it is neither",
    ),
    "a second one": (f"{KEY.hex()} {OTHER.hex()[:-2]}", "key 2"),
    "one id twice": (f"a:{KEY.hex()},a:{OTHER.hex()}", "key 2: a second key of the id 'a'"),
    "key and id exchanged": (f"{KEY.hex()}:2026", "key 1: an id is 1 to 32"),
    "no id": (f":{KEY.hex()}", "key 1: an id is 1 to 32"),
    "no key": ("2026:", "key 1"),
}


def tells_no_key(text: str) -> None:
    """No eight characters of one, in any form that a message could have."""
    for key in (KEY, OTHER):
        for form in (*FORMS.values(), lambda key: repr(key)[2:-1], lambda key: key.decode("latin-1")):
            told = form(key).lower()
            assert all(told[start : start + 8] not in text.lower() for start in range(len(told) - 8)), text


def message(error: BaseException) -> str:
    """All that it and its causes say, without the lines of source that a traceback shows."""
    found, seen = "", error
    while seen is not None:
        found += f"{seen!r} {seen} {getattr(seen, '__notes__', '')}\n"
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)  # type: ignore[assignment]
    return found


@pytest.mark.parametrize("case", WRONG)
def test_a_key_that_cannot_be_is_refused_by_its_source_and_never_repeated(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, why = WRONG[case]
    file = tmp_path / "keys"
    file.write_text(text)
    monkeypatch.setenv("ORDERS_KEY", text)
    for options, source in (
        ({"key_file": str(file)}, f"file {file}, "),
        ({"key_env": "ORDERS_KEY"}, "variable ORDERS_KEY, "),
    ):
        with pytest.raises(ValueError, match=why) as refused:
            AeadCodec(**options)
        assert source in str(refused.value)
        tells_no_key(message(refused.value))
        with pytest.raises(walogs.ConfigError) as config:
            registry.make("codec", "aead", options=AeadOptions(**options))
        tells_no_key(message(config.value))


def test_one_word_is_no_list_of_codecs() -> None:
    with pytest.raises(ValueError, match="reads='crc32': names of codecs, in a list"):
        AeadCodec(reads="crc32")


def test_a_file_that_is_no_text_or_too_large_is_no_file_of_keys(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    for content, why in ((b"\xff" + KEY, "it is no text"), (b"a" * (1 << 17), "more than 65536 bytes")):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=why):
            AeadCodec(key_file=str(file))


@pytest.mark.parametrize("keys", [{"1": KEY[:31]}, {"1": KEY + b"x"}, {"1": KEY.hex()}, {KEY.hex(): KEY}, [KEY], KEY])
def test_keys_that_cannot_be_are_refused(keys: Any) -> None:
    with pytest.raises(ValueError, match="keys") as refused:
        AeadCodec(keys)
    tells_no_key(message(refused.value))


def test_a_key_given_as_its_id_is_refused_and_not_repeated() -> None:
    for form in FORMS.values():
        for make in (AeadOptions, lambda key_id: AeadCodec({"1": KEY}, key_id)):
            with pytest.raises(ValueError, match="key_id: an id is") as refused:
                make(key_id=form(KEY))
            tells_no_key(message(refused.value))


def test_nothing_that_is_said_or_stored_holds_a_key(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    codec = AeadCodec({"1": KEY, "2": OTHER})
    said = [repr(codec), str(codec), json.dumps(dict(codec.parameters())), repr(walogs.WalConfig(codec=codec))]
    with walogs.open(tmp_path / "log", codec=codec) as wal:
        wal.append(b"body")
        said += [repr(wal), repr(wal.segments())]
    with pytest.raises(WrongKey) as wrong:
        walogs.open(tmp_path / "log", codec=AeadCodec({"1": OTHER}))
    said += [message(wrong.value), repr(codec._source), repr(codec._sealing), caplog.text]
    with walogs.open(tmp_path / "log", codec=AeadCodec({"9": KEY})) as wal, pytest.raises(MissingKey) as missing:
        wal.append(b"body")
    said.append(message(missing.value))
    tells_no_key("\n".join(said))
    for file in (tmp_path / "log").iterdir():
        content = file.read_bytes()
        assert KEY not in content
        assert b"body" not in content
        tells_no_key(content.decode("latin-1"))
    assert "WALOGS_AEAD_KEY" not in os.environ
