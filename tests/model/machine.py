"""The state machine over a log: its verbs, its faults, and backups that are made meanwhile."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import tempfile
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

import walogs
from tests.model.copies import Synced, files_of, judge_copy, judge_report
from tests.model.failing_log import FailingLog
from tests.model.log_under_test import seeds
from walogs.formats import durable_mark as durable_mark_bytes
from walogs.inspection import backup as backup_module
from walogs.inspection import partial as partial_module
from walogs.inspection.backup import Copy
from walogs.testing import SimulatedCrash
from walogs.types import BackupReport

MEANWHILE = ("append", "append_batch", "checkpoint", "rotate", "close and reopen")
"""The verbs of a writer in the middle of a backup."""
OVERTAKEN = "overtaken by a checkpoint"
"""A backup of several segments, which are all removed when the backup has read its first piece."""
UNRECOVERED = ("after a kill", "after a power cut", "after a checkpoint")


class LogMachine(FailingLog):
    """Everything that can happen to a log. A backup of it may be made at any moment."""

    judged: ClassVar[set[int]] = set()
    """The copies that were opened and appended to. Most runs make the same copies again."""

    def __init__(self) -> None:
        super().__init__()
        self.starts = 0
        """How many times a backup has begun, counting each new attempt."""

    @rule(seed=seeds, when=st.sampled_from((None, None, OVERTAKEN, *UNRECOVERED, *MEANWHILE)))
    def back_up(self, seed: int, when: str | None) -> None:
        """Back up the log as the writer left it, while the writer works, or before the log is recovered.

        Whatever the copy holds, the log holds when it is opened next (G4).
        """
        if when is None or when in MEANWHILE:
            self.back_up_now(seed, when if self.wal is not None else None)
            return
        if when == OVERTAKEN:
            for verb in ("append", "rotate", "append", "rotate", "append"):
                self.do(verb, random.Random(seed))
            self.back_up_now(seed, OVERTAKEN if self.wal is not None else None)
            return
        if when == "after a checkpoint":  # the durable mark may not hold the first LSN of this checkpoint
            for verb in ("append", "rotate", "append", "checkpoint"):
                self.do(verb, random.Random(seed))
        self.abandon()
        if when != "after a kill" and self.world.loses_power:
            self.world.power_cut(random.Random(seed))
        self.back_up_now(seed, None)
        self.reopen()

    def back_up_now(self, seed: int, meanwhile: str | None) -> None:
        """Check that a copy is a log of its own and holds what is known to be durable, and no more (G1, G4, G14)."""
        rng = random.Random(seed)
        acknowledged, first_lsns = self.acknowledged(), [self.oracle.first_lsn, self.oracle.first_lsn_max]
        vouched = self.vouched()
        before, synced, said = self.world.contents(), Synced(), []
        with tempfile.TemporaryDirectory(dir=self.world.copies) as above, pytest.MonkeyPatch.context() as patch:
            patch.setattr(partial_module, "sync_full", synced)
            patch.setattr(backup_module, "Copy", self.copy_begun)
            # The copy is made on the machine's own disk, and the local store's calls may be on the modelled one.
            patch.setattr(partial_module, "make_directories", lambda path: [])
            patch.setattr(partial_module, "sync_ancestors", lambda path: None)
            report = self.copied(os.path.join(above, "copy"), said, rng, meanwhile)
            if meanwhile is None:
                assert self.world.contents() == before
            if report is None:
                assert os.listdir(above) == []
                return
            left = synced.left(os.path.join(above, "copy"))
            assert left == files_of(os.path.join(above, "copy")), "not all of it is synced"
            judge_report(report, left, said)
            if report.last_lsn < acknowledged:
                assert vouched < acknowledged, f"{report}; {acknowledged} was acknowledged"
                self.count("backup: the durable mark lags")
            if self.world.appends and self.wal is not None:
                assert report.last_lsn <= self.wal.durable_lsn
            assert min(first_lsns) <= report.first_lsn <= max(*first_lsns, self.oracle.first_lsn_max)
            self.oracle.durable_up_to(report.last_lsn)  # the copy gives these entries away, so they must be durable
            assert report.last_lsn <= len(self.oracle.certain), "part of a batch, or what was never appended"
            entries = self.oracle.certain[report.first_lsn - 1 : report.last_lsn]
            known = hash((report.first_lsn, *left.items(), *entries))
            if known in self.judged:
                self.count("backup: judged before")
                return
            with self.world.copy(os.path.join(above, "copy"), left) as (store, cut):
                judge_copy(store, report.first_lsn, entries, cut and (lambda: cut(rng)))
            self.judged.add(known)

    def copy_begun(self, *args: Any) -> Copy:
        """Count the attempts of a backup. This replaces the class of an attempt."""
        self.starts += 1
        return Copy(*args)

    def acknowledged(self) -> int:
        return len(self.oracle.certain) if self.wal is None else self.wal.durable_lsn

    def vouched(self) -> int:
        """Return the last LSN that the durable mark calls durable.

        The mark may lag. It is written after each sync without being synced itself, and it may not have been written
        at all; then only the next frame proves what came before it.
        """
        if not self.world.appends:
            return self.acknowledged()
        durable_mark = durable_mark_bytes.decode(self.world.durable_mark())
        return durable_mark.last_lsn if durable_mark is not None else 0

    def copied(
        self, copy: str, said: list[tuple[int, int]], rng: random.Random, meanwhile: str | None
    ) -> BackupReport | None:
        """Back the log up beside a reader that has begun. Return None if a fault prevented the backup."""
        armed, moment = self.world.is_armed(), 1 if meanwhile == OVERTAKEN else rng.randint(1, 4)

        def progress(*done: int) -> None:
            nonlocal moment
            if said and done[0] < said[-1][0]:  # entries that a checkpoint removed meanwhile are not in the copy
                said.clear()
                self.count("backup: less than was copied")
                assert meanwhile is not None
            said.append(done)
            moment -= 1
            if meanwhile is not None and moment == 0:
                with self.world.in_the_writer():
                    self.do(meanwhile, rng)

        if self.wal is None:
            self.count("backup before recovery")
        elif self.oracle.possible:
            self.count("backup beside pending entries")
        try:
            with self.world.beside() as store:
                reading = walogs.reader(store=store).iter()
                lsns = [lsn for lsn, _ in itertools.islice(reading, 1)]
                starts = self.starts
                report = walogs.backup(None, copy, progress, store=store)
                if self.starts > starts + 1:
                    self.count("backup: begun again")
                    assert meanwhile is not None
                if meanwhile is None:
                    with contextlib.suppress(OSError, walogs.Unavailable, SimulatedCrash):
                        lsns += [lsn for lsn, _ in reading]
                        # A checkpoint may have failed, at the latest when it removed segments. The reader, which looks
                        # from the durable mark on, then still returns what is there; the backup, which reads every
                        # frame, sees the checkpoint.
                        first_lsn = lsns[0] if lsns else report.first_lsn
                        assert self.oracle.first_lsn <= report.first_lsn <= self.oracle.first_lsn_max
                        assert self.still_there_from <= first_lsn <= report.first_lsn
                        assert lsns == list(range(first_lsn, report.last_lsn + 1))
                        self.count("backup beside a reader")
        except (OSError, walogs.Unavailable, SimulatedCrash):
            self.count("backup: refused")
            assert armed, "nothing was in its way"
            return None
        self.count("backup" if meanwhile is None or moment > 0 else f"backup: meanwhile {meanwhile}")
        return report

    def do(self, verb: str, rng: random.Random) -> None:
        seed = rng.getrandbits(32)
        if self.wal is None:
            return
        if verb == "append":
            self.append(seed)
        elif verb == "append_batch":
            self.append_batch(seed, rng.randint(1, 4))
        elif verb == "checkpoint":
            self.checkpoint(seed)
        elif verb == OVERTAKEN:
            self.append(seed)
            if self.wal is not None:
                self.rotate()
            if self.wal is not None:
                self.checkpoint_at(self.oracle.next_lsn + 5)
        elif verb == "rotate":
            self.rotate()
        else:
            self.close_and_reopen()
