"""`walogs demo` in words: what is about to happen, and what was found."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from rich.text import Text

from walogs.cli import demo_writer
from walogs.cli.status import printable
from walogs.types import Clean

if TYPE_CHECKING:
    from rich.console import Console

    from walogs.cli.demo_facts import Damage, Kill, PowerCut


def before_kill(console: Console) -> None:
    heading(console, "1. A writer is killed")
    prose(
        console,
        f"A child process appends the lines of {demo_writer.FILE_NAME}, each an entry, and tells each LSN that append"
        " returned. In the middle of it the child is killed with SIGKILL. Then the log is opened again.",
    )


def after_kill(console: Console, kill: Kill) -> None:
    fact(console, "acknowledged", f"{kill.acknowledged} entries, before the kill")
    fact(console, "recovered", f"{kill.recovered} entries, {kill.tail_state}")
    if kill.wrong is not None:
        complaint(console, kill.wrong)
        return
    if kill.recovered > kill.acknowledged:
        good(console, "all that were acknowledged, and one more: the kill came before the child could tell its LSN")
    else:
        good(console, "all that were acknowledged, byte for byte; never fewer, at times one more")
    if not isinstance(kill.tail_state, Clean):
        prose(console, "The kill came while the kernel was still taking over the bytes of one write: that was cut.")


def before_power_cut(console: Console) -> None:
    heading(console, "2. The power is cut (simulated)")
    prose(
        console,
        "A kill tears nothing: what the process had written is in the kernel's page cache, and survives it. So that you"
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


def before_damage(console: Console, witness: str) -> None:
    heading(console, "3. The same bytes are missing, and had been synced")
    prose(
        console,
        f"Beside the segment lies the witness, {witness}: it says how far the log was synced. The copy above was made"
        " without it, since it would have told on the cut. With it, the same cut is no torn end but damage:",
    )


def after_damage(console: Console, damage: Damage) -> None:
    if damage.refused is not None:
        fact(console, "refused", f"Corrupt: {printable(damage.refused)}")
    if damage.wrong is not None:
        complaint(console, damage.wrong)
        return
    good(console, "nothing acknowledged is dropped in silence")
    console.print()
    console.print(Text("Every acknowledged entry came back. Nothing is left on your disk.", style="bold green"))


def heading(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold"))


def prose(console: Console, text: str) -> None:
    indented(console, "", text, "")


def fact(console: Console, label: str, value: str) -> None:
    indented(console, f"{label:<14}", value, "cyan")


def good(console: Console, text: str) -> None:
    indented(console, "→ ", text, "bold green")


def complaint(console: Console, text: str) -> None:
    indented(console, "→ wrong: ", text, "bold red")


def indented(console: Console, label: str, text: str, style: str) -> None:
    """The label, and the text beside it in lines that fit."""
    margin = "   "
    width = min(console.width, 100) - len(margin) - len(label)
    first, *rest = textwrap.wrap(text, max(width, 20), break_on_hyphens=False)
    console.print(Text.assemble(margin, (label, style), first), soft_wrap=True)
    for line in rest:
        console.print(Text(f"{margin}{'':<{len(label)}}{line}"), soft_wrap=True)
