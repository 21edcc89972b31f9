"""The codec. It seals each body for the one frame that contains it, and makes the check of every frame with the key.

One byte before the body says how the body is packed. The byte is sealed with the body.

0  the body is not compressed
1  the body is compressed, as walogs-zstd stores it
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, Final, NoReturn

from walogs import Corrupt, UnsupportedFormat
from walogs_aead.errors import MissingKey, WrongKey
from walogs_aead.keys import Keys, KeySource, source_of
from walogs_aead.options import AeadOptions
from walogs_aead.place import associated_data, prefix_of
from walogs_aead.sealing import (
    CHECK_BYTES,
    CRC_BYTES,
    OVERHEAD,
    PROOF_BYTES,
    Forged,
    SealingKey,
    best_cipher,
    with_crc,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from typing_extensions import Buffer

    from walogs.plugins import Codec, FrameContext
    from walogs_aead.options import Cipher, Compression

AS_IT_IS: Final = b"\0"
COMPRESSED: Final = b"\1"


class AeadCodec:
    """A codec that encrypts bodies with a 32-byte key, and authenticates them with the place of their frame.

    *keys* is a mapping from key ids to keys, or a function that returns the key of an id. The function raises
    `LookupError` or returns None if it has no such key. The codec asks for a key when it first needs it. The other
    options are `AeadOptions`. Raises `ValueError` for options and keys that are not allowed.

    Without a key a log can still be opened and verified. Damage is detected then, but forged frames are not.
    """

    name: str = "aead"
    check_bytes: int = CHECK_BYTES
    identity: bool = False
    authenticates: bool = True
    encrypts: bool = True

    def __init__(
        self,
        keys: Keys | None = None,
        key_id: str = "1",
        key_env: str | None = None,
        key_file: Path | str | None = None,
        cipher: Cipher | None = None,
        compression: Compression = "none",
        reads: Sequence[str] = (),
    ) -> None:
        at: Any = key_file  # A str works too. The options say Path, so that a configuration file's path is relative.
        options = AeadOptions(
            key_id=key_id, key_env=key_env, key_file=at, cipher=cipher, compression=compression, reads=reads
        )
        self._take(source_of(keys, options), options)

    def _take(self, source: KeySource, options: AeadOptions) -> None:
        self.key_id = options.key_id
        self.cipher: Cipher = options.cipher or best_cipher()
        self._source = source
        self._prefix = prefix_of(self.cipher, self.key_id)
        self._packer = packer() if options.compression == "zstd" else None
        self._sealing: SealingKey | None = None
        self._has_no_key = False
        """True if `is_check` has asked for the key and there was none. It does not ask again for each frame."""
        self.reads = options.reads

    def __repr__(self) -> str:
        return f"AeadCodec(key_id={self.key_id!r}, cipher={self.cipher!r}, {self._source!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a codec with keys cannot be pickled: make the codec where it is used")

    def parameters(self) -> Mapping[str, object]:
        """Return the cipher and the key id. Each body says by itself whether it is compressed."""
        return {"cipher": self.cipher, "key_id": self.key_id}

    def with_parameters(self, parameters: Mapping[str, object]) -> Codec:
        """Return the codec of an older segment, with the keys of this one. Raises `ValueError` for other parameters."""
        if parameters.keys() != self.parameters().keys():  # A stamp must not say where keys are.
            raise ValueError(f"parameters that this release does not know: {', '.join(sorted(parameters))}")
        if parameters["cipher"] is None:  # None is the default of the option, and not the name of a cipher.
            raise ValueError("cipher is None, but the parameters of a segment name a cipher")
        stamped = AeadOptions(**parameters)  # type: ignore[arg-type]
        other = object.__new__(type(self))
        other._take(self._source, stamped)
        return other

    def refuses_codec(self, name: str) -> str:
        """Return why segments of another codec are refused, or "" if `reads` allows that codec.

        Nothing authenticates what another codec has written.
        """
        if name in self.reads:
            return ""
        why = f"{self.name} reads only encrypted segments: a person who can write to the log could have put it there"
        return f"{why}. If it is older than the encryption of the log, give the codec the option reads=({name!r},)"

    def encoded_bytes_max(self, body_bytes: int) -> int:
        """Return the most bytes that a body of this size is stored as. Packing adds at most one byte."""
        return OVERHEAD + 1 + body_bytes

    def encode(self, body: bytes, frame: FrameContext) -> bytes:
        """Pack and encrypt a body. Raises `MissingKey`, and any error of a function that was given as keys.

        Nothing is written then.
        """
        packed = AS_IT_IS + body if self._packer is None else self._packer.encode(body, frame)
        return self._key().seal(packed, associated_data(self._prefix, frame))

    def decode(self, stored: Buffer, frame: FrameContext) -> bytes:
        """Return the body. Raises `MissingKey`, `WrongKey`, and `walogs.Corrupt` for bytes altered or moved."""
        data = memoryview(stored)
        if len(data) <= OVERHEAD:
            raise refusal(frame, f"{len(data)} bytes are stored, which is less than any encrypted body")
        if len(data) > self.encoded_bytes_max(frame.body_bytes_max):
            raise refusal(frame, f"{len(data)} bytes are stored, and no body is over {frame.body_bytes_max}")
        key = self._key()
        if not key.is_of(data):
            where = f"entry {frame.first_lsn} (segment {frame.segment}, byte {frame.offset})"
            raise self._wrong_key(where, segment=frame.segment, offset=frame.offset, lsn=frame.first_lsn)
        try:
            packed = key.unseal(data, associated_data(self._prefix, frame))
        except Forged:
            why = f"its bytes are not what was encrypted for this place with the key {self.key_id!r}"
            raise refusal(frame, f"{why}: altered, replayed or moved") from None
        if packed[:1] == AS_IT_IS:
            return packed[1:]
        if packed[:1] != COMPRESSED:
            raise refusal(frame, f"its body is packed in a way that this release does not know ({packed[:1].hex()})")
        return packer().decode(packed, frame)

    def check(self, header: bytes, stored: Buffer) -> bytes:
        """Return the check of a frame. Raises `MissingKey`, and any error of a function that was given as keys."""
        return self._key().check(header, stored)

    def is_check(self, header: bytes, stored: Buffer, check: bytes) -> bool:
        """Return whether *check* belongs to these bytes. Raises `WrongKey`.

        Return False if the bytes are damaged, or were forged without the key. Without a key, accept all bytes that are
        not damaged.
        """
        if with_crc(header, stored, check[:-CRC_BYTES]) != check:
            return False
        key = self._key_if_any()
        if key is None:
            return True
        if check[PROOF_BYTES:-CRC_BYTES] != key.mark:
            raise self._wrong_key("what is there")
        return hmac.compare_digest(key.proof(header, stored), check[:PROOF_BYTES])

    def _key_if_any(self) -> SealingKey | None:
        if self._sealing is None and not self._has_no_key:
            try:
                return self._key()
            except MissingKey:
                self._has_no_key = True
        return self._sealing

    def _key(self) -> SealingKey:
        key = self._sealing
        if key is None:  # Two threads may each make one. Both are the same.
            key = self._sealing = SealingKey(self.cipher, self._source.key(self.key_id))
        return key

    def _wrong_key(self, where: str, **place: int) -> WrongKey:
        why = f"was encrypted with another key than the one that {self._source.told} has as {self.key_id!r}"
        return WrongKey(
            f"{where} {why}. Nothing was changed. Give the key of that time, under the same id.",
            key_id=self.key_id,
            **place,
        )


def packer() -> Codec:
    """Return the codec of walogs-zstd, which compresses bodies. Raises `UnsupportedFormat` if it is not installed."""
    try:
        from walogs_zstd import ZstdCodec
    except ImportError as error:
        why = "to compress bodies before they are encrypted, and to read such bodies, install walogs-zstd"
        move = "In a clone of walogs it is plugins/walogs-zstd: install that folder, or the extra walogs-aead[zstd]"
        raise UnsupportedFormat(f"{why}. {move}.", found="zstd") from error
    return ZstdCodec()


def refusal(frame: FrameContext, why: str) -> Corrupt:
    where = f"segment {frame.segment} is corrupt at byte {frame.offset} (entry {frame.first_lsn})"
    message = f"{where}: its check holds, but {why}. Nothing was changed. Restore the segment from a copy."
    return Corrupt(message, segment=frame.segment, offset=frame.offset, lsn=frame.first_lsn)


__all__: Final = ["AeadCodec"]
