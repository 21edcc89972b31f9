"""What can be chosen, and stand in a file for everybody to read: where the keys are, never a key."""

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
"""Characters. No key is so short, in hexadecimal or base64: one that is given as an id by mistake is refused."""


@dataclass(frozen=True, slots=True)
class AeadOptions:
    """Raises `ValueError` for what cannot be; the message repeats nothing that could be a key."""

    key_id: str = "1"
    """Which key new entries are encrypted with; stamped in every segment, so no secret."""
    key_env: str | None = None
    """The environment variable that holds the keys. None, and no `key_file` either: WALOGS_AEAD_KEY."""
    key_file: Path | None = None
    """The file that holds the keys; in a configuration file, relative to that."""
    cipher: Cipher | None = None
    """Stamped in every segment. None: AES-256-GCM-SIV where OpenSSL has it, else ChaCha20-Poly1305."""
    compression: Compression = "none"
    """`zstd`: bodies are compressed before they are encrypted, and their sizes tell something of what they hold."""
    reads: Sequence[str] = ()
    """Other codecs whose segments are read too: those that the log had before it was encrypted. Nobody authenticates
    them."""

    def __post_init__(self) -> None:
        check_key_id(self.key_id, "key_id")
        if self.cipher is not None and self.cipher not in CIPHERS:
            raise ValueError(f"cipher={self.cipher!r}: one of {', '.join(CIPHERS)}")
        if self.compression not in COMPRESSIONS:
            raise ValueError(f"compression={self.compression!r}: one of {', '.join(COMPRESSIONS)}")
        if self.key_env is not None and self.key_file is not None:
            raise ValueError("key_env and key_file: one of them, or neither")
        check_place(self.key_env, "key_env")
        check_place(str(self.key_file) if isinstance(self.key_file, Path) else self.key_file, "key_file")
        if isinstance(self.reads, str):  # a sequence of letters
            raise ValueError(f"reads={self.reads!r}: names of codecs, in a list")  # noqa: TRY004 (as all of the options are refused)


def check_place(name: object, what: str) -> None:
    """Raises `ValueError`."""
    if name is not None and (not isinstance(name, str) or not name or "\0" in name):
        raise ValueError(f"{what}: the name of what holds the keys, as text")


def check_key_id(key_id: object, what: str) -> None:
    """Raises `ValueError`, without the id itself."""
    is_good = isinstance(key_id, str) and 0 < len(key_id) <= KEY_ID_MAX and key_id.isascii() and key_id.isprintable()
    if not is_good or not set(str(key_id)).isdisjoint(" ,:"):
        rule = f"1 to {KEY_ID_MAX} printable ASCII characters without blank, comma or colon"
        raise ValueError(f"{what}: an id is {rule}; it is stored in clear, and is never the key")
