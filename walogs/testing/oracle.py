"""What a log must and may hold, kept apart from everything that walogs knows: lists of bytes, and no clever thing.

Refinement, not equality: after a fault several contents are right. Entries acknowledged as durable, or handed out by an
open, must be there; commits whose outcome is unknown may be, whole, in order, and only after all that came before.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from walogs.testing.contract import must

__all__ = ["Oracle"]


@dataclass
class Oracle:
    """The history of one log, as its callers saw it."""

    certain: list[bytes] = field(default_factory=list)
    """Entry k + 1 at position k: acknowledged as durable, or handed out by an open."""
    possible: list[list[bytes]] = field(default_factory=list)
    """Commits after those, in order: written and not synced, or of unknown outcome."""
    base: int = 1
    """First LSN that can be read."""
    base_max: int = 1
    """A checkpoint of unknown outcome may have made it as high as this."""

    @property
    def next_lsn(self) -> int:
        """The LSN after everything written, had nothing gone wrong."""
        return len(self.certain) + sum(map(len, self.possible)) + 1

    def written(self, entries: list[bytes]) -> None:
        """A commit that may be lost: not synced, or of unknown outcome."""
        if entries:
            self.possible.append(entries)

    def durable_up_to(self, lsn: int) -> None:
        """The log says so, and is believed: from now on these must be there."""
        while self.possible and len(self.certain) + len(self.possible[0]) <= lsn:
            self.certain += self.possible.pop(0)

    def everything(self) -> list[bytes]:
        """Every entry, had nothing gone wrong; entry k + 1 at position k."""
        return self.certain + [entry for entries in self.possible for entry in entries]

    def visible(self) -> list[tuple[int, bytes]]:
        """What the handle that wrote it hands out."""
        return list(enumerate(self.everything(), 1))[self.base - 1 :]

    def opened(self, first_lsn: int, next_lsn: int, got: list[tuple[int, bytes]]) -> None:
        """Judge what an open handed out; from then on it is certain (G1, G2, G3, G4, G11, G12)."""
        must(self.base <= first_lsn <= self.base_max, f"base {first_lsn}, not in {self.base}..{self.base_max}")
        must([lsn for lsn, _ in got] == list(range(first_lsn, next_lsn)), "not a dense run from the base")
        allowed = [list(self.certain)]
        for entries in self.possible:
            allowed.append(allowed[-1] + entries)
        whole = {len(content): content for content in allowed}
        ends = f"ends at {next_lsn - 1}; acknowledged {len(self.certain)}, commits may end at {sorted(whole)}"
        must(next_lsn - 1 in whole, ends)
        content = whole[next_lsn - 1]
        for lsn, data in got:
            must(data == content[lsn - 1], f"entry {lsn} is not what was appended")
        self.certain, self.possible = content, []
        self.base = self.base_max = first_lsn
