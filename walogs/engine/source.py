"""What reading and writing have in common: the store, the format, the codec, and how their complaints are worded."""

from __future__ import annotations

import time
from _thread import start_new_thread
from typing import TYPE_CHECKING, NamedTuple

from walogs.errors import Corrupt, UnsupportedFormat, WalError
from walogs.formats import walogs_rs
from walogs.formats.segment_format import Malformed, SegmentFormat, SegmentHeader
from walogs.protocols import Codec, SegmentStore, is_appendable

if TYPE_CHECKING:
    from collections.abc import Callable


def start_thread(run: Callable[[], None]) -> None:
    """It does not keep the interpreter from ending. Not by `threading.Thread`, whose start waits for the new thread: an
    exception from outside that met the new one before its first statement left it waiting for ever."""
    start_new_thread(run, ())


class Environment(NamedTuple):
    """What the engine takes from the world: given by assembly, so that tests can decide it."""

    clock: Callable[[], int]
    """Unix time in nanoseconds."""
    entropy: Callable[[int], bytes]
    """So many random bytes."""
    sleep: Callable[[float], None]
    """Wait so many seconds."""
    monotonic: Callable[[], int] = time.monotonic_ns
    """Nanoseconds since some moment; never goes back."""
    spawn: Callable[[Callable[[], None]], object] = start_thread
    """Start a thread that runs this. Raises `RuntimeError`: there can be none."""


class Source(NamedTuple):
    """The three components of one log, resolved once."""

    store: SegmentStore
    format: SegmentFormat
    codec: Codec
    """Of what is written from now on."""
    codec_parameters: bytes
    codec_named: Callable[[str, bytes], Codec]
    """The one that reads what is stamped with this name and these parameters. Raises `ConfigError`, `PluginError`,
    `UnsupportedFormat`."""

    def codec_of(self, segment: SegmentHeader) -> Codec:
        """The codec that a segment was written with. Raises nothing for one whose header was read by `header`."""
        if self.is_of_our_codec(segment):
            return self.codec
        return self.codec_named(segment.codec_name, segment.codec_parameters)

    def is_of_our_codec(self, segment: SegmentHeader) -> bool:
        return segment.codec_name == self.codec.name and segment.codec_parameters == self.codec_parameters

    def corrupt(
        self,
        why: str,
        number: int | None = None,
        offset: int | None = None,
        lsn: int | None = None,
        *,
        can_be_cut: bool = False,
    ) -> Corrupt:
        """A `Corrupt` that says where, why and the next move. *can_be_cut*: `recovery="prefix"` would open the log."""
        place = self.store.name if number is None else f"{self.store.segment_name(number)} in {self.store.name}"
        at = "" if offset is None else f" at byte {offset}"
        entry = "" if lsn is None else f" (entry {lsn})"
        cut = ', or accept the loss of everything after it with recovery="prefix"' if can_be_cut else ""
        move = f"Nothing was changed. `walogs verify` lists all damage; restore it from a copy{cut} (docs/damage.md)."
        return Corrupt(f"{place} is corrupt{at}{entry}: {why}. {move}", segment=number, offset=offset, lsn=lsn)

    def header(self, number: int) -> SegmentHeader:
        """The header of that segment. Raises `Missing`, `Corrupt`, `UnsupportedFormat`; a segment appears whole, so a
        bad header is never a torn one."""
        data = self.store.read(number, 0, self.format.traits.header_bytes)
        name = f"{self.store.segment_name(number)} in {self.store.name}"
        try:
            header = self.format.decode_header(data)
        except UnsupportedFormat as error:
            move = "Open it with the release of walogs that wrote it, or a later one. Nothing was changed."
            raise UnsupportedFormat(f"{name} has {error}. {move}", segment=number, found=error.found) from None
        except Malformed as error:
            if self._is_of_the_crate(number):
                why = "is of a log of the Rust crate walogs 0.1 (format walogs-rs), which this release does not read"
                move = "Give the new log a directory of its own. Nothing was changed."
                raise UnsupportedFormat(f"{name} {why}. {move}", segment=number, found="walogs-rs") from None
            raise self.corrupt(str(error), number, 0) from None
        if header.number != number:
            raise self.corrupt(f"it says that it is segment {header.number}: renamed, swapped or copied", number, 48)
        try:
            self.codec_of(header)
        except UnsupportedFormat as error:  # the codec at hand says itself why
            raise self._of_other_codec(header, str(error)) from error
        except WalError as error:
            move = "Open the log with the parameters it was written with"
            if header.codec_name != self.codec.name:
                move = f"Open the log with codec={header.codec_name!r}, and install the package that provides it"
            raise self._of_other_codec(header, f"{move} ({error})") from error
        return header

    def _is_of_the_crate(self, number: int) -> bool:
        """A new log of the crate is one empty segment; an empty one beside a witness or segments of ours is damage."""
        head = self.store.read(number, 0, walogs_rs.HEAD_BYTES)
        if head or not walogs_rs.recognises(head):
            return walogs_rs.recognises(head)
        if is_appendable(self.store) and self.store.read_witness() is not None:
            return False
        return not any(self.format.begins(self.store.read(other, 0, 8)) for other in self.store.segments())

    def refuse_other_codec(self, header: SegmentHeader) -> None:
        """For a writer that was not told to change the codec: it would go on with another by mistake."""
        if not self.is_of_our_codec(header):
            move = f"Open the log with codec={header.codec_name!r}, as it was written"
            raise self._of_other_codec(header, f"{move}; or go on in a new segment with change_codec=True")

    def _of_other_codec(self, header: SegmentHeader, move: str) -> UnsupportedFormat:
        name = f"{self.store.segment_name(header.number)} in {self.store.name}"
        if header.codec_name != self.codec.name:
            why = f"was written with codec {header.codec_name!r}, and opened with {self.codec.name!r}"
        else:
            written, given = header.codec_parameters.decode("utf-8", "replace"), self.codec_parameters.decode()
            why = f"was written with {self.codec.name} parameters {written}, and opened with {given}"
        message = f"{name} {why}. {move.rstrip('.')}. Nothing was changed."
        return UnsupportedFormat(message, segment=header.number, found=header.codec_name)
