"""A state machine over a log, its stores' faults and an independent oracle. Every step is drawn; every draw replays."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import tempfile
from collections import Counter
from concurrent.futures import Future
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

import walogs
from tests.callers import stepped_by_hand
from tests.model.copies import Synced, files_of, judge_copy, judge_report
from tests.model.worlds import WORLDS
from walogs.assembly import assemble
from walogs.config import WalConfig
from walogs.defaults.sync_policies import IntervalPolicy
from walogs.engine.source import Environment
from walogs.formats import witness as witness_bytes
from walogs.futures import LsnFuture, Teller
from walogs.inspection import backup as backup_module
from walogs.testing import SimulatedCrash
from walogs.testing.oracle import Oracle
from walogs.types import BackupReport

SECTOR = 512
COMMIT_STEPS_MAX = 10_000
"""More than one rule of the machine can give the commit thread to do."""
MEANWHILE = ("append", "append_batch", "checkpoint", "rotate", "close and reopen")
"""What a writer may do in the middle of a backup."""
OVERTAKEN = "overtaken by a checkpoint"
"""A backup of several segments, of which all but the newest are removed when it has read the first piece."""
UNRECOVERED = ("after a kill", "after a power cut", "after a checkpoint")
seeds = st.integers(0, 2**32 - 1)


def payload(rng: random.Random) -> bytes:
    """Random, zero, one set bit, one set bit a sector, a counter a sector: what torn sectors can be mistaken for."""
    size = rng.choice((0, 1, 7, 20, 128, 500, 700, 1500, 3000, 9000))
    kind = rng.randrange(5)
    if kind == 0:
        return rng.randbytes(size)
    data = bytearray(size)
    if kind == 2 and size:
        data[rng.randrange(size)] = 1 << rng.randrange(8)
    elif kind == 3:
        data[::SECTOR] = b"\1" * len(data[::SECTOR])
    elif kind == 4:
        for sector in range(0, size - 4, SECTOR):
            data[sector : sector + 4] = (sector // SECTOR + 1).to_bytes(4, "little")
    return bytes(data)


class LogMachine(RuleBasedStateMachine):
    """One log, one writer at a time, everything that can happen to them."""

    world_name = "disk"
    counts: ClassVar[Counter[str]] = Counter()
    judged: ClassVar[set[int]] = set()
    """Copies that were opened and gone on with: most runs make the same ones again."""

    def __init__(self) -> None:
        super().__init__()
        self.world: Any = WORLDS[self.world_name]()
        self.oracle = Oracle()
        self.wal: walogs.Wal | None = None
        self.handles: list[walogs.Wal] = []
        self.ticks = 0
        self.now_ns = 0
        self.submitted: list[tuple[Future[int], bytes]] = []
        """In the order of submission; not yet known what became of them."""

    def check_invariants(self, *args: Any, **kwargs: Any) -> None:
        self.count("steps")
        super().check_invariants(*args, **kwargs)  # type: ignore[no-untyped-call]

    def count(self, what: str) -> None:
        type(self).counts[what] += 1

    def clock(self) -> int:
        self.ticks += random.Random(self.ticks).choice((0, 1, 1000, -500))  # a clock that stands still and goes back
        return 1_700_000_000_000_000_000 + self.ticks

    @initialize(
        seed=seeds,
        segment=st.sampled_from((1, 600, 2000, 6000, None)),
        sync=st.sampled_from(("fdatasync", "fdatasync", "none", "interval")),
        verify=st.sampled_from(("full", "last")),
    )
    def begin(self, seed: int, segment: int | None, sync: str, verify: Any) -> None:
        self.entropy = random.Random(seed)
        self.segment, self.sync, self.verify = segment, sync, verify
        self.policy = IntervalPolicy(time=1e-6, bytes=6000, entries=5) if sync == "interval" else sync
        self.reopen()

    # Opening, and what may come of it

    def open(self) -> walogs.Wal:
        config = WalConfig(
            store=self.world.store(),
            max_segment_size=self.segment,
            sync=self.policy,
            verify=self.verify,
            max_queued_size=1 << 30,
        )
        environment = Environment(
            clock=self.clock,
            entropy=self.entropy.randbytes,
            sleep=lambda _: None,
            monotonic=lambda: self.now_ns,
            spawn=stepped_by_hand,
        )
        return assemble(None, config, environment)

    def reopen(self) -> None:
        """Open until it opens: armed faults may fail it, the system's way, a few times. Never `Corrupt`."""
        assert self.wal is None
        for attempt in range(30):
            if attempt == 20:
                self.world.disarm()
            try:
                self.wal = self.open()
                self.handles.append(self.wal)
                break
            except (OSError, walogs.Unavailable, walogs.Indefinite):
                self.count("open failed")
            except SimulatedCrash:
                self.count("crash inside recovery")
                self.world.kill()
        assert self.wal is not None
        report = self.wal.recovery_report
        self.count(f"verdict {report.verdict}")
        if report.rewritten_bytes:
            self.count("written again")
        if report.removed_segments:
            self.count("checkpoint finished by open")
        try:
            got = list(self.wal)
        except (OSError, walogs.Unavailable, SimulatedCrash):
            self.world.disarm()
            self.abandon()
            self.reopen()
            return
        self.oracle.opened(self.wal.first_lsn, self.wal.next_lsn, got)
        assert self.wal.durable_lsn == self.wal.last_lsn
        assert report.entries == len(got)

    def abandon(self) -> None:
        """The process dies: nothing of the handle is used again."""
        self.forget()
        self.world.kill()

    def forget(self) -> None:
        """What was submitted and not yet committed dies with its process; what was, it may have been told or not."""
        self.learn(is_dead=True)
        if self.wal is not None:
            self.wal.closed = True
            self.wal = None

    # Verbs

    def attempt(self, what: str, entries: list[bytes], verb: Any) -> Any:
        """Run a verb; what it raised, if anything, decides what may be there now."""
        assert self.wal is not None
        try:
            result = verb(self.wal)
            self.step(self.wal)
        except walogs.Indefinite:
            self.count(f"{what}: indefinite")
            self.learn()
            self.oracle.written(entries)
            self.must_be_poisoned()
        except walogs.Poisoned:
            self.count(f"{what}: poisoned")
        except walogs.Fenced:
            self.count(f"{what}: fenced")
        except (OSError, walogs.Unavailable):
            self.count(f"{what}: refused")
        except SimulatedCrash:
            self.count(f"{what}: crash")
            self.learn(is_dead=True)
            self.oracle.written(entries)
            self.abandon()
        else:
            self.count(what)
            if self.wal is not None:
                self.oracle.durable_up_to(self.wal.durable_lsn)
            return result
        self.learn()
        if self.wal is not None:  # a verb may have synced what was pending before it failed
            self.oracle.durable_up_to(self.wal.durable_lsn)
        return None

    def must_be_poisoned(self) -> None:
        assert self.wal is not None
        try:
            self.commit(self.wal, [b"after"])
        except walogs.Poisoned:
            return
        raise AssertionError("a handle went on writing after an outcome was unknown")

    def committed(self, entries: list[bytes]) -> None:
        assert self.wal is not None
        if not entries:  # no write, so no news: of a poisoned handle neither
            return
        self.oracle.written(entries)
        self.believe_what_is_durable()

    def believe_what_is_durable(self) -> None:
        """The log says how far it is, and the policy how much may be missing from that."""
        assert self.wal is not None
        self.oracle.durable_up_to(self.wal.durable_lsn)
        assert self.wal.durable_lsn == len(self.oracle.certain)
        if self.sync == "fdatasync":
            assert not self.oracle.possible
        if isinstance(self.policy, IntervalPolicy) and not self.wal._writer.is_poisoned:
            pending = [entry for entries in self.oracle.possible for entry in entries]
            assert len(pending) < 5
            assert sum(map(len, pending)) < 6000

    # The commit thread, run by hand

    def commit(self, wal: walogs.Wal, entries: list[bytes]) -> int:
        """As append and append_batch, which would wait for the commit thread while it is in use."""
        commits = wal._commits
        if not commits._is_contended and not commits._queue:
            return wal.append(entries[0]) if len(entries) == 1 else wal.append_batch(entries)[0]
        self.count("shared commit")
        future = LsnFuture(Teller(stepped_by_hand))
        commits.submit(entries, sum(map(len, entries)), future)
        self.step(wal)
        return future.result(timeout=0)

    def step(self, wal: walogs.Wal) -> None:
        try:
            for _ in range(COMMIT_STEPS_MAX):
                if not wal._commits.step():
                    return
            raise AssertionError("the commit thread finds something to do for ever")
        finally:
            self.learn()

    def learn(self, *, is_dead: bool = False) -> None:
        """What became of what was submitted, in that order."""
        if self.wal is not None:
            self.wal._commits._resolve()
        while self.submitted and (is_dead or self.submitted[0][0].done()):
            future, data = self.submitted.pop(0)
            if future.cancelled():
                self.count("submit: cancelled")
            elif not future.done():
                self.oracle.written([data])  # it may have been written when the process died
            elif isinstance(error := future.exception(), walogs.Indefinite):
                self.oracle.written([data])
                self.count("submit: indefinite")
            elif error is not None:
                assert isinstance(error, (walogs.Poisoned, walogs.Closed, walogs.Fenced, OSError, walogs.Unavailable))
                self.count(f"submit: {type(error).__name__}")
            else:
                assert future.result() == self.oracle.next_lsn
                self.oracle.written([data])
                self.count("submit")

    @precondition(lambda self: self.wal is not None)
    @rule(seed=seeds, count=st.integers(1, 5))
    def submit(self, seed: int, count: int) -> None:
        assert self.wal is not None
        rng = random.Random(seed)
        for _ in range(count):
            data = payload(rng)
            self.submitted.append((self.wal.submit(data), data))

    @precondition(lambda self: self.submitted)
    @rule(seed=seeds)
    def cancel(self, seed: int) -> None:
        future, _ = random.Random(seed).choice(self.submitted)
        assert future.cancel()  # nothing has begun to commit it

    @precondition(lambda self: self.wal is not None)
    @rule(time_ns=st.integers(0, 3000))
    def commit_thread_runs(self, time_ns: int) -> None:
        self.now_ns += time_ns
        before = self.oracle.next_lsn
        self.attempt("commit thread", [], self.step)
        if self.wal is not None and not self.wal._writer.is_poisoned:
            self.believe_what_is_durable()
            if time_ns > 1000 and isinstance(self.policy, IntervalPolicy):
                assert self.oracle.next_lsn - before > 0 or not self.oracle.possible, "a sync is overdue"

    @precondition(lambda self: self.wal is not None)
    @rule(seed=seeds)
    def append(self, seed: int) -> None:
        data = payload(random.Random(seed))
        lsn = self.attempt("append", [data], lambda wal: self.commit(wal, [data]))
        if lsn is not None:
            assert lsn == self.oracle.next_lsn
            self.committed([data])

    @precondition(lambda self: self.wal is not None)
    @rule(seed=seeds, count=st.integers(0, 6))
    def append_batch(self, seed: int, count: int) -> None:
        rng = random.Random(seed)
        entries = [payload(rng) for _ in range(count)]
        verb = self.commit if entries else walogs.Wal.append_batch
        first_lsn = self.attempt("append_batch", entries, lambda wal: verb(wal, entries))
        if first_lsn is not None and entries:
            assert first_lsn == self.oracle.next_lsn
        if first_lsn is not None:
            self.committed(entries)

    @precondition(lambda self: self.wal is not None and self.world.appends)
    @rule()
    def append_a_log_inside_the_log(self) -> None:
        assert self.wal is not None
        store, active = self.wal._source.store, self.wal.segments()[-1]
        try:
            data = store.read(active.number)[:1500]
        except OSError:
            return
        except SimulatedCrash:
            self.abandon()
            return
        if self.attempt("log inside a log", [data], lambda wal: self.commit(wal, [data])) is not None:
            self.committed([data])

    @precondition(lambda self: self.wal is not None)
    @rule()
    def sync_now(self) -> None:
        if self.attempt("sync", [], lambda wal: (wal.sync(), 1)) is not None:
            assert not self.oracle.possible

    @precondition(lambda self: self.wal is not None)
    @rule()
    def rotate(self) -> None:
        self.attempt("rotate", [], lambda wal: (wal.rotate(), 1))

    @precondition(lambda self: self.wal is not None)
    @rule(seed=seeds)
    def checkpoint(self, seed: int) -> None:
        assert self.wal is not None
        rng = random.Random(seed)
        self.checkpoint_at(rng.choice((0, self.oracle.next_lsn + 5, rng.randint(0, self.oracle.next_lsn))))

    def checkpoint_at(self, lsn: int) -> None:
        assert self.wal is not None
        before = self.oracle.base
        self.oracle.base_max = max(self.oracle.base_max, min(lsn + 1, self.oracle.next_lsn))
        done = self.attempt("checkpoint", [], lambda wal: (wal.checkpoint(lsn), 1))
        if self.wal is not None:
            assert before <= self.wal.first_lsn <= max(before, lsn + 1)
            self.oracle.base = self.wal.first_lsn
            if done is not None:
                self.oracle.base_max = self.wal.first_lsn

    @precondition(lambda self: self.wal is not None)
    @rule(seed=seeds)
    def look(self, seed: int) -> None:
        """What the handle hands out, from anywhere to anywhere, is what was appended."""
        assert self.wal is not None
        expected = self.oracle.visible()
        rng = random.Random(seed)
        start = rng.randint(self.oracle.base, self.oracle.next_lsn)
        stop = rng.randint(start, self.oracle.next_lsn + 1)
        try:
            if self.wal._writer.is_poisoned:  # then entries of unknown outcome are not handed out
                expected = [(lsn, data) for lsn, data in expected if lsn < self.wal.next_lsn]
                stop = min(stop, self.wal.next_lsn)
            assert list(self.wal.iter(start, stop)) == [(n, d) for n, d in expected if start <= n < stop]
            if start < stop <= self.wal.next_lsn:
                assert self.wal.read(start) == dict(expected)[start]
            commits = list(self.wal.commits())
            assert [c.first_lsn for c in commits[1:]] == [c.last_lsn + 1 for c in commits[:-1]]
            assert [c.time_ns for c in commits] == sorted(c.time_ns for c in commits)
            self.count("look")
        except (
            walogs.Corrupt
        ) as error:  # only what no sync has covered can go like that: writeback failed, and eviction
            assert error.lsn is not None  # noqa: PT017
            assert error.lsn > self.wal.durable_lsn  # noqa: PT017
            self.count("look: unsynced entries are gone")
        except (OSError, walogs.Unavailable):
            self.count("look: refused")
        except SimulatedCrash:
            self.count("look: crash")
            self.abandon()

    @precondition(lambda self: self.wal is not None)
    @rule(upto=st.sampled_from(("durable", "durable", "written")))
    def read_beside(self, upto: Any) -> None:
        """Another process sees what was appended, and of that only what is durable (G14)."""
        assert self.wal is not None
        everything = self.oracle.everything()
        try:
            with self.world.beside() as store:
                got = list(walogs.reader(store=store, upto=upto))
        except walogs.Corrupt as error:  # with "written": what no sync has covered can go, as for the writer itself
            assert error.lsn is not None  # noqa: PT017
            assert error.lsn > self.wal.durable_lsn  # noqa: PT017
            self.count("read beside: unsynced entries are gone")
        except (OSError, walogs.Unavailable, SimulatedCrash):
            self.count("read beside: refused")
        else:
            self.count(f"read beside: {upto}")
            assert [lsn for lsn, _ in got] == list(range(got[0][0], got[0][0] + len(got))) if got else True
            assert all(data == everything[lsn - 1] for lsn, data in got)
            if upto == "durable" and got and self.world.appends:
                assert got[-1][0] <= self.wal.durable_lsn

    # Backups

    @rule(seed=seeds, when=st.sampled_from((None, None, OVERTAKEN, *UNRECOVERED, *MEANWHILE)))
    def back_up(self, seed: int, when: str | None) -> None:
        """As the writer left it, while it does something, or before anybody has recovered it; and what the copy holds,
        the log holds when it is next opened (G4)."""
        if when is None or when in MEANWHILE:
            self.back_up_now(seed, when if self.wal is not None else None)
            return
        if when == OVERTAKEN:
            for verb in ("append", "rotate", "append", "rotate", "append"):
                self.do(verb, random.Random(seed))
            self.back_up_now(seed, OVERTAKEN if self.wal is not None else None)
            return
        if when == "after a checkpoint":  # whose base the witness may not have vouched for
            for verb in ("append", "rotate", "append", "checkpoint"):
                self.do(verb, random.Random(seed))
        self.abandon()
        if when != "after a kill" and self.world.loses_power:
            self.world.power_cut(random.Random(seed))
        self.back_up_now(seed, None)
        self.reopen()

    def back_up_now(self, seed: int, meanwhile: str | None) -> None:
        """A log that goes on by itself, of everything that is known to be durable and of nothing else (G1, G4, G14)."""
        rng = random.Random(seed)
        acknowledged, bases = self.acknowledged(), [self.oracle.base, self.oracle.base_max]
        vouched = self.vouched()
        before, synced, said = self.world.contents(), Synced(), []
        with tempfile.TemporaryDirectory(dir=self.world.copies) as above, pytest.MonkeyPatch.context() as patch:
            patch.setattr(backup_module, "sync_full", synced)
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
                self.count("backup: the witness lags")
            if self.world.appends and self.wal is not None:
                assert report.last_lsn <= self.wal.durable_lsn
            assert min(bases) <= report.first_lsn <= max(*bases, self.oracle.base_max)
            self.oracle.durable_up_to(report.last_lsn)  # it is handed out
            assert report.last_lsn <= len(self.oracle.certain), "part of a batch, or what was never appended"
            entries = self.oracle.certain[report.first_lsn - 1 : report.last_lsn]
            known = hash((report.first_lsn, *left.items(), *entries))
            if known in self.judged:
                self.count("backup: judged before")
                return
            with self.world.copy(os.path.join(above, "copy"), left) as (store, cut):
                judge_copy(store, report.first_lsn, entries, cut and (lambda: cut(rng)))
            self.judged.add(known)

    def acknowledged(self) -> int:
        return len(self.oracle.certain) if self.wal is None else self.wal.durable_lsn

    def vouched(self) -> int:
        """The last entry that the witness testifies to be durable. It may lag: it is written after each sync, and not
        synced itself; and where it could not be written, only the next frame vouches for what was before it."""
        if not self.world.appends:
            return self.acknowledged()
        witness = witness_bytes.decode(self.world.witness())
        return witness.last_lsn if witness is not None else 0

    def copied(
        self, copy: str, said: list[tuple[int, int]], rng: random.Random, meanwhile: str | None
    ) -> BackupReport | None:
        """Back it up, beside a reader that has begun; None: a fault was in its way."""
        armed, moment = self.world.is_armed(), 1 if meanwhile == OVERTAKEN else rng.randint(1, 4)

        def progress(*done: int) -> None:
            nonlocal moment
            if said and done < said[-1]:
                said.clear()
                self.count("backup: begun again")
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
                report = walogs.backup(None, copy, progress, store=store)
                if meanwhile is None:
                    with contextlib.suppress(OSError, walogs.Unavailable, SimulatedCrash):
                        lsns += [lsn for lsn, _ in reading]
                        assert lsns == list(range(report.first_lsn, report.last_lsn + 1))
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
            self.checkpoint_at(self.oracle.next_lsn + 5)
        elif verb == "rotate":
            self.rotate()
        else:
            self.close_and_reopen()

    # Ends

    @precondition(lambda self: self.wal is not None)
    @rule()
    def close_and_reopen(self) -> None:
        wal = self.wal
        assert wal is not None
        poisoned = wal._writer.is_poisoned
        try:
            wal.close()
        except (walogs.Indefinite, OSError, walogs.Unavailable):
            self.count("close: indefinite")
        except SimulatedCrash:
            self.count("close: crash")
            self.learn(is_dead=True)
        else:
            self.count("close poisoned" if poisoned else "close")
            self.learn()
            if not wal._writer.is_poisoned:
                self.oracle.durable_up_to(self.oracle.next_lsn)
        self.forget()
        self.reopen()

    @precondition(lambda self: self.wal is not None)
    @rule()
    def kill_and_reopen(self) -> None:
        self.count("kill")
        self.abandon()
        self.reopen()

    @precondition(lambda self: self.wal is None)
    @rule()
    def open_again(self) -> None:
        self.reopen()

    @precondition(lambda self: self.wal is not None)
    @rule()
    def recover_twice(self) -> None:
        """Opening twice equals opening once (G15)."""
        self.world.disarm()
        self.abandon()
        self.reopen()
        assert self.wal is not None
        first = (self.wal.first_lsn, self.wal.next_lsn)
        self.abandon()
        self.reopen()
        assert (self.wal.first_lsn, self.wal.next_lsn) == first
        self.count("recover twice")

    @precondition(lambda self: self.world.loses_power)
    @rule(seed=seeds)
    def power_cut(self, seed: int) -> None:
        self.count("power cut")
        self.forget()
        self.world.power_cut(random.Random(seed))
        self.reopen()

    @precondition(lambda self: self.wal is not None and self.world.loses_power)
    @rule(seed=seeds, step=st.integers(1, 6), count=st.integers(1, 4))
    def power_cut_in_the_middle_of_a_commit(self, seed: int, step: int, count: int) -> None:
        rng = random.Random(seed)
        entries = [payload(rng) for _ in range(count)]
        self.world.arm_crash(step, rng)
        if self.attempt("append_batch", entries, lambda wal: self.commit(wal, entries)) is not None:
            self.committed(entries)
        self.power_cut(seed)

    @precondition(lambda self: self.wal is not None and "failed sync" in self.world.faults)
    @rule(seed=seeds, verb=st.sampled_from(("append", "append_batch", "checkpoint", "rotate")), power=st.booleans())
    def failed_sync_in_the_middle_of_a_commit(self, seed: int, verb: str, power: bool) -> None:
        rng = random.Random(seed)
        if verb == "checkpoint":
            self.rotate()  # so that there is something to remove
        if self.wal is None:
            return
        self.world.arm("failed sync", 1, rng)
        if verb == "append":
            self.append(seed)
        elif verb == "append_batch":
            self.append_batch(seed, rng.randint(1, 4))
        elif verb == "checkpoint":
            self.checkpoint(rng.choice((seed, 1, 2, 3)))
        else:
            self.rotate()
        if power:
            self.power_cut(seed)
        elif self.wal is not None:
            self.close_and_reopen()

    @precondition(lambda self: self.wal is not None and not self.world.appends)
    @rule(seed=seeds, data=st.data(), checkpoint=st.booleans())
    def lost_answers_in_the_middle_of_a_commit(self, seed: int, data: st.DataObject, checkpoint: bool) -> None:
        fault = data.draw(st.sampled_from(("three lost answers", "no answer at all", "late", "late every time")))
        self.world.arm(fault, 1, random.Random(seed))
        if checkpoint:
            self.checkpoint(seed)
        else:
            self.append(seed)
        self.world.disarm()

    @precondition(lambda self: not self.world.appends)
    @rule()
    def late_puts_arrive(self) -> None:
        if self.world.deliver():
            self.count("late puts arrived")

    # Faults

    @precondition(lambda self: self.world.faults)
    @rule(seed=seeds, step=st.integers(1, 12), data=st.data())
    def arm_fault(self, seed: int, step: int, data: st.DataObject) -> None:
        fault = data.draw(st.sampled_from(self.world.faults))
        self.count(f"arm {fault}")
        self.world.arm(fault, step, random.Random(seed))

    @precondition(lambda self: self.world.faults)
    @rule(seed=seeds, step=st.integers(1, 40))
    def arm_crash(self, seed: int, step: int) -> None:
        self.count("arm crash")
        self.world.arm_crash(step, random.Random(seed))

    @precondition(lambda self: self.world.faults)
    @rule(seed=seeds, step=st.integers(1, 30), power=st.booleans())
    def crash_inside_recovery(self, seed: int, step: int, power: bool) -> None:
        self.abandon()
        rng = random.Random(seed)
        if power and self.world.loses_power:
            self.world.power_cut(rng)
        self.world.arm_crash(step, rng)
        self.reopen()

    @rule()
    def disarm(self) -> None:
        self.world.disarm()

    @precondition(lambda self: self.world.loses_power)
    @rule(seed=seeds)
    def evict(self, seed: int) -> None:
        self.count("evict")
        self.world.evict(random.Random(seed))

    @precondition(lambda self: self.world.loses_power)
    @rule(seed=seeds)
    def fail_writeback(self, seed: int) -> None:
        self.count("writeback that nobody saw fail")
        self.world.fail_writeback(random.Random(seed))

    @precondition(lambda self: self.world.loses_power)
    @rule(free=st.sampled_from((0, 1000, 4096, 9000, 70_000)))
    def fill_the_disk(self, free: int) -> None:
        self.count("fill the disk")
        self.world.set_room(free)

    @precondition(lambda self: self.world.loses_power)
    @rule()
    def make_room(self) -> None:
        self.world.set_room(None)

    @precondition(lambda self: self.wal is not None and not self.world.appends)
    @rule(seed=seeds)
    def another_writer_opens(self, seed: int) -> None:
        """It fences this one, whose next append must not be acknowledged."""
        first = self.wal
        assert first is not None
        self.world.disarm()
        self.step(first)
        self.wal = None
        self.reopen()
        self.oracle.base_max = self.oracle.base
        if not first._writer.is_poisoned:
            try:
                self.commit(first, [b"from the dead"])
            except walogs.Fenced:
                self.count("fenced by another writer")
            else:
                raise AssertionError("a fenced writer acknowledged an entry")
        first.close()

    def teardown(self) -> None:
        try:
            self.world.disarm()
            if self.world.loses_power:
                self.world.set_room(None)
            if self.wal is None:
                self.reopen()
            self.close_and_reopen()
            self.close_and_reopen()  # and once more: what bites on the second open bites here
        finally:
            for handle in self.handles:
                handle.closed = True
            self.abandon()
            self.world.close()
