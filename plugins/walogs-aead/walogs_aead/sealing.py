"""One key, ready for use with one cipher.

A sealed body is 36 bytes larger than the packed body:

0   8  mark of the key: it identifies one of several keys of one id, and does not reveal the key
8  12  nonce: random, and not made from the place of the frame
20     the packed body, encrypted; then 16 bytes of proof

A check has 28 bytes:

0  16  proof: BLAKE2b of the header and the stored bytes, under a key that is derived from the key
16   8  mark of the key
24   4  CRC-32 of the stored bytes and of the 24 bytes before it, started from the header's CRC: it shows damage without
       the key, and tells a wrong proof from a damaged one
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV, ChaCha20Poly1305

from walogs import UnsupportedFormat
from walogs.plugins import crc32

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Buffer

    from walogs_aead.options import Cipher

MARK_BYTES: Final = 8
NONCE_BYTES: Final = 12
PROOF_BYTES: Final = 16
OVERHEAD: Final = MARK_BYTES + NONCE_BYTES + PROOF_BYTES
NONCE_END: Final = MARK_BYTES + NONCE_BYTES
MARKED: Final = b"walogs-aead 1 mark of the key"
CHECKED: Final = b"walogs-aead 1 key of the checks"
CRC_BYTES: Final = 4
CHECK_BYTES: Final = PROOF_BYTES + MARK_BYTES + CRC_BYTES


class Aead(Protocol):
    """An object of `cryptography` that encrypts with one key. Several threads can use it."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes: ...
    def decrypt(self, nonce: bytes, data: bytes | memoryview, associated_data: bytes, /) -> bytes: ...


CIPHERS: Final[Mapping[Cipher, type]] = {"AES-256-GCM-SIV": AESGCMSIV, "ChaCha20-Poly1305": ChaCha20Poly1305}


class Forged(Exception):
    """These bytes were not sealed with this key and this associated data."""


class SealingKey:
    """A key that seals bodies and makes checks. Raises `UnsupportedFormat` if this OpenSSL does not have the cipher."""

    __slots__ = ("_aead", "_checks", "mark")

    def __init__(self, cipher: Cipher, key: bytes) -> None:
        try:
            self._aead: Aead = CIPHERS[cipher](key)
        except UnsupportedAlgorithm:
            message = f"{cipher} needs OpenSSL 3.2 or later beneath the package cryptography"
            raise UnsupportedFormat(f"{message}: upgrade that. Nothing was changed.", found=cipher) from None
        self.mark = hmac.digest(key, MARKED, hashlib.sha256)[:MARK_BYTES]
        """It is the same for every use of the key. It shows where the key was used, and reveals nothing else."""

        self._checks = hmac.digest(key, CHECKED, hashlib.sha256)

    def proof(self, header: bytes, stored: Buffer) -> bytes:
        """Return the proof of a header and of the bytes stored after it, which nobody can make without the key.

        All headers have the same length, so the two need no separator.
        """
        proven = hashlib.blake2b(header, key=self._checks, digest_size=PROOF_BYTES)
        proven.update(stored)
        return proven.digest()

    def check(self, header: bytes, stored: Buffer) -> bytes:
        return with_crc(header, stored, self.proof(header, stored) + self.mark)

    def seal(self, data: bytes, associated_data: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return self.mark + nonce + self._aead.encrypt(nonce, data, associated_data)

    def is_of(self, stored: memoryview) -> bool:
        return hmac.compare_digest(stored[:MARK_BYTES], self.mark)

    def unseal(self, stored: memoryview, associated_data: bytes) -> bytes:
        """Return what was sealed. Raises `Forged` if it was not sealed with this key and this associated data."""
        try:
            return self._aead.decrypt(bytes(stored[MARK_BYTES:NONCE_END]), stored[NONCE_END:], associated_data)
        except InvalidTag:
            raise Forged from None

    def __repr__(self) -> str:
        return "<a key>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys cannot be pickled: make the codec where it is used")


def with_crc(header: bytes, stored: Buffer, proven: bytes) -> bytes:
    """Return a whole check, made from its proof and its mark."""
    crc = crc32(proven, crc32(stored, int.from_bytes(header[-CRC_BYTES:], "little")))
    return proven + crc.to_bytes(CRC_BYTES, "little")


def best_cipher() -> Cipher:
    """Return AES-256-GCM-SIV, where a nonce that comes twice reveals little; else ChaCha20-Poly1305."""
    try:
        AESGCMSIV(bytes(32))
    except UnsupportedAlgorithm:
        return "ChaCha20-Poly1305"
    return "AES-256-GCM-SIV"
