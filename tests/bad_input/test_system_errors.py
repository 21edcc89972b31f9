"""Errors of the system: no space, failed reads, missing permission."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

import walogs
from tests.bad_input.contents import DATA
from tests.kit.logs import LogOnDisk, numbered, segment_name
from tests.kit.requirements import require
from walogs.defaults import local_store, whole_files
from walogs.testing import MemoryCloud, MemoryDisk, MemoryImmutableStore, MemoryStore


@pytest.mark.guarantee("G9")
def test_no_space_for_the_first_segment_leaves_nothing_that_refuses_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = LogOnDisk(tmp_path / "log")
    with monkeypatch.context() as patch:
        patch.setattr(whole_files, "write_all", full_disk)
        with pytest.raises(OSError) as refused:
            log.open()
    assert refused.value.errno == errno.ENOSPC
    assert "wal-000001.log" in str(refused.value)
    assert "free some space" in "".join(refused.value.__notes__)
    assert [path.name for path in log.path.iterdir()] == ["LOCK"]
    log.append(b"one").goes_on(numbered(1, b"one"))


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.guarantee("G9")
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_no_space_to_grow_is_an_error_that_says_so_and_the_log_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    log = LogOnDisk(tmp_path / "log")
    with log.open() as wal:
        wal.append(b"one")
        with monkeypatch.context() as patch:
            patch.setattr(local_store, "write_zeros", refuse)
            for _ in range(3):
                with pytest.raises(OSError) as refused:
                    wal.append(bytes(500_000))
                assert refused.value.errno == number
                assert isinstance(refused.value, walogs.NoSpace)
                assert "wal-000001.log" in str(refused.value)
                assert "Nothing was changed" in "".join(refused.value.__notes__)
            assert wal.append(b"two") == 2
        assert wal.append(bytes(500_000)) == 3
    log.goes_on(numbered(1, b"one", b"two", bytes(500_000)))


@pytest.mark.guarantee("G9")
def test_no_space_for_the_next_segment_is_an_error_that_says_so_and_the_log_goes_on(
    log: LogOnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with log.open() as wal:
        with monkeypatch.context() as patch:
            patch.setattr(whole_files, "write_all", full_disk)
            with pytest.raises(walogs.NoSpace, match="wal-000002"):
                wal.rotate()
            assert wal.segment_count == 1
        assert list(log.path.glob("*.tmp")) == []
        assert wal.append(b"five") == 5
        wal.rotate()
        assert wal.segment_count == 2
    log.goes_on(numbered(1, *DATA, b"five"))


class Tight(MemoryStore):
    """A store that raises the bare error class, as the example in the page about stores does."""

    def extend(self, number: int, size: int) -> None:
        if size > 300_000:
            raise walogs.NoSpace
        super().extend(number, size)


class TightCloud(MemoryImmutableStore):
    def create(self, number: int, data: Any) -> None:
        if len(data) > 300_000:
            raise walogs.NoSpace
        super().create(number, data)


@pytest.mark.guarantee("G9")
@pytest.mark.parametrize("verb", ["append", "append_batch", "submit"])
@pytest.mark.parametrize(
    "make", [lambda: Tight(MemoryDisk()), lambda: TightCloud(MemoryCloud())], ids=["growing", "immutable"]
)
def test_a_bare_refusal_of_a_store_gets_its_place_and_the_next_move_from_the_engine(
    make: Callable[[], Any], verb: str
) -> None:
    store = make()
    verbs: dict[str, Callable[[walogs.Wal], object]] = {
        "append": lambda wal: wal.append(bytes(400_000)),
        "append_batch": lambda wal: wal.append_batch([bytes(400_000)]),
        "submit": lambda wal: wal.submit(bytes(400_000)).result(),
    }
    with walogs.open(store=store) as wal:
        wal.append(b"one")
        with pytest.raises(walogs.NoSpace) as refused:
            verbs[verb](wal)
        assert store.name in str(refused.value)
        assert store.segment_name(wal.segments()[-1].number).partition("0")[0] in str(refused.value)
        assert refused.value.__notes__ == ["Nothing was changed in the log: free some space, and the same call works."]
        assert wal.append(b"two") == 2


def test_an_error_of_the_device_is_never_taken_for_damage(log: LogOnDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    before = log.looks()[segment_name(1)]
    for failing in range(1, 60):
        calls = iter(range(1, 1000))
        pristine = os.pread

        def pread(*args: Any, pristine: Any = pristine, calls: Any = calls, failing: int = failing) -> bytes:
            if next(calls) == failing:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return bytes(pristine(*args))

        with monkeypatch.context() as patch:
            patch.setattr(os, "pread", pread)
            try:
                log.open().close()
                break
            except OSError as error:
                refused = error
        assert refused.errno == errno.EIO
        assert log.looks()[segment_name(1)] == before, failing
    else:
        pytest.fail("an open reads less than that")
    assert failing > 5
    log.goes_on(numbered(1, *DATA))


def test_a_short_read_is_never_taken_for_the_end(log: LogOnDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    pristine = os.pread
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", lambda fd, size, offset: pristine(fd, max(1, size // 3), offset))
        assert log.entries() == numbered(1, *DATA)
        assert log.entries(recovery="prefix") == numbered(1, *DATA)
    before = log.looks()
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", lambda fd, size, offset: pristine(fd, size, offset) if offset < 400 else b"")
        with pytest.raises(OSError, match="fewer bytes"):
            log.open()
    assert log.looks() == before


UNPRIVILEGED: Final = """
import os, sys, json, traceback
import walogs, walogs.defaults.local_store, walogs.defaults.crc32_codec, walogs.defaults.sync_policies
import filelock, difflib, encodings.idna
os.setegid(65534); os.seteuid(65534)
try:
    with walogs.open(sys.argv[1]) as wal:
        print(json.dumps(["opened", wal.last_lsn]))
except BaseException as error:
    print(json.dumps([type(error).__name__, str(error), list(getattr(error, "__notes__", []))]))
"""


def as_nobody(path: Path) -> list[Any]:
    """Open the log as an ordinary user, and return the result. Modules are imported before privileges are dropped."""
    import json

    script = textwrap.dedent(UNPRIVILEGED)
    result = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr.decode()
    found: list[Any] = json.loads(result.stdout)
    return found


@pytest.fixture
def shared(shared_path: Path) -> Path:
    require("root", os.geteuid() == 0, "only root can become another user")
    return shared_path


def test_without_permission_to_look_the_error_is_the_system_s_own(shared: Path) -> None:
    log = LogOnDisk(shared / "log").append(*DATA)
    before = log.looks()
    kind, message, _ = as_nobody(log.path)
    assert kind == "PermissionError"
    assert str(log.path) in message
    assert log.looks() == before


@pytest.mark.parametrize("what", ["segment", "durable_mark", "lock"])
def test_without_permission_the_error_names_what_it_could_not_touch(shared: Path, what: str) -> None:
    log = LogOnDisk(shared / "log").append(*DATA)
    for path in (log.path, *log.path.iterdir()):
        os.chown(path, 65534, 65534)
    assert as_nobody(log.path) == ["opened", 4]
    denied = {"segment": log.segment(1), "durable_mark": log.durable_mark, "lock": log.path / "LOCK"}[what]
    os.chown(denied, 0, 0)
    before = log.looks()
    kind, message, notes = as_nobody(log.path)
    assert kind == "PermissionError", (kind, message)
    assert denied.name in message + "".join(notes)
    assert log.looks() == before
    os.chown(denied, 65534, 65534)
    assert as_nobody(log.path) == ["opened", 4]


def test_without_permission_to_write_in_the_directory(shared: Path) -> None:
    (shared / "log").mkdir(mode=0o755)
    kind, message, _ = as_nobody(shared / "log")
    assert kind == "PermissionError"
    assert str(shared / "log") in message
    assert list((shared / "log").iterdir()) == []


def test_without_permission_to_make_the_directory(shared: Path) -> None:
    kind, message, _ = as_nobody(shared / "new" / "log")
    assert kind == "PermissionError"
    assert str(shared / "new") in message
    assert not (shared / "new").exists()
