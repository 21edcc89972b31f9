"""A follower of a local log is told of changes at once, and finds what nobody tells it of."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

import walogs
from tests.kit.callers import SECONDS
from walogs.defaults import directory_watch
from walogs.defaults.directory_watch import WATCHES, DirectoryWatch
from walogs.handles import following

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is of Linux")
HANG: Final = 100 * SECONDS
"""Longer than any test may take: who waits for so long hangs."""


@pytest.fixture
def told_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A follower that nobody tells of a change hangs."""
    monkeypatch.setattr(following, "WATCHED_SECONDS", HANG)


def follow(reader: walogs.WalReader, start: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Follow, and end where a test would hang."""
    return reader.follow(start, timeout=SECONDS)


def instances() -> int:
    """Return how many inotify instances this process has."""
    names = (f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd"))
    return sum("inotify" in os.readlink(name) for name in names if os.path.lexists(name))


def watching(path: Path) -> tuple[DirectoryWatch, threading.Semaphore]:
    """Watch a directory, and return what is released at each change."""
    told = threading.Semaphore(0)
    watch = WATCHES.begin(str(path), told.release)
    assert watch is not None
    return watch, told


def write(path: Path, data: bytes) -> None:
    with (path / "file").open("ab", buffering=0) as file:
        file.write(data)


@pytest.mark.usefixtures("told_only")
@pytest.mark.guarantee("G14")
@pytest.mark.parametrize("visibility", ["durable", "written"])
@pytest.mark.parametrize("sync", ["fdatasync", "interval"])
def test_each_append_and_each_new_segment_is_told(tmp_path: Path, visibility: Any, sync: str) -> None:
    with walogs.open(tmp_path, sync=sync) as wal, walogs.reader(tmp_path, visibility=visibility) as reader:
        entries = follow(reader, 1)
        for lsn in range(1, 30):
            wal.append(b"%d" % lsn)
            assert next(entries) == (lsn, b"%d" % lsn)
            if lsn % 7 == 0:
                wal.rotate()
            if lsn % 14 == 0:
                wal.checkpoint(lsn)
        entries.close()  # type: ignore[attr-defined]


@pytest.mark.usefixtures("told_only")
@pytest.mark.guarantee("G14")
def test_what_comes_at_any_step_of_a_follower_is_not_slept_through(tmp_path: Path) -> None:
    """An entry is appended before each call of the store once, and last of all when the follower begins to wait. If it
    does not notice, it hangs."""
    with walogs.open(tmp_path) as wal:
        wal.append(b"x")
        at, waits = 1, False
        while not waits:
            with walogs.reader(tmp_path) as beside:
                store = ActsOnce(beside._source.store, at, lambda: wal.append(b"x"))
                source = beside._source._replace(store=store)  # type: ignore[arg-type]
                last_lsn = wal.last_lsn
                with walogs.WalReader(beside.path, source, "durable") as reader:
                    entries = follow(reader, last_lsn + 1)
                    honest = reader._woken

                    def wait(timeout: float, store: ActsOnce = store, honest: Any = honest) -> bool:
                        nonlocal waits
                        waits = waits or store.left > 0
                        store.act()
                        return bool(honest.acquire(timeout=timeout))

                    woken = SimpleNamespace(acquire=wait, locked=honest.locked, release=honest.release)
                    reader._woken = woken  # type: ignore[assignment]
                    assert next(entries)[0] == last_lsn + 1, f"appended before call {at}"
                    entries.close()  # type: ignore[attr-defined]
            at += 1
        assert at > 10


class ActsOnce:
    """A store that does something before its call number *left*, counted from 1."""

    def __init__(self, store: Any, left: int, act: Callable[[], object]) -> None:
        self._store = store
        self._act = act
        self.left = left

    def act(self) -> None:
        """Do it now, unless it was done."""
        if self.left > 0:
            self.left = 0
            self._act()

    def watch(self, changed: Callable[[], object]) -> Any:
        return self.__getattr__("watch")(changed)

    def __getattr__(self, name: str) -> Any:
        if self.left == 1:
            self.act()
        self.left -= 1
        return getattr(self._store, name)


@pytest.mark.usefixtures("told_only")
def test_a_follower_in_another_process_is_told(tmp_path: Path) -> None:
    program = (
        "import sys, walogs\nfrom walogs.handles import following\nfollowing.WATCHED_SECONDS = 1e6\n"
        "for lsn, data in walogs.reader(sys.argv[1]).follow(timeout=600):\n"
        "    print(data.decode(), flush=True)\n    if lsn == 20: break\n"
    )
    with walogs.open(tmp_path) as wal:
        wal.append(b"1")
        command = [sys.executable, "-c", program, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower:
            assert follower.stdout is not None
            for lsn in range(2, 21):
                assert follower.stdout.readline() == f"{lsn - 1}\n"
                wal.append(b"%d" % lsn)
            assert follower.stdout.readline() == "20\n"


@pytest.mark.usefixtures("told_only")
def test_close_in_another_thread_ends_a_wait_at_once(tmp_path: Path) -> None:
    with walogs.open(tmp_path) as wal:
        wal.append(b"1")
        reader = walogs.reader(tmp_path)
        ended: list[BaseException] = []

        def run() -> None:
            try:
                list(reader.follow(2))
            except walogs.Closed as error:
                ended.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        while not WATCHES.followers:
            pass
        reader.close()
        thread.join(SECONDS)
        assert len(ended) == 1
        assert not WATCHES.followers


def test_all_followers_of_a_process_share_one_instance_which_ends_after_them(tmp_path: Path) -> None:
    before = instances()
    watches = []
    for number in range(30):
        path = tmp_path / str(number % 3)
        path.mkdir(exist_ok=True)
        watches.append(watching(path))
    assert instances() == before + 1
    for number in range(3):
        write(tmp_path / str(number), b"x")
    assert all(told.acquire(timeout=SECONDS) for _, told in watches)
    for watch, _ in watches:
        watch.end()
        watch.end()
    assert WATCHES.followers == {}
    wait_for_end()
    assert instances() == before
    watch, told = watching(tmp_path)
    write(tmp_path, b"x")
    assert told.acquire(timeout=SECONDS)
    watch.end()


def wait_for_end() -> None:
    thread = WATCHES.service.thread
    if thread is not None:
        assert thread.ended.acquire(timeout=SECONDS)


def test_a_watch_that_is_garbage_is_told_nothing_and_keeps_nothing(tmp_path: Path) -> None:
    watch, _ = watching(tmp_path)
    other, told = watching(tmp_path)
    write(tmp_path, b"x")
    assert told.acquire(timeout=SECONDS), "whoever has told a watch of something does not keep it"
    del watch
    assert [len(followers) for followers in WATCHES.followers.values()] == [1]
    del other
    wait_for_end()
    write(tmp_path, b"x")
    assert WATCHES.followers == {}
    assert not told.acquire(blocking=False)


@pytest.mark.parametrize("how", ["moved", "removed"])
def test_a_directory_that_is_gone_is_watched_no_more(tmp_path: Path, how: str) -> None:
    path = tmp_path / "log"
    path.mkdir()
    watch, told = watching(path)
    if how == "moved":
        path.rename(tmp_path / "elsewhere")
    else:
        path.rmdir()
    assert told.acquire(timeout=SECONDS)
    assert not watch.is_live
    assert WATCHES.followers == {}


@pytest.mark.guarantee("G14")
def test_a_follower_goes_on_after_its_log_was_moved_away_and_another_put_there(tmp_path: Path) -> None:
    with walogs.open(tmp_path / "log") as wal:
        wal.append(b"1")
    with walogs.reader(tmp_path / "log") as reader:
        entries = follow(reader)
        assert next(entries) == (1, b"1")
        (tmp_path / "log").rename(tmp_path / "moved")
        (tmp_path / "moved").rename(tmp_path / "log")
        with walogs.open(tmp_path / "log") as wal:
            wal.append(b"2")
        assert next(entries) == (2, b"2")
        entries.close()  # type: ignore[attr-defined]


def test_a_lost_event_has_every_follower_look(tmp_path: Path) -> None:
    watch, told = watching(tmp_path)
    flood = SimpleNamespace(wd=-1, mask=0x4000)
    assert WATCHES._told([flood]) == [watch]
    assert watch.is_live
    watch.end()
    assert not told.acquire(blocking=False)


@pytest.mark.parametrize("refusal", ["no instance", "no watch", "no library", "no thread", "no Linux"])
def test_a_follower_polls_where_the_system_tells_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: str
) -> None:
    import inotify_simple

    def refuse(*_: object) -> Any:
        raise OSError(24, "no more of them")

    wait_for_end()
    if refusal == "no instance":
        monkeypatch.setattr(inotify_simple, "INotify", refuse)
    elif refusal == "no watch":
        monkeypatch.setattr(inotify_simple.INotify, "add_watch", refuse)
    elif refusal == "no library":
        monkeypatch.setitem(sys.modules, "inotify_simple", None)
    elif refusal == "no thread":
        monkeypatch.setattr(WATCHES.service, "start", lambda: False)
    else:
        monkeypatch.setattr(directory_watch.sys, "platform", "darwin")
    with walogs.open(tmp_path) as wal, walogs.reader(tmp_path) as reader:
        monkeypatch.setattr(following, "WATCHED_SECONDS", HANG)
        entries = follow(reader, 1)
        for lsn in range(1, 4):
            wal.append(b"x")
            assert next(entries) == (lsn, b"x")
        assert WATCHES.followers == {}
    monkeypatch.undo()
    if WATCHES.inotify is not None:
        watch, _ = watching(tmp_path)
        watch.end()


@pytest.mark.guarantee("G14")
def test_what_is_never_told_comes_late_and_soon_the_follower_polls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "WATCHED_SECONDS", 0.02)
    silent = SimpleNamespace(is_live=True, ended=0, end=lambda: setattr(silent, "ended", silent.ended + 1))
    monkeypatch.setattr(directory_watch.Watches, "begin", lambda *_: silent)
    with walogs.open(tmp_path) as wal, walogs.reader(tmp_path) as reader:
        entries = reader.follow(1, timeout=SECONDS, poll=0.001)
        missed = 0
        for lsn in range(1, 200):
            thread = threading.Timer(0.01, wal.append, [b"x"])
            thread.start()
            assert next(entries) == (lsn, b"x")
            thread.join()
            missed = silent.ended
            if missed:
                break
        assert missed == 1
        entries.close()  # type: ignore[attr-defined]
        assert silent.ended == 1


@pytest.mark.guarantee("G18")
def test_a_forked_child_follows_by_itself_and_takes_nothing_from_its_parent(tmp_path: Path) -> None:
    before = instances()
    with walogs.open(tmp_path) as wal:
        wal.append(b"1")
        watch, told = watching(tmp_path)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                assert not watch.is_live
                assert instances() == before
                watch.end()
                with walogs.reader(tmp_path) as reader:
                    entries = reader.follow(timeout=SECONDS)
                    assert [next(entries), next(entries)] == [(1, b"1"), (2, b"2")]
                    status = 0
            finally:
                os._exit(status)
        wal.append(b"2")
        assert told.acquire(timeout=SECONDS)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert watch.is_live
        while told.acquire(blocking=False):
            pass
        wal.append(b"3")
        assert told.acquire(timeout=SECONDS)
        watch.end()


def test_an_idle_follower_waits_for_long(tmp_path: Path) -> None:
    with walogs.open(tmp_path) as wal:
        wal.append(b"1")
        with walogs.reader(tmp_path) as reader:
            waits: list[float] = []

            def waited(timeout: float) -> bool:
                waits.append(timeout)
                if len(waits) == 10:
                    reader.close()
                return reader.closed

            reader._woken = SimpleNamespace(acquire=waited, locked=lambda: False)  # type: ignore[assignment]
            with pytest.raises(walogs.Closed):
                next(reader.follow(2))
            assert waits == [following.WATCHED_SECONDS] * 10
