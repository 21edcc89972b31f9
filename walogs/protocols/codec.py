"""The contract of a codec, which encodes the body of each frame and checks it, and its optional members."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Buffer


class FrameContext(NamedTuple):
    """What a frame says beside its body, and the limit on bodies.

    A codec that authenticates uses all of it as associated data, except `body_bytes_max`. Never make a nonce from it:
    all of it can occur twice, if a log is copied and both copies grow.

    **log_id** -- 16 random bytes. Every segment of the log has them, and so does every copy of the log.

    **segment** -- The number of the segment that the frame is in.

    **salt** -- A random number that the segment and each of its frames contain.

    **offset** -- The place in the segment at which the frame begins, in bytes.

    **first_lsn** -- The LSN of the first entry in the frame.

    **entries** -- The number of entries in the frame.

    **time_ns** -- The time of the commit: Unix time, in nanoseconds.

    **synced** -- The watermark: the offset up to which the segment had been synced when the frame was written.

    **link** -- The first bytes of the check of the previous frame that has entries. This frame was written after it.

    **body_bytes_max** -- The size of the largest body in this log, in bytes. A codec refuses a larger body before it
    allocates memory for it.
    """

    log_id: bytes
    segment: int
    salt: int
    offset: int
    first_lsn: int
    entries: int
    time_ns: int
    synced: int
    link: bytes
    body_bytes_max: int


@runtime_checkable
class Codec(Protocol):
    """A component that turns a body into stored bytes and back, and proves that stored bytes are intact.

    A codec is pure: it does no I/O and uses no clock. One writing thread and many reading threads call it at the same
    time. If nobody can compute its `check` without its key, the codec says so with the attribute
    `authenticates = True`. The engine then checks every frame with the codec whenever it reads the frame. For other
    codecs, it may check one CRC of many frames instead.

    **name** -- The name in the stamp of every segment: at most 63 bytes of UTF-8. A log is read by the codec of that
    name. So the name is the one that the plugin registers, and it never changes.

    **check_bytes** -- The length of what `check` returns, 1 to 64 bytes. The check follows the body of each frame.

    **identity** -- Whether `encode` and `decode` return the body as it is. If so, the engine can leave out both calls.
    """

    name: str
    check_bytes: int
    identity: bool

    def parameters(self) -> Mapping[str, object]:
        """Return what decoding needs besides the name. It never contains a secret.

        The engine stamps the parameters in the segment header as JSON. A codec made with them as options has the same
        parameters, and reads the segment.
        """
        ...

    def encoded_bytes_max(self, body_bytes: int) -> int:
        """Return the most bytes that a body of this length can be stored as.

        The engine uses this limit to decide about rotation before it encodes the body.
        """
        ...

    def encode(self, body: bytes, frame: FrameContext) -> bytes:
        """Return the bytes to store for this body: compressed or encrypted, for example."""
        ...

    def decode(self, stored: Buffer, frame: FrameContext) -> bytes:
        """Return the body of these stored bytes. Limit its size before you allocate memory for it.

        The engine calls this when it reads entries, and never in recovery.
        """
        ...

    def check(self, header: bytes, stored: Buffer) -> bytes:
        """Return a proof over *header* and the bytes stored after it. It shows damage without a decompressor.

        *header* is the 48 bytes of the frame's header. They contain the kind, LSN, place and time of the frame, and the
        link to the frame before it. The last 4 bytes are a CRC-32 of the others, little-endian, and a CRC can continue
        from it. (A CRC over all 48 bytes is a constant, because they end with their own CRC.)

        A change to the header or the stored bytes gives another check, which differs within its first 8 bytes. These
        are the link. CHECKPOINTs (which store nothing), SEALs and the headers of segments are checked in the same way,
        under headers that name other kinds.
        """
        ...


@runtime_checkable
class KeyedCodec(Protocol):
    """The further member of a codec whose `check` needs a key. With it, a missing key is never taken for damage.

    For a codec without this member, the engine calls `check` and compares.
    """

    def is_check(self, header: bytes, stored: Buffer, check: bytes) -> bool:
        """Return whether *check* is what `check` returns for *header* and *stored*, as far as the codec can tell.

        *check* is `check_bytes` long. False means that the bytes are damaged, and damaged bytes at the end of a log may
        be cut. So the codec never returns False for want of the right key. Without a key, it accepts bytes that are not
        damaged. With another key than theirs, it raises a `WalError` of its own, and nothing is changed.
        """
        ...


@runtime_checkable
class ReparameterizableCodec(Protocol):
    """The further member of a codec that reads segments stamped with its name and other parameters than its own.

    A codec needs it if the parameters alone are not enough: for example, older segments were written with other keys.
    For a codec without this member, the engine makes a new codec by its name, as `factory(**parameters)`.
    """

    def with_parameters(self, parameters: Mapping[str, object]) -> Codec:
        """Return the codec that has exactly these parameters. Raise `ValueError`, with the reason, if none has."""
        ...


@runtime_checkable
class ExclusiveCodec(Protocol):
    """The further member of a codec that authenticates, so that segments of other codecs are not read beside its own.

    A segment says itself which codec it has. An attacker who can write to the log could stamp a segment with a codec
    that needs no key, and a reader would believe everything in it.
    """

    def refuses_codec(self, name: str) -> str:
        """Return why a segment stamped with another codec's *name* is not read, and what to do next. "" if it is."""
        ...


def authenticates(codec: Codec) -> bool:
    """Return whether the codec says that nobody can compute its check without its key."""
    return bool(getattr(codec, "authenticates", False))
