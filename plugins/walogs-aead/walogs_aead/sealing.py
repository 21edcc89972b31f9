"""One key, ready for use with one cipher. Stored is, 36 bytes larger than what is sealed:

0   8  mark of the key: which of several keys of one id it was, without telling it
8  12  nonce: random, never made from where the frame is
20     what is sealed, encrypted; then 16 bytes of proof
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV, ChaCha20Poly1305

from walogs import UnsupportedFormat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from walogs_aead.options import Cipher

MARK_BYTES: Final = 8
NONCE_BYTES: Final = 12
PROOF_BYTES: Final = 16
OVERHEAD: Final = MARK_BYTES + NONCE_BYTES + PROOF_BYTES
NONCE_END: Final = MARK_BYTES + NONCE_BYTES
MARKED: Final = b"walogs-aead 1 mark of the key"


class Aead(Protocol):
    """What `cryptography` gives for a key. Its objects can be used by several threads."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes: ...
    def decrypt(self, nonce: bytes, data: bytes | memoryview, associated_data: bytes, /) -> bytes: ...


CIPHERS: Final[Mapping[Cipher, type]] = {"AES-256-GCM-SIV": AESGCMSIV, "ChaCha20-Poly1305": ChaCha20Poly1305}


class Forged(Exception):
    """Not what was sealed with this key, under this associated data."""


class SealingKey:
    """Raises `UnsupportedFormat`: OpenSSL here does not have the cipher."""

    __slots__ = ("_aead", "mark")

    def __init__(self, cipher: Cipher, key: bytes) -> None:
        try:
            self._aead: Aead = CIPHERS[cipher](key)
        except UnsupportedAlgorithm:
            message = f"{cipher} needs OpenSSL 3.2 or later beneath the package cryptography"
            raise UnsupportedFormat(f"{message}: upgrade that. Nothing was changed.", found=cipher) from None
        self.mark = hmac.digest(key, MARKED, hashlib.sha256)[:MARK_BYTES]
        """The same for every use of the key. Who has it can tell where else the key was used, and nothing more."""

    def seal(self, data: bytes, associated_data: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return self.mark + nonce + self._aead.encrypt(nonce, data, associated_data)

    def is_of(self, stored: memoryview) -> bool:
        return hmac.compare_digest(stored[:MARK_BYTES], self.mark)

    def unseal(self, stored: memoryview, associated_data: bytes) -> bytes:
        """Raises `Forged`."""
        try:
            return self._aead.decrypt(bytes(stored[MARK_BYTES:NONCE_END]), stored[NONCE_END:], associated_data)
        except InvalidTag:
            raise Forged from None

    def __repr__(self) -> str:
        return "<a key>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys are not pickled: make the codec where it is used")


def best_cipher() -> Cipher:
    """AES-256-GCM-SIV, where a nonce that comes twice by bad luck gives nothing away; or what is everywhere."""
    try:
        AESGCMSIV(bytes(32))
    except UnsupportedAlgorithm:
        return "ChaCha20-Poly1305"
    return "AES-256-GCM-SIV"
