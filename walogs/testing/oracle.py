"""The oracle: which entries a log must and may contain. It uses only lists of bytes, and no code of walogs' engine.

After a fault several contents are correct. Entries that were acknowledged as durable, or returned by an open, must be
there. A commit whose outcome is unknown may be there: as a whole, in order, and only after all commits before it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from walogs.testing.contract import must

__all__ = ["Oracle"]


@dataclass
class Oracle:
    """The history of one log, as its callers know it."""

    certain: list[bytes] = field(default_factory=list)
    """The entries that were acknowledged as durable, or returned by an open. Entry k + 1 is at position k."""
    possible: list[list[bytes]] = field(default_factory=list)
    """The commits after those, in order, that are not synced or whose outcome is unknown."""
    first_lsn: int = 1
    """The first LSN: that of the first entry that can be read."""
    first_lsn_max: int = 1
    """The highest first LSN that is possible after a checkpoint whose outcome is unknown."""

    @property
    def next_lsn(self) -> int:
        """The LSN after all written entries, if none of them is lost."""
        return len(self.certain) + sum(map(len, self.possible)) + 1

    def note_written(self, entries: list[bytes]) -> None:
        """Note a commit that may be lost, because it is not synced or its outcome is unknown."""
        if entries:
            self.possible.append(entries)

    def durable_up_to(self, lsn: int) -> None:
        """Note that the log calls the entries up to *lsn* durable. From now on they must be there."""
        while self.possible and len(self.certain) + len(self.possible[0]) <= lsn:
            self.certain += self.possible.pop(0)

    def everything(self) -> list[bytes]:
        """Return all written entries, also those that may be lost. Entry k + 1 is at position k."""
        return self.certain + [entry for entries in self.possible for entry in entries]

    def visible(self) -> list[tuple[int, bytes]]:
        """Return the entries, with their LSNs, that the handle of the writer must return."""
        return list(enumerate(self.everything(), 1))[self.first_lsn - 1 :]

    def check_opened(self, first_lsn: int, next_lsn: int, got: list[tuple[int, bytes]]) -> None:
        """Check the entries that an open returned (G1, G2, G3, G4, G11, G12). From then on they must be there.

        Raises `ContractBroken`.
        """
        must(
            self.first_lsn <= first_lsn <= self.first_lsn_max,
            f"first LSN {first_lsn}, not in {self.first_lsn}..{self.first_lsn_max}",
        )
        must([lsn for lsn, _ in got] == list(range(first_lsn, next_lsn)), "not a dense run from the first LSN")
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
        self.first_lsn = self.first_lsn_max = first_lsn
