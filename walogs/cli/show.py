"""What `walogs info` tells: one set of facts; as a table on a terminal, as plain lines elsewhere, as JSON if asked."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from walogs.cli.status import printable
from walogs.types import Clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from walogs.types import RecoveryReport
    from walogs.wal import Wal


def facts_of(wal: Wal) -> dict[str, Any]:
    """Everything told, in values that JSON has."""
    report = wal.recovery_report
    return {
        "path": wal.path,
        "entries": wal.next_lsn - wal.first_lsn,
        "first_lsn": wal.first_lsn,
        "last_lsn": wal.last_lsn,
        "next_lsn": wal.next_lsn,
        "recovery": recovery_of(report),
        "segments": [asdict(segment) for segment in wal.segments()],
    }


def recovery_of(report: RecoveryReport) -> dict[str, Any]:
    """The report, its tail state named."""
    told = asdict(report)
    told["tail_state"] = {"state": type(report.tail_state).__name__, **told["tail_state"]}
    return told


def show(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(facts, indent=2))
    elif sys.stdout is not None and sys.stdout.isatty():
        show_table(facts)
    else:
        show_lines(facts)


def show_table(facts: dict[str, Any]) -> None:
    console = Console(highlight=False)
    summary = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for label, value in (*summary_of(facts), *unusual_in(facts)):
        summary.add_row(Text(label, style="bold"), Text(value))
    segments = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    for title in COLUMNS:
        segments.add_column(title, justify="right" if title == "size" else "left", no_wrap=title == "segment")
    for row in rows_of(facts):
        segments.add_row(*map(Text, row), style="bold" if row[-1] == "active" else None)
    console.print(summary)
    console.print(segments)


def show_lines(facts: dict[str, Any]) -> None:
    for label, value in (*summary_of(facts), *unusual_in(facts)):
        print(f"{label:<15}{value}")
    for name, numbers, size, committed, state in rows_of(facts):
        print(f"{'segment':<15}{name}, LSNs {numbers}, {size}, last commit {committed}, {state}")


COLUMNS: Final = ("segment", "LSNs", "size", "last commit", "state")


def rows_of(facts: dict[str, Any]) -> Iterator[tuple[str, str, str, str, str]]:
    """A row for each segment, oldest first."""
    for segment in facts["segments"]:
        yield (
            segment["name"],
            lsns(segment["first_lsn"], segment["last_lsn"]),
            sized(segment["size"]),
            at_utc(segment["last_commit_ns"]),
            "active" if segment["is_active"] else "sealed" if segment["is_sealed"] else "not sealed",
        )


def summary_of(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(label, value) of the log as a whole."""
    segments, recovery = facts["segments"], facts["recovery"]
    size = sum(segment["size"] for segment in segments)
    yield "log", printable(facts["path"])
    yield "entries", lsns(facts["first_lsn"], facts["last_lsn"]) + f" ({facts['entries']:,})" * bool(facts["entries"])
    yield "next LSN", str(facts["next_lsn"])
    yield "size", f"{sized(size)} in {counted(len(segments), 'segment', 'segments')}"
    yield "opened", f"{recovery['verdict']}, in {recovery['duration_seconds']:.3f} s"


def unusual_in(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(label, value) of what opening found and did, where that is more than nothing."""
    recovery = facts["recovery"]
    tail, rewritten_bytes = recovery["tail_state"], recovery["rewritten_bytes"]
    if tail["state"] != Clean.__name__:
        what = f"segment {tail['segment']} at byte {tail['offset']}, {tail['discarded_bytes']} bytes"
        yield "cut", f"{what}: an unfinished write, of which nothing was acknowledged"
    if rewritten_bytes:
        yield "written again", f"{sized(rewritten_bytes)} of intact frames at the end, so that what is read is durable"
    if recovery["removed_segments"]:
        removed = counted(recovery["removed_segments"], "segment", "segments")
        yield "removed", f"{removed} that an interrupted checkpoint had left"
    if recovery["unsealed_segments"]:
        yield "not sealed", f"{listed(recovery['unsealed_segments'])}: intact, only slower to read"


def lsns(first_lsn: int, last_lsn: int) -> str:
    if last_lsn < first_lsn:
        return "none"
    return str(first_lsn) if first_lsn == last_lsn else f"{first_lsn} to {last_lsn}"


def counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def listed(numbers: Sequence[int]) -> str:
    few = ", ".join(map(str, numbers[:8]))
    return few if len(numbers) <= 8 else f"{few} and {len(numbers) - 8} more"


def sized(size_bytes: int) -> str:
    """In the largest unit that leaves a whole number before the point."""
    if size_bytes < 1024:
        return f"{size_bytes} B"
    amount, unit = size_bytes / 1024, "KiB"
    for larger in ("MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.1f} {unit}"


def at_utc(unix_ns: int | None) -> str:
    if unix_ns is None:
        return "-"
    return datetime.fromtimestamp(unix_ns / 1e9, tz=UTC).strftime("%Y-%m-%d %H:%M:%SZ")
