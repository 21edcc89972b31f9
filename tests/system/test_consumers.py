"""SIGKILL at random moments of a consumer. After each restart it goes on at its position: no entry is skipped, and only
those of its last step come again."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

import walogs
from tests.kit.laboratory import amount
from tests.system.children import Child, program, seed_of
from tests.system.filesystems import mounted, require_file_system
from walogs.assembly.opening import source_of
from walogs.inspection.cursors import find_cursors

SEGMENT = 4000


def numbers_said(lines: list[str], word: str) -> list[int]:
    return [int(line.split()[1]) for line in lines if line.startswith(f"{word} ")]


class Seen:
    """What all runs of one consumer were handed."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.last_lsn = 0
        """The highest entry that any run was handed."""
        self.committed = 0
        """The highest LSN of which a run has said that it is committed."""
        self.again = 0

    def add(self, lines: list[str]) -> None:
        """Check one run against all before it."""
        begins, seen = numbers_said(lines, "begins"), numbers_said(lines, "seen")
        if begins:
            assert self.committed <= begins[0] <= self.last_lsn, "the position is one that was committed"
            assert self.last_lsn - begins[0] <= self.step, "only the last step comes again"
            self.again += self.last_lsn - begins[0]
            assert seen == list(range(begins[0] + 1, begins[0] + 1 + len(seen))), "none is skipped, none comes twice"
        self.last_lsn = max([self.last_lsn, *seen])
        self.committed = max([self.committed, *numbers_said(lines, "committed")])


def storm(path: Path, kills: int, step: int, durable: str) -> None:
    rng, seen = random.Random(seed_of("consumers")), Seen(step)
    with walogs.open(path, max_segment_size=SEGMENT) as wal:
        wal.append(b"entry 1")
        for _ in range(kills):
            with Child(program("consuming", path, step, durable)) as child:
                wanted = rng.randint(0, 60)
                for _ in range(wanted + 20):
                    wal.append(b"entry %d" % wal.next_lsn)
                child.wait_for_count("seen ", wanted)
                time.sleep(rng.random() * 0.01)
                child.kill()
                seen.add(child.lines())
            if seen.committed:
                wal.checkpoint()
        with Child(program("consuming", path, step, durable)) as child:
            child.tell(str(wal.last_lsn))
            child.wait_for("done")
            assert child.wait() == 0, child.errors()
            seen.add(child.lines())
        assert seen.last_lsn == seen.committed == wal.last_lsn
        with wal.cursor("mailer") as cursor:
            assert (cursor.position, list(cursor)) == (wal.last_lsn, [])
            cursor.commit(wal.last_lsn)  # durably, which no commit was yet if durable is "no"
        wal.checkpoint()
        assert wal.first_lsn > 1
    print(f"{kills} kills, step {step}, durable {durable}: {wal.last_lsn} entries, {seen.again} of them seen again")


@pytest.mark.guarantee("G21")
@pytest.mark.parametrize(("step", "durable"), [(1, "yes"), (7, "both"), (3, "no")])
def test_a_killed_consumer_goes_on_at_its_position(quick_path: Path, step: int, durable: str) -> None:
    storm(quick_path / "log", 6, step, durable)


@pytest.mark.laboratory
@pytest.mark.guarantee("G21")
@pytest.mark.parametrize(("step", "durable"), [(1, "yes"), (7, "both"), (3, "no")])
def test_hundreds_of_killed_consumers(tmp_path: Path, quick_path: Path, step: int, durable: str) -> None:
    storm(tmp_path / "log", amount(10, 60), step, durable)
    storm(quick_path / "log", amount(20, 150), step, durable)


@pytest.mark.guarantee("G21")
def test_a_second_consumer_is_refused_until_the_first_one_is_killed(quick_path: Path) -> None:
    path = quick_path / "log"
    with walogs.open(path) as wal:
        for _ in range(20):
            wal.append(b"entry %d" % wal.next_lsn)
        with Child(program("consuming", path, 1, "yes")) as first:
            first.wait_for("committed 20")
            with pytest.raises(walogs.Locked, match=f"cursor 'mailer' of .* is open by process {first.process.pid} "):
                wal.cursor("mailer")
            with Child(program("consuming", path, 1, "yes")) as second:
                assert second.wait() != 0
                assert "walogs.errors.Locked" in second.errors()
            first.kill()
        with wal.cursor("mailer") as cursor:
            assert cursor.position == 20


@pytest.mark.laboratory
@pytest.mark.guarantee("G21")
def test_who_only_looks_needs_no_file_system_that_can_be_written(tmp_path: Path) -> None:
    require_file_system("ext4")
    with mounted(tmp_path, "ext4") as there:
        with walogs.open(there.path / "log") as wal:
            wal.append_batch([b"entry 1", b"entry 2"])
            with wal.cursor("mailer") as cursor:
                cursor.commit(1)
        there.unmount()
        there._options = "loop,ro"
        there.mount()
        (facts,) = find_cursors(source_of(there.path / "log", None))
        assert (facts.name, facts.position, facts.lag_entries, facts.is_locked) == ("mailer", 1, 1, False)
        with walogs.reader(there.path / "log") as reader, pytest.raises(OSError, match="Read-only file system"):
            reader.cursor("mailer")
