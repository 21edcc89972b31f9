"""The sources of keys. An error names the source of a key and the key's id, and never contains the key.

A variable or a file holds keys with blanks, commas or line breaks between them. Each key is 32 bytes, in hexadecimal or
base64, after its id and a colon (`2026:9f86d0…`). A key without an id has the id that `key_id` configures.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias

from walogs_aead.errors import MissingKey
from walogs_aead.options import check_key_id

if TYPE_CHECKING:
    from walogs_aead.options import AeadOptions

Keys: TypeAlias = Mapping[str, bytes] | Callable[[str], bytes]

KEY_BYTES: Final = 32
FILE_BYTES_MAX: Final = 1 << 16
DEFAULT_VARIABLE: Final = "WALOGS_AEAD_KEY"


class KeySource:
    """A source that returns the key of an id. It cannot be pickled, and its `repr` shows no key."""

    __slots__ = ("_find", "told")

    def __init__(self, told: str, find: Callable[[str], bytes | None]) -> None:
        self.told = told
        """The name of this source in messages."""
        self._find = find

    def key(self, key_id: str) -> bytes:
        """Return the key of an id. Raises `MissingKey`, and any error of a function that was given as keys."""
        try:
            key = self._find(key_id)
        except LookupError:
            key = None
        if key is None:
            self._refuse(key_id, "it has no key of that id")
        if not isinstance(key, bytes | bytearray | memoryview):
            self._refuse(key_id, f"it gives {type(key).__name__}, not bytes")
        if len(bytes(key)) != KEY_BYTES:
            self._refuse(key_id, f"it is {len(bytes(key))} bytes, and a key is {KEY_BYTES}")
        return bytes(key)

    def _refuse(self, key_id: str, why: str) -> NoReturn:
        raise MissingKey(
            f"no key {key_id!r} from {self.told}: {why}. The log itself can be opened and verified", key_id=key_id
        )

    def __repr__(self) -> str:
        return f"<keys from {self.told}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys cannot be pickled: make the codec where it is used")


def source_of(keys: Keys | None, options: AeadOptions) -> KeySource:
    """Return the source of the keys. Raises `ValueError` for keys that are there and not valid.

    A key that is not there raises `MissingKey` when it is needed, because opening and verifying a log need none.
    """
    if keys is not None:
        if options.key_env is not None or options.key_file is not None:
            raise ValueError("keys was given together with key_env or key_file: give only one of them")
        return from_object(keys)
    if options.key_file is not None:
        return from_file(options.key_file, options.key_id)
    if options.key_env is not None:
        return from_variable(options.key_env, options.key_id)
    try:
        return from_variable(DEFAULT_VARIABLE, options.key_id)
    except ValueError as error:  # The caller did not name this variable, and may only want to verify a log.
        return unusable(f"environment variable {DEFAULT_VARIABLE}", str(error))


def from_object(keys: Keys) -> KeySource:
    if callable(keys):
        return KeySource("the function given as keys", keys)
    if not isinstance(keys, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"keys: a mapping from ids to bytes, or a function, not {type(keys).__name__}")  # noqa: TRY004
    held = {}
    for key_id, key in keys.items():
        check_key_id(key_id, "keys")
        if not isinstance(key, bytes | bytearray):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"keys: the key {key_id!r} is {type(key).__name__}, not bytes")  # noqa: TRY004
        if len(key) != KEY_BYTES:
            raise ValueError(f"keys: the key {key_id!r} is {len(key)} bytes, and a key is {KEY_BYTES}")
        held[key_id] = bytes(key)
    return KeySource("keys", held.get)


def from_variable(name: str, own_id: str) -> KeySource:
    told = f"environment variable {name}"
    text = os.environ.get(name, "")
    return KeySource(told, parse_keys(text, own_id, told).get) if text.strip() else unusable(told, "it is not set")


def from_file(path: Path | str, own_id: str) -> KeySource:
    told = f"file {path}"
    try:
        if not Path(path).is_file():  # A pipe or a device could make the open wait for ever.
            return unusable(told, "there is no such file" if not Path(path).exists() else "it is no regular file")
        with open(path, "rb") as file:
            text = file.read(FILE_BYTES_MAX + 1).decode("ascii")
    except OSError as error:
        return unusable(told, error.strerror or type(error).__name__)
    except UnicodeDecodeError:
        raise ValueError(f"{told}: it is no text: keys are hexadecimal or base64") from None
    if len(text) > FILE_BYTES_MAX:
        raise ValueError(f"{told}: it has more than {FILE_BYTES_MAX} bytes, so it cannot be a file of keys")
    return KeySource(told, parse_keys(text, own_id, told).get)


def unusable(told: str, why: str) -> KeySource:
    def find(key_id: str) -> NoReturn:
        raise MissingKey(
            f"no key {key_id!r} from {told}: {why}. The log itself can be opened and verified", key_id=key_id
        )

    return KeySource(told, find)


def parse_keys(text: str, own_id: str, told: str) -> dict[str, bytes]:
    """Return the keys of a variable or a file, by their ids. Raises `ValueError`."""
    held: dict[str, bytes] = {}
    for position, word in enumerate(text.replace(",", " ").split(), 1):
        before, colon, key = word.rpartition(":")
        key_id = before if colon else own_id
        check_key_id(key_id, f"{told}, key {position}")
        if key_id in held:
            raise ValueError(f"{told}, key {position}: a second key of the id {key_id!r}")
        held[key_id] = decode_key(key, f"{told}, key {position}")
    return held


def decode_key(text: str, told: str) -> bytes:
    try:
        if len(text) == 2 * KEY_BYTES:
            key = bytes.fromhex(text)
        else:
            padded = text.translate(STANDARD).rstrip("=")
            key = base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True)
    except (ValueError, binascii.Error):
        raise ValueError(f"{told}: it is neither hexadecimal nor base64 of {KEY_BYTES} bytes") from None
    if len(key) != KEY_BYTES:
        raise ValueError(
            f"{told}: it is {len(key)} bytes, and a key is {KEY_BYTES} ({2 * KEY_BYTES} hexadecimal digits)"
        )
    return key


STANDARD: Final = str.maketrans("-_", "+/")
"""This makes the URL-safe alphabet of base64 acceptable too."""
