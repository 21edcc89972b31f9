"""The log under test: its opens, its verbs, its commit thread and its readers. An oracle judges each of them."""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import Future
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

import walogs
from tests.kit.callers import stepped_by_hand
from tests.model.worlds import WORLDS
from walogs.assembly.config import WalConfig
from walogs.assembly.opening import assemble
from walogs.defaults.sync_policies import IntervalPolicy
from walogs.engine.log_source import Environment
from walogs.handles.futures import CallbackRunner, LsnFuture
from walogs.testing import SimulatedCrash
from walogs.testing.oracle import Oracle

SECTOR = 512
INTERVAL_NS = 1000
"""How long a policy that delays syncs may delay them."""
COMMIT_STEPS_MAX = 10_000
"""More steps of the commit thread than one rule of the machine can cause."""
seeds = st.integers(0, 2**32 - 1)


def payload(rng: random.Random) -> bytes:
    """Draw an entry: random bytes, zeros, a single set bit, or sectors that torn sectors can be mistaken for."""
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


class LogUnderTest(RuleBasedStateMachine):
    """One log with one writer at a time. Every step is drawn at random, and every draw can be replayed."""

    world_name = "disk"
    counts: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.world: Any = WORLDS[self.world_name]()
        self.oracle = Oracle()
        self.wal: walogs.Wal | None = None
        self.handles: list[walogs.Wal] = []
        self.ticks = 0
        self.now_ns = 0
        self.submitted: list[tuple[Future[int], bytes]] = []
        """The submitted entries whose outcome is not known yet, in the order of submission."""
        self.still_there_from = 1
        """Entries from here on can be there: a checkpoint that fails when it removes segments leaves them."""

    def check_invariants(self, *args: Any, **kwargs: Any) -> None:
        self.count("steps")
        super().check_invariants(*args, **kwargs)  # type: ignore[no-untyped-call]

    def count(self, what: str) -> None:
        type(self).counts[what] += 1

    def clock(self) -> int:
        self.ticks += random.Random(self.ticks).choice((0, 1, 1000, -500))  # the clock also stands still and goes back
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
        policy = IntervalPolicy(time=INTERVAL_NS / 1e9, bytes=6000, entries=5)
        self.policy = policy if sync == "interval" else sync
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
        """Try to open the log until it opens. Armed faults may fail a few attempts, but never with `Corrupt`."""
        assert self.wal is None
        for attempt in range(30):
            if attempt == 20:
                self.world.disarm()
            try:
                self.wal = self.open()
                self.handles.append(self.wal)
                break
            except (OSError, walogs.Unavailable, walogs.OutcomeUnknown):
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
        self.oracle.check_opened(self.wal.first_lsn, self.wal.next_lsn, got)
        self.still_there_from = self.wal.first_lsn
        assert self.wal.durable_lsn == self.wal.last_lsn
        assert report.entries == len(got)

    def abandon(self) -> None:
        """Let the process die. The handle is not used again."""
        self.forget()
        self.world.kill()

    def forget(self) -> None:
        """Settle the outcome of submitted entries when the process dies. Those that no commit has taken are gone."""
        self.learn(is_dead=True)
        if self.wal is not None:
            self.wal.closed = True
            self.wal = None

    # Verbs

    def attempt(self, what: str, entries: list[bytes], verb: Any) -> Any:
        """Run a verb, and tell the oracle what may be in the log after its result or its error."""
        assert self.wal is not None
        try:
            result = verb(self.wal)
            self.step(self.wal)
        except walogs.OutcomeUnknown:
            self.count(f"{what}: indefinite")
            self.learn()
            self.oracle.note_written(entries)
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
            self.oracle.note_written(entries)
            self.abandon()
        else:
            self.count(what)
            if self.wal is not None:
                self.oracle.durable_up_to(self.wal.durable_lsn)
            return result
        self.learn()
        if self.wal is not None:  # a verb may have synced earlier entries before it failed
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
        if not entries:  # nothing was written, so nothing has changed; this is so for a poisoned handle as well
            return
        self.oracle.note_written(entries)
        self.believe_what_is_durable()

    def believe_what_is_durable(self) -> None:
        """Believe `durable_lsn`, and check it against what the sync policy allows to be missing."""
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
        """Append like `append` and `append_batch`, which would wait for the commit thread while it is in use."""
        commits = wal._commits
        if not commits._queue.is_contended and not commits._queue.appends:
            return wal.append(entries[0]) if len(entries) == 1 else wal.append_batch(entries)[0]
        self.count("shared commit")
        future = LsnFuture(CallbackRunner(stepped_by_hand))
        commits.submit(entries, sum(map(len, entries)), future)
        if commits._pace is not None:  # the caller waits as long as the policy says
            self.now_ns += INTERVAL_NS
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
        """Tell the oracle the outcome of the submitted entries, in their order."""
        if self.wal is not None:
            self.wal._commits._queue.resolve_futures()
        while self.submitted and (is_dead or self.submitted[0][0].done()):
            future, data = self.submitted.pop(0)
            if future.cancelled():
                self.count("submit: cancelled")
            elif not future.done():
                self.oracle.note_written([data])  # the entry may have been written when the process died
            elif isinstance(error := future.exception(), walogs.OutcomeUnknown):
                self.oracle.note_written([data])
                self.count("submit: indefinite")
            elif error is not None:
                assert isinstance(error, (walogs.Poisoned, walogs.Closed, walogs.Fenced, OSError, walogs.Unavailable))
                self.count(f"submit: {type(error).__name__}")
            else:
                assert future.result() == self.oracle.next_lsn
                self.oracle.note_written([data])
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
        assert future.cancel()  # no commit has taken this entry

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
        before = self.oracle.first_lsn
        self.still_there_from = min(self.still_there_from, before)
        self.oracle.first_lsn_max = max(self.oracle.first_lsn_max, min(lsn + 1, self.oracle.next_lsn))
        done = self.attempt("checkpoint", [], lambda wal: (wal.checkpoint(lsn), 1))
        if self.wal is not None:
            assert before <= self.wal.first_lsn <= max(before, lsn + 1)
            self.oracle.first_lsn = self.wal.first_lsn
            if done is not None:
                self.oracle.first_lsn_max = self.still_there_from = self.wal.first_lsn

    @precondition(lambda self: self.wal is not None)
    @rule(seed=seeds)
    def look(self, seed: int) -> None:
        """Check that any range that the handle returns is what was appended."""
        assert self.wal is not None
        expected = self.oracle.visible()
        rng = random.Random(seed)
        start = rng.randint(self.oracle.first_lsn, self.oracle.next_lsn)
        stop = rng.randint(start, self.oracle.next_lsn + 1)
        try:
            if self.wal._writer.is_poisoned:  # then the handle returns no entries of unknown outcome
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
        ) as error:  # only unsynced bytes can be lost like this, by a failed writeback and an eviction
            assert error.lsn is not None  # noqa: PT017
            assert error.lsn > self.wal.durable_lsn  # noqa: PT017
            self.count("look: unsynced entries are gone")
        except (OSError, walogs.Unavailable):
            self.count("look: refused")
        except SimulatedCrash:
            self.count("look: crash")
            self.abandon()

    @precondition(lambda self: self.wal is not None)
    @rule(visibility=st.sampled_from(("durable", "durable", "written")))
    def read_beside(self, visibility: Any) -> None:
        """Check that a reader in another process sees what was appended, and only what is durable (G14)."""
        assert self.wal is not None
        everything = self.oracle.everything()
        try:
            with self.world.beside() as store:
                got = list(walogs.reader(store=store, visibility=visibility))
        except walogs.Corrupt as error:  # with "written", unsynced entries can be lost, as for the writer itself
            assert error.lsn is not None  # noqa: PT017
            assert error.lsn > self.wal.durable_lsn  # noqa: PT017
            self.count("read beside: unsynced entries are gone")
        except (OSError, walogs.Unavailable, SimulatedCrash):
            self.count("read beside: refused")
        else:
            self.count(f"read beside: {visibility}")
            assert [lsn for lsn, _ in got] == list(range(got[0][0], got[0][0] + len(got))) if got else True
            assert all(data == everything[lsn - 1] for lsn, data in got)
            if visibility == "durable" and got and self.world.appends:
                assert got[-1][0] <= self.wal.durable_lsn
