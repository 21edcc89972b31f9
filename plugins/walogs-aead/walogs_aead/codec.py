"""The codec: a byte that says how the body is packed, and the body, sealed for the one frame that holds it.

0  as it is
1  compressed, as walogs-zstd stores it
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

from walogs import Corrupt, UnsupportedFormat, crc32
from walogs_aead.errors import WrongKey
from walogs_aead.keys import Keys, KeySource, source_of
from walogs_aead.options import AeadOptions
from walogs_aead.place import associated_data, prefix_of
from walogs_aead.sealing import OVERHEAD, Forged, SealingKey, best_cipher

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from typing_extensions import Buffer

    from walogs import Codec, FrameContext
    from walogs_aead.options import Cipher, Compression

AS_IT_IS: Final = b"\0"
COMPRESSED: Final = b"\1"


class AeadCodec:
    """Bodies encrypted by a 32-byte key, and authenticated with the place of their frame.

    *keys*: a mapping from key ids to keys, or a function that gives the key of an id (`LookupError`, None: it has
    none); each is asked for when it is first needed. The other options are `AeadOptions`. Raises `ValueError` for
    options and keys that cannot be. Without a usable key, opening and verifying a log work all the same.
    """

    name: str = "aead"
    check_bytes: int = 4
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
        at: Any = key_file  # the options say Path, so that a configuration file's is relative to that; text is as good
        options = AeadOptions(key_id, key_env, at, cipher, compression, reads)
        self._take(source_of(keys, options), options)

    def _take(self, source: KeySource, options: AeadOptions) -> None:
        self.key_id = options.key_id
        self.cipher: Cipher = options.cipher or best_cipher()
        self._source = source
        self._prefix = prefix_of(self.cipher, self.key_id)
        self._packer = packer() if options.compression == "zstd" else None
        self._sealing: SealingKey | None = None
        self.reads = options.reads

    def __repr__(self) -> str:
        return f"AeadCodec(key_id={self.key_id!r}, cipher={self.cipher!r}, {self._source!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys are not pickled: make the codec where it is used")

    def parameters(self) -> Mapping[str, object]:
        """Which key and how; not whether bodies are compressed, which each says of itself."""
        return {"cipher": self.cipher, "key_id": self.key_id}

    def with_parameters(self, parameters: Mapping[str, object]) -> Codec:
        """The codec of an older segment, with the keys of this one. Raises `ValueError`."""
        if parameters.keys() != self.parameters().keys():  # a stamp does not say where keys are
            raise ValueError(f"parameters that this release does not know: {', '.join(sorted(parameters))}")
        if parameters["cipher"] is None:  # an option's default, and no name of what was used
            raise ValueError("cipher: a stamp names one")
        stamped = AeadOptions(**parameters)  # type: ignore[arg-type]
        other = object.__new__(type(self))
        other._take(self._source, stamped)
        return other

    def refuses_codec(self, name: str) -> str:
        """What another codec has written is authenticated by nobody; `reads` says where it is read all the same."""
        if name in self.reads:
            return ""
        why = f"{self.name} believes only what was encrypted: whoever can write to the log could have put it there"
        return f"{why}. If it is from before the log was encrypted, say so to the codec: reads=({name!r},)"

    def encoded_bytes_max(self, body_bytes: int) -> int:
        return OVERHEAD + 1 + body_bytes

    def encode(self, body: bytes, frame: FrameContext) -> bytes:
        """Raises `MissingKey`, and what a function that was given as keys raises: then nothing is written."""
        packed = AS_IT_IS + body if self._packer is None else self._packer.encode(body, frame)
        return self._key().seal(packed, associated_data(self._prefix, frame))

    def decode(self, stored: Buffer, frame: FrameContext) -> bytes:
        """Raises `MissingKey`, `WrongKey`, and `walogs.Corrupt` for what was altered, or encrypted elsewhere."""
        data = memoryview(stored)
        if len(data) <= OVERHEAD:
            raise refusal(frame, f"{len(data)} bytes are stored, which is less than any encrypted body")
        if len(data) > self.encoded_bytes_max(frame.body_bytes_max):
            raise refusal(frame, f"{len(data)} bytes are stored, and no body is over {frame.body_bytes_max}")
        key = self._key()
        if not key.is_of(data):
            raise self._wrong_key(frame)
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

    def check(self, seed: int, stored: Buffer) -> bytes:
        """Of what is stored, so that damage is told from intact by whoever has no key."""
        return crc32(stored, seed).to_bytes(4, "little")

    def _key(self) -> SealingKey:
        key = self._sealing
        if key is None:  # two threads may make it twice: both are the same
            key = self._sealing = SealingKey(self.cipher, self._source.key(self.key_id))
        return key

    def _wrong_key(self, frame: FrameContext) -> WrongKey:
        where = f"entry {frame.first_lsn} (segment {frame.segment}, byte {frame.offset})"
        why = f"was encrypted with another key than the one that {self._source.told} has as {self.key_id!r}"
        return WrongKey(
            f"{where} {why}. Nothing was changed. Give the key of that time, under the same id.",
            key_id=self.key_id,
            segment=frame.segment,
            offset=frame.offset,
            lsn=frame.first_lsn,
        )


def packer() -> Codec:
    """walogs-zstd, which packs and unpacks. Raises `UnsupportedFormat`: it is not installed."""
    try:
        from walogs_zstd import ZstdCodec
    except ImportError as error:
        message = "bodies compressed before they were encrypted need another package: pip install 'walogs-aead[zstd]'"
        raise UnsupportedFormat(message, found="zstd") from error
    return ZstdCodec()


def refusal(frame: FrameContext, why: str) -> Corrupt:
    where = f"segment {frame.segment} is corrupt at byte {frame.offset} (entry {frame.first_lsn})"
    message = f"{where}: its check holds, but {why}. Nothing was changed. Restore the segment from a copy."
    return Corrupt(message, segment=frame.segment, offset=frame.offset, lsn=frame.first_lsn)


__all__: Final = ["AeadCodec"]
