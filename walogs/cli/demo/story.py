"""The text that `walogs demo` prints before and after each part."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from rich.text import Text

from walogs.cli.demo import writer
from walogs.cli.status import printable
from walogs.types import Clean

if TYPE_CHECKING:
    from rich.console import Console

    from walogs.cli.demo.facts import Damage, FlippedBit, Kill, PowerCut


def before_kill(console: Console) -> None:
    heading(console, "1. A writer is killed")
    prose(
        console,
        f"A child process appends the lines of {writer.FILE_NAME}, each as an entry, and prints each LSN"
        " that append returned. While it writes, it is killed with SIGKILL. Then the log is opened again.",
    )


def after_kill(console: Console, kill: Kill) -> None:
    fact(console, "acknowledged", f"{kill.acknowledged} entries, before the kill")
    fact(console, "recovered", f"{kill.recovered} entries, {kill.tail_state}")
    if kill.wrong is not None:
        complaint(console, kill.wrong)
        return
    if kill.recovered > kill.acknowledged:
        good(console, "all acknowledged entries, and one more: the kill came before the child could print its LSN")
    else:
        good(console, "all acknowledged entries, byte for byte; never fewer, sometimes one more")
    if not isinstance(kill.tail_state, Clean):
        prose(console, "The kill came while the kernel was copying the bytes of one write. Recovery cut this write.")


def before_power_cut(console: Console) -> None:
    heading(console, "2. The power is cut (simulated)")
    prose(
        console,
        "A kill tears nothing: the kernel's page cache holds what the process had written, and survives. So that you"
        " can see a torn end, a copy of the log loses the second half of its last frame, as in a power cut before the"
        " last sync had returned.",
    )


def after_power_cut(console: Console, cut: PowerCut) -> None:
    fact(console, "recovered", f"{cut.recovered} entries, {cut.tail_state}")
    if cut.wrong is not None:
        complaint(console, cut.wrong)
        return
    again = f"then the lost line was appended again, and read back as entry {cut.appended_lsn}"
    good(console, f"all before the cut; {again}")


def before_damage(console: Console, durable_mark: str) -> None:
    heading(console, "3. The same bytes are missing, and had been synced")
    prose(
        console,
        f"Beside the segment lies the durable mark, {durable_mark}. It says how far the log was synced. The copy above"
        " was made without it, because the mark would have shown that synced bytes are missing. With the mark, the same"
        " cut is damage, and not an unfinished write:",
    )


def after_damage(console: Console, damage: Damage) -> None:
    if damage.refused is not None:
        fact(console, "refused", f"Corrupt: {printable(damage.refused)}")
    if damage.wrong is not None:
        complaint(console, damage.wrong)
        return
    good(console, "no acknowledged entry is dropped in silence")


def before_flipped_bit(console: Console) -> None:
    heading(console, "4. One bit is flipped, in SQLite and in walogs")
    prose(
        console,
        "Both now hold the same 20 rows, each committed and synced. Their files are copied before they are closed, as a"
        " crash would leave them. In each copy, one bit of row 11 is flipped in the write-ahead log. Then both are"
        " opened.",
    )


def after_flipped_bit(console: Console, flipped: FlippedBit) -> None:
    sqlite = flipped.sqlite
    if sqlite is None:
        fact(console, "SQLite", "this Python was built without it")
    else:
        answer = f"{sqlite.rows} of {flipped.rows} rows come back, and `PRAGMA integrity_check` says:"
        fact(console, f"SQLite {sqlite.version}", f"{answer} {printable(sqlite.integrity_check)}")
    if flipped.refused is not None:
        fact(console, "walogs", f"Corrupt: {printable(flipped.refused)}")
        fact(console, "salvaged", f"{flipped.salvaged} of {flipped.rows} entries: all but the damaged one")
    if flipped.wrong is not None:
        complaint(console, flipped.wrong)
        return
    good(console, "walogs says which entry is damaged, and gives back all the others")
    console.print()
    console.print(Text("Every acknowledged entry came back. Nothing is left on your disk.", style="bold green"))


def heading(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold"))


def prose(console: Console, text: str) -> None:
    print_indented(console, "", text, "")


def fact(console: Console, label: str, value: str) -> None:
    print_indented(console, f"{label:<15}", value, "cyan")


def good(console: Console, text: str) -> None:
    print_indented(console, "→ ", text, "bold green")


def complaint(console: Console, text: str) -> None:
    print_indented(console, "→ wrong: ", text, "bold red")


def print_indented(console: Console, label: str, text: str, style: str) -> None:
    """Print the label, and the text beside it in lines that fit the terminal."""
    margin = "   "
    width = min(console.width, 100) - len(margin) - len(label)
    first, *rest = textwrap.wrap(text, max(width, 20), break_on_hyphens=False)
    console.print(Text.assemble(margin, (label, style), first), soft_wrap=True)
    for line in rest:
        console.print(Text(f"{margin}{'':<{len(label)}}{line}"), soft_wrap=True)
