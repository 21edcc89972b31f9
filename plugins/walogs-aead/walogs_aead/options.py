"""The options of the codec. They can be in a file that everybody can read: they say where keys are, and are no keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

Cipher: TypeAlias = Literal["AES-256-GCM-SIV", "ChaCha20-Poly1305"]
Compression: TypeAlias = Literal["none", "zstd"]

CIPHERS: Final[tuple[str, ...]] = get_args(Cipher)
COMPRESSIONS: Final[tuple[str, ...]] = get_args(Compression)
KEY_ID_MAX: Final = 32
"""In characters. Every key is longer, in hexadecimal and in base64, so a key that is given as an id is refused."""


@dataclass(frozen=True, slots=True)
class AeadOptions:
    """The options of `AeadCodec`. Raises `ValueError`, with a message that contains nothing that could be a key."""

    key_id: str = "1"
    """The id of the key that encrypts new entries. Every segment contains the id, so it must not be a secret."""
    key_env: str | None = None
    """The environment variable that holds the keys. If `key_file` is None too, it is WALOGS_AEAD_KEY."""
    key_file: Path | None = None
    """The file that holds the keys. In a configuration file, the path is relative to that file."""
    cipher: Cipher | None = None
    """The cipher, which every segment names. None: AES-256-GCM-SIV if OpenSSL has it, else ChaCha20-Poly1305."""
    compression: Compression = "none"
    """`zstd` compresses bodies before it encrypts them. Their sizes then reveal something of their contents."""
    reads: Sequence[str] = ()
    """Other codecs whose segments are also read, if the log was not always encrypted. Nothing authenticates them."""

    def __post_init__(self) -> None:
        check_key_id(self.key_id, "key_id")
        if self.cipher is not None and self.cipher not in CIPHERS:
            raise ValueError(f"cipher={self.cipher!r}: one of {', '.join(CIPHERS)}")
        if self.compression not in COMPRESSIONS:
            raise ValueError(f"compression={self.compression!r}: one of {', '.join(COMPRESSIONS)}")
        if self.key_env is not None and self.key_file is not None:
            raise ValueError("key_env and key_file were both given: give one of them, or neither")
        check_place(self.key_env, "key_env")
        check_place(str(self.key_file) if isinstance(self.key_file, Path) else self.key_file, "key_file")
        if isinstance(self.reads, str):  # A str is a sequence too, of letters.
            raise ValueError(f"reads={self.reads!r}: names of codecs, in a list")  # noqa: TRY004 (as all of the options are refused)


def check_place(name: object, what: str) -> None:
    """Raise `ValueError` if this cannot be the name of a variable or a file."""
    if name is not None and (not isinstance(name, str) or not name or "\0" in name):
        raise ValueError(f"{what}: it has to be the name of a variable or a file, as text")


def check_key_id(key_id: object, what: str) -> None:
    """Raise `ValueError` if this is not a key id. The message does not contain it: it could be a key."""
    is_good = isinstance(key_id, str) and 0 < len(key_id) <= KEY_ID_MAX and key_id.isascii() and key_id.isprintable()
    if not is_good or not set(str(key_id)).isdisjoint(" ,:"):
        rule = f"1 to {KEY_ID_MAX} printable ASCII characters without blank, comma or colon"
        raise ValueError(f"{what}: an id is {rule}; it is stored in clear, and is never the key")
