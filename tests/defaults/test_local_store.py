"""The local store's own rules, one at a time: names, modes, symlinks, short writes, barriers and their order."""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import logging
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

import walogs
from walogs.defaults import local_store
from walogs.defaults.local_store import LocalStore

HEADER: Final = b"h" * 512
NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FIRST: Final = "wal-000001.log"
WITNESS_BYTES: Final = bytes(range(64))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    made = LocalStore(tmp_path / "log")
    made.acquire()
    yield made
    made.close()


@pytest.fixture
def set_umask() -> Iterator[Callable[[int], object]]:
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


class Call(NamedTuple):
    name: str
    target: str
    """Name of the file, in its directory, that the call was about."""


class Calls:
    """Every system call of the local store that changes something, in order; and those told to fail do."""

    NAMES: Final = ("open", "pwrite", "fsync", "fdatasync", "rename", "unlink", "ftruncate", "mkdir")

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[Call] = []
        self.failing: Callable[[Call], int] = lambda _: 0
        """The errno a call fails with; 0: it does not."""
        for name in self.NAMES:
            monkeypatch.setattr(local_store.os, name, self._recording(name, getattr(os, name)))

    def _recording(self, name: str, real: Callable[..., object]) -> Callable[..., object]:
        def recorded(*args: object, **kwargs: object) -> object:
            subject = args[0]
            path = os.readlink(f"/proc/self/fd/{subject}") if isinstance(subject, int) else os.fspath(subject)  # type: ignore[call-overload]
            call = Call(name, os.path.basename(path))
            self.made.append(call)
            if number := self.failing(call):
                raise OSError(number, os.strerror(number), path)
            return real(*args, **kwargs)

        return recorded

    def of(self, name: str) -> list[str]:
        return [call.target for call in self.made if call.name == name]

    def fail(self, name: str, target: str, number: int) -> None:
        self.failing = lambda call: number if call == Call(name, target) else 0


@pytest.fixture
def calls(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Records what the store does from here on."""
    return Calls(monkeypatch)


def descriptors(directory: str) -> list[int]:
    """This process's open descriptors of files in *directory*, and of the directory itself."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{name}").startswith(directory):
                found.append(int(name))
    return found


def content(store: LocalStore, name: str) -> bytes:
    return Path(store.path, name).read_bytes()


# Names


@pytest.mark.guarantee("G17")
def test_segments_are_listed_by_number_whatever_their_width(tmp_path: Path) -> None:
    for name in ("wal-1000000.log", "wal-000010.log", "wal-000002.log", "wal-12345678.log", "wal-999999.log"):
        (tmp_path / name).touch()
    assert LocalStore(tmp_path).segments() == [2, 10, 999_999, 1_000_000, 12_345_678]


@pytest.mark.parametrize("number", [1, 7, 999_999, 1_000_000, 123_456_789])
def test_a_segment_is_found_under_the_name_it_is_given(tmp_path: Path, number: int) -> None:
    store = LocalStore(tmp_path)
    (tmp_path / store.segment_name(number)).touch()
    assert store.segments() == [number]


@pytest.mark.guarantee("G17")
@pytest.mark.parametrize(
    "name",
    [
        "wal-7.log",
        "wal-00001.log",
        "wal-0000007.log",
        "wal-000000.log",
        "wal-０００００１.log",
        "wal-٠٠٠٠٠١.log",
        "wal-00000².log",
        "WAL-000001.LOG",
        "wal-000001.Log",
        "wal-000001 .log",
        "wal--00001.log",
        "wal-+00001.log",
        "wal-0x0001.log",
        "wal-1_0000.log",
        "wal-.log",
        "wal-000001.log.log",
        "wal-000001\n.log",
        "wal-000001 (copy).log",
    ],
)
def test_a_name_that_merely_resembles_ours_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"whose?")
    with pytest.raises(walogs.Unsafe) as refused:
        walogs.open(tmp_path)
    assert name in str(refused.value)
    assert os.listdir(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() == b"whose?"


@pytest.mark.guarantee("G17")
@pytest.mark.parametrize(
    "name",
    ["notes.txt", "wal-000001.log.bak", "xwal-000001.log", ".wal-000001.log", "wal-000001", "wal", "LOCK~", "a\nb"],
)
def test_what_is_not_ours_is_ignored_and_kept(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"theirs")
    with walogs.open(tmp_path, max_segment_size=600) as wal:
        for _ in range(4):
            wal.append(b"x" * 100)
        assert wal.checkpoint(3) == 3
    with walogs.open(tmp_path) as wal:
        assert [lsn for lsn, _ in wal] == [4]
    assert (tmp_path / name).read_bytes() == b"theirs"


def test_a_name_that_is_no_text_is_ignored(tmp_path: Path) -> None:
    stray = os.fsencode(tmp_path) + b"/\xff\xfe.log"
    with open(stray, "wb"):
        pass
    with walogs.open(tmp_path) as wal:
        assert wal.append(b"x") == 1
    assert os.path.exists(stray)


def test_the_file_of_the_crates_first_version_is_named_for_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "wal.log").write_bytes(b"old")
    with pytest.raises(walogs.UnsupportedFormat) as refused:
        walogs.open(tmp_path)
    assert refused.value.found == "walogs-rs"
    assert os.listdir(tmp_path) == ["wal.log"]


def test_a_directory_that_is_not_there_holds_nothing_and_is_not_made_by_looking(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "a" / "b")
    assert store.segments() == []
    assert store.read_witness() is None
    with pytest.raises(walogs.Missing):
        store.read(1)
    with pytest.raises(walogs.Missing):
        store.size(1)
    assert os.listdir(tmp_path) == []


def test_a_file_where_the_directory_should_be_says_so(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"a file")
    with pytest.raises(NotADirectoryError) as refused:
        walogs.open(file)
    assert any("directory" in note for note in refused.value.__notes__)
    assert file.read_bytes() == b"a file"


# Creating


@pytest.mark.guarantee("G10")
def test_a_segment_is_whole_and_synced_before_it_has_its_name_and_its_name_before_create_returns(
    store: LocalStore, calls: Calls
) -> None:
    store.create(1, HEADER)
    assert calls.made == [
        Call("unlink", f"{FIRST}.tmp"),
        Call("open", f"{FIRST}.tmp"),
        Call("pwrite", f"{FIRST}.tmp"),
        Call("fsync", f"{FIRST}.tmp"),
        Call("rename", f"{FIRST}.tmp"),
        Call("fsync", "log"),
    ]
    assert content(store, FIRST) == HEADER


@pytest.mark.guarantee("G10")
def test_each_rotation_syncs_the_directory_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with walogs.open(tmp_path / "log", max_segment_size=600) as wal:
        wal.append(b"x" * 50)
        calls = Calls(monkeypatch)
        for _ in range(5):
            wal.rotate()
            wal.append(b"x" * 50)
        assert calls.of("fsync").count("log") == 5
        assert len(calls.of("rename")) == 5


@pytest.mark.guarantee("G10")
@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.EROFS, *NO_SPACE])
@pytest.mark.parametrize(
    ("name", "target", "is_there"),
    [
        ("open", f"{FIRST}.tmp", False),
        ("pwrite", f"{FIRST}.tmp", False),
        ("fsync", f"{FIRST}.tmp", False),
        ("rename", f"{FIRST}.tmp", False),
        ("fsync", "log", True),
    ],
)
def test_a_create_that_fails_at_any_call_leaves_it_whole_or_not_at_all(
    store: LocalStore, calls: Calls, name: str, target: str, is_there: bool, number: int
) -> None:
    before = descriptors(store.path)
    calls.fail(name, target, number)
    with pytest.raises(OSError) as failed:
        store.create(1, HEADER)
    assert failed.value.errno == number
    assert store.segments() == ([1] if is_there else [])
    assert descriptors(store.path) == before
    if is_there:
        assert content(store, FIRST) == HEADER
        assert not isinstance(failed.value, walogs.NoSpace)  # it is there: something has changed
        return
    calls.failing = lambda _: 0
    store.create(1, HEADER)
    assert content(store, FIRST) == HEADER
    assert f"{FIRST}.tmp" not in os.listdir(store.path)


@pytest.mark.guarantee("G9")
@pytest.mark.parametrize("number", NO_SPACE)
@pytest.mark.parametrize("name", ["open", "pwrite", "fsync", "rename"])
def test_a_create_without_space_changes_nothing_and_says_so(
    store: LocalStore, calls: Calls, name: str, number: int
) -> None:
    before = sorted(os.listdir(store.path))
    calls.fail(name, f"{FIRST}.tmp", number)
    with pytest.raises(walogs.NoSpace) as refused:
        store.create(1, HEADER)
    assert isinstance(refused.value, OSError)
    assert (refused.value.errno, refused.value.filename) == (number, os.path.join(store.path, f"{FIRST}.tmp"))
    assert sorted(os.listdir(store.path)) == before


def test_a_number_is_created_once(store: LocalStore) -> None:
    store.create(1, HEADER)
    before = os.stat(os.path.join(store.path, FIRST))
    with pytest.raises(walogs.Exists):
        store.create(1, b"another")
    after = os.stat(os.path.join(store.path, FIRST))
    assert (after.st_ino, after.st_mtime_ns, after.st_size) == (before.st_ino, before.st_mtime_ns, before.st_size)
    assert content(store, FIRST) == HEADER


def test_a_dangling_symlink_is_a_segment_that_exists(store: LocalStore, tmp_path: Path) -> None:
    os.symlink(tmp_path / "elsewhere", os.path.join(store.path, FIRST))
    with pytest.raises(walogs.Exists):
        store.create(1, HEADER)
    assert not (tmp_path / "elsewhere").exists()


# Modes


@pytest.mark.guarantee("G17")
@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_only_the_owner_can_read_what_we_make(tmp_path: Path, set_umask: Callable[[int], object], umask: int) -> None:
    set_umask(umask)
    with walogs.open(tmp_path / "new" / "log", max_segment_size=600) as wal:
        for _ in range(3):
            wal.append(b"x" * 100)
        names = os.listdir(tmp_path / "new" / "log")
        assert {"LOCK", "DURABLE", FIRST, "wal-000002.log"} <= set(names)
        for name in names:
            assert stat.S_IMODE(os.stat(tmp_path / "new" / "log" / name).st_mode) == 0o600, name
    for directory in (tmp_path / "new", tmp_path / "new" / "log"):
        assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700


@pytest.mark.guarantee("G17")
@pytest.mark.parametrize("mode", [0o755, 0o750, 0o1777])
def test_the_mode_of_a_directory_that_was_there_is_left_alone(
    tmp_path: Path, set_umask: Callable[[int], object], mode: int
) -> None:
    set_umask(0)
    path = tmp_path / "log"
    path.mkdir()
    path.chmod(mode)
    with walogs.open(path) as wal:
        wal.append(b"x")
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.guarantee("G17")
def test_missing_parents_are_made_and_each_is_synced_into_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(monkeypatch)
    store = LocalStore(tmp_path / "a" / "b" / "log")
    store.acquire()
    store.close()
    steps: list[Call] = []
    for call in calls.made:
        if call.name == "fsync" or (call.name == "mkdir" and call not in steps):  # filelock makes one once more
            steps.append(call)
    assert steps[:7] == [
        Call("mkdir", "a"),
        Call("mkdir", "b"),
        Call("mkdir", "log"),
        Call("fsync", "log"),  # what is listed is durable by name, LOCK too
        Call("fsync", "b"),
        Call("fsync", "a"),
        Call("fsync", tmp_path.name),
    ]
    above = [path.name for path in tmp_path.parents]
    assert [call.target for call in steps[7:]] == above, (
        "and every name above: who made it may have died before syncing"
    )


@pytest.mark.guarantee("G1")
def test_a_directory_that_a_dead_open_made_is_synced_into_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "log").mkdir()
    calls = Calls(monkeypatch)
    store = LocalStore(tmp_path / "made" / "log")
    store.acquire()
    store.close()
    synced = [call.target for call in calls.made if call.name == "fsync"]
    assert synced[:3] == ["log", "made", tmp_path.name]


@pytest.mark.guarantee("G13")
def test_a_store_object_that_is_open_is_not_opened_again(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "log")
    with walogs.open(store=store) as wal:
        wal.append(b"one")
        with pytest.raises(walogs.Locked):
            walogs.open(store=store)
        with pytest.raises(walogs.Locked):
            walogs.open(tmp_path / "log")
        wal.append(b"two")
    with walogs.open(tmp_path / "log") as wal:
        assert list(wal) == [(1, b"one"), (2, b"two")]


# Symlinks


@pytest.mark.guarantee("G17")
@pytest.mark.parametrize("name", [FIRST, "LOCK", "DURABLE", "wal-000002.log.tmp"])
def test_no_symlink_of_ours_is_followed(tmp_path: Path, name: str) -> None:
    path, target = tmp_path / "log", tmp_path / "target"
    with walogs.open(path, max_segment_size=600) as wal:
        wal.append(b"x" * 50)
    original = (path / name).read_bytes() if (path / name).exists() else b"secret"
    target.write_bytes(original)
    (path / name).unlink(missing_ok=True)
    (path / name).symlink_to(target)
    before = target.stat()
    try:
        with walogs.open(path, max_segment_size=600) as wal:
            wal.append(b"y" * 100)
            wal.append(b"z" * 100)
    except OSError as refused:
        assert refused.errno == errno.ELOOP  # noqa: PT017  # only a left-over `.tmp` is simply removed
        assert name != "wal-000002.log.tmp"
    after = target.stat()
    assert target.read_bytes() == original
    assert (after.st_mtime_ns, after.st_mode, after.st_nlink) == (before.st_mtime_ns, before.st_mode, before.st_nlink)


@pytest.mark.guarantee("G17")
def test_no_verb_of_the_store_follows_a_symlinked_segment(store: LocalStore, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(HEADER)
    os.symlink(target, os.path.join(store.path, FIRST))
    verbs: list[Callable[[], object]] = [
        lambda: store.read(1),
        lambda: store.extend(1, 4096),
        lambda: store.write(1, 0, b"x"),
        lambda: store.sync(1, "data"),
        lambda: store.cut(1, 0),
        lambda: store.trim(1, 10),
    ]
    for verb in verbs:
        with pytest.raises(OSError) as refused:
            verb()
        assert refused.value.errno == errno.ELOOP
    store.remove([1])  # the link goes, not what it names
    assert store.segments() == []
    assert target.read_bytes() == HEADER


@pytest.mark.guarantee("G17")
def test_the_witness_is_not_written_through_a_symlink_and_that_fails_nothing(store: LocalStore, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"secret")
    os.symlink(target, os.path.join(store.path, "DURABLE"))
    store.write_witness(WITNESS_BYTES, durable=True)
    assert target.read_bytes() == b"secret"
    with pytest.raises(OSError) as refused:
        store.read_witness()
    assert refused.value.errno == errno.ELOOP


# Leftovers


@pytest.mark.guarantee("G17")
def test_leftovers_of_ours_are_removed_and_nothing_else(store: LocalStore, calls: Calls) -> None:
    ours = ["wal-000002.log.tmp", "wal-1000000.log.tmp"]
    theirs = [
        "wal-7.log.tmp",
        "wal-0000002.log.tmp",
        "x.tmp",
        "DURABLE.tmp",
        "wal-000002.log.tmp.tmp",
        "WAL-000002.log.tmp",
    ]
    for name in (*ours, *theirs):
        Path(store.path, name).touch()
    store.remove(())
    assert sorted(os.listdir(store.path)) == sorted([*theirs, "LOCK"])
    assert sorted(calls.of("unlink")) == ours
    assert calls.made[-1] == Call("fsync", "log")


def test_removing_nothing_syncs_nothing(store: LocalStore, calls: Calls) -> None:
    store.remove(())
    assert calls.made == []


@pytest.mark.guarantee("G11")
def test_removed_segments_are_gone_durably_and_one_that_is_not_there_is_passed_over(
    store: LocalStore, calls: Calls
) -> None:
    for number in (1, 2, 3):
        store.create(number, HEADER)
    calls.made.clear()
    store.remove([1, 2, 77])
    assert store.segments() == [3]
    assert calls.of("unlink") == [FIRST, "wal-000002.log", "wal-000077.log"]
    assert calls.made[-1] == Call("fsync", "log")


# Growing, cutting, trimming


@pytest.mark.guarantee("G9")
def test_an_extension_is_zeros_synced_before_it_returns(store: LocalStore, calls: Calls) -> None:
    store.create(1, HEADER)
    calls.made.clear()
    store.extend(1, 3 << 20)
    assert content(store, FIRST) == HEADER + bytes((3 << 20) - 512)
    assert calls.made[-1] == Call("fdatasync", FIRST)
    assert os.stat(os.path.join(store.path, FIRST)).st_blocks * 512 >= 3 << 20  # written, not a hole


def test_a_segment_never_shrinks_by_being_extended(store: LocalStore, calls: Calls) -> None:
    store.create(1, HEADER)
    calls.made.clear()
    store.extend(1, 512)
    store.extend(1, 100)
    assert content(store, FIRST) == HEADER
    assert calls.made == []


@pytest.mark.guarantee("G9")
@pytest.mark.parametrize("number", NO_SPACE)
@pytest.mark.parametrize("room", [0, 1, 511, 4096, (1 << 20) - 1, (1 << 20) + 7])
def test_an_extension_without_space_leaves_the_size_as_it_was(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, room: int, number: int
) -> None:
    store.create(1, HEADER)
    left = room
    real = os.pwrite

    def short_then_refused(fd: int, data: bytes, offset: int) -> int:
        nonlocal left
        if not left:
            raise OSError(number, os.strerror(number))
        written = real(fd, memoryview(data)[:left], offset)
        left -= written
        return written

    with monkeypatch.context() as patch:
        patch.setattr(local_store.os, "pwrite", short_then_refused)
        with pytest.raises(walogs.NoSpace) as refused:
            store.extend(1, 3 << 20)
    assert refused.value.errno == number
    assert store.size(1) == 512
    store.extend(1, 4096)
    assert content(store, FIRST) == HEADER + bytes(4096 - 512)


@pytest.mark.guarantee("G7")
@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.ENOSPC])
@pytest.mark.parametrize("name", ["pwrite", "fdatasync"])
def test_an_extension_that_fails_otherwise_or_in_its_sync_is_not_taken_for_want_of_space(
    store: LocalStore, calls: Calls, name: str, number: int
) -> None:
    store.create(1, HEADER)
    calls.fail(name, FIRST, number)
    with pytest.raises(OSError) as failed:
        store.extend(1, 4096)
    assert isinstance(failed.value, walogs.NoSpace) == (name == "pwrite" and number == errno.ENOSPC)
    assert calls.of("fdatasync").count(FIRST) <= 1  # never tried again


@pytest.mark.guarantee("G3")
def test_a_cut_writes_zeros_to_the_very_end_and_keeps_the_size(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.create(1, HEADER + b"x" * 1000 + bytes(9000))
    written = bytearray(10_512)
    real = os.pwrite

    def noting(fd: int, data: bytes, offset: int) -> int:
        count = real(fd, data, offset)
        assert not any(bytes(data[:count]))
        written[offset : offset + count] = b"\1" * count
        return count

    with monkeypatch.context() as patch:
        patch.setattr(local_store.os, "pwrite", noting)
        store.cut(1, 700)
    assert bytes(written) == bytes(700) + b"\1" * (10_512 - 700)  # also where it read as zero: the cache may lie
    assert content(store, FIRST) == HEADER + b"x" * 188 + bytes(10_512 - 700)


def test_a_cut_at_the_end_changes_nothing(store: LocalStore) -> None:
    store.create(1, HEADER)
    store.cut(1, 512)
    store.cut(1, 600)
    assert content(store, FIRST) == HEADER


def test_a_trim_is_durable_with_its_size(store: LocalStore, calls: Calls) -> None:
    store.create(1, HEADER + bytes(4096))
    calls.made.clear()
    store.trim(1, 600)
    assert store.size(1) == 600
    assert calls.made == [Call("ftruncate", FIRST), Call("fsync", FIRST)]  # fdatasync need not write a smaller size


@pytest.mark.parametrize(("barrier", "name"), [("data", "fdatasync"), ("full", "fsync")])
def test_a_sync_is_the_one_asked_for(store: LocalStore, calls: Calls, barrier: str, name: str) -> None:
    store.create(1, HEADER)
    calls.made.clear()
    store.sync(1, barrier)  # type: ignore[arg-type]
    assert calls.made == [Call(name, FIRST)]


@pytest.mark.guarantee("G7")
def test_a_failed_sync_is_not_tried_again(store: LocalStore, calls: Calls) -> None:
    store.create(1, HEADER + bytes(512))
    store.write(1, 512, b"x")
    calls.made.clear()
    calls.fail("fdatasync", FIRST, errno.EIO)
    with pytest.raises(OSError):
        store.sync(1, "data")
    assert calls.made == [Call("fdatasync", FIRST)]


# Short writes, short reads


def one_byte(count: int) -> int:
    return 1


def half(count: int) -> int:
    return max(1, count // 2)


@pytest.mark.guarantee("G1")
@pytest.mark.parametrize("share", [one_byte, half])
def test_a_short_write_is_gone_on_with_wherever_it_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: Callable[[int], int]
) -> None:
    real, count = os.pwrite, 0

    def short(fd: int, data: bytes, offset: int) -> int:
        nonlocal count
        count += 1
        return real(fd, memoryview(data).cast("B")[: share(memoryview(data).nbytes)], offset)

    monkeypatch.setattr(local_store.os, "pwrite", short)
    entries = [b"first", b"", b"x" * 300, b"y" * 3000, bytes(100)]
    path = tmp_path / "log"
    with walogs.open(path, max_segment_size=700) as wal:
        for entry in entries:
            wal.append(entry)
        wal.append_batch([b"a", b"b" * 50, b""])
        wal.checkpoint(1)
    with walogs.open(path) as wal:
        assert [data for _, data in wal][-7:] == [*entries[1:], b"a", b"b" * 50, b""]
        assert wal.append(b"next") == 9
    with walogs.open(path) as wal:
        assert wal.read(9) == b"next"
        assert wal.tail_state == walogs.Clean()
    assert count > 100


@pytest.mark.parametrize("share", [one_byte, half])
def test_a_short_write_of_wide_items_goes_on_at_the_right_byte(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, share: Callable[[int], int]
) -> None:
    store.create(1, bytes(4096))
    real = os.pwrite
    monkeypatch.setattr(
        local_store.os,
        "pwrite",
        lambda fd, data, offset: real(fd, memoryview(data).cast("B")[: share(memoryview(data).nbytes)], offset),
    )
    data = array.array("Q", range(1, 65))
    store.write(1, 100, data)
    assert content(store, FIRST) == bytes(100) + data.tobytes() + bytes(4096 - 100 - 512)


@pytest.mark.parametrize("share", [one_byte, half])
def test_a_short_read_is_gone_on_with(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, share: Callable[[int], int]
) -> None:
    data = os.urandom(777)
    store.create(1, data)
    real = os.pread
    monkeypatch.setattr(local_store.os, "pread", lambda fd, count, offset: real(fd, share(count), offset))
    assert store.read(1) == data
    assert store.read(1, 10, 700) == data[10:700]
    assert store.read(1, 700, 10_000) == data[700:]
    assert store.read(1, 777) == b""
    assert store.read(1, 5000, 6000) == b""


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("there", [0, 1, 600])
def test_a_file_that_ends_before_its_size_is_an_error_and_never_the_end_of_the_log(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, there: int
) -> None:
    store.create(1, os.urandom(777))
    real = os.pread
    monkeypatch.setattr(
        local_store.os, "pread", lambda fd, count, offset: real(fd, max(0, min(count, there - offset)), offset)
    )
    with pytest.raises(OSError) as failed:
        store.read(1)
    assert failed.value.errno == errno.EIO


def test_a_read_returns_exactly_the_bytes_asked_for(store: LocalStore) -> None:
    data = os.urandom(600)
    store.create(1, data)
    for start in (0, 1, 511, 599, 600, 601):
        for end in (None, 0, 1, 512, 600, 601):
            assert store.read(1, start, end) == data[start:end]


# Descriptors


@pytest.mark.guarantee("G17")
def test_no_descriptor_leaks_over_rotations_checkpoints_and_readings(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    before = len(os.listdir("/proc/self/fd"))
    with walogs.open(path, max_segment_size=600) as wal:
        counts = set()
        for n in range(100):
            wal.append(b"x" * 100)
            wal.rotate()
            wal.checkpoint(n)
            assert wal.read(n + 1) == b"x" * 100
            counts.add(len(os.listdir("/proc/self/fd")) - before)
        assert max(counts) - min(counts) <= 1, counts
        assert max(counts) <= 6, "directory, lock, witness, and at most two segments"
    assert len(os.listdir("/proc/self/fd")) == before
    assert descriptors(path) == []


def test_no_descriptor_leaks_where_no_segment_can_be_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(self: LocalStore, number: int, size: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(LocalStore, "trim", refusing)
    path = str(tmp_path / "log")
    with walogs.open(path, max_segment_size=600) as wal:
        for _ in range(20):
            wal.append(b"x" * 100)
            wal.rotate()
        assert len(descriptors(path)) <= 6
    assert descriptors(path) == []


def test_every_descriptor_closes_on_exec_and_none_appends(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    with walogs.open(path, max_segment_size=600) as wal:
        for _ in range(3):
            wal.append(b"x" * 100)
        held = descriptors(path)
        assert len(held) >= 4
        for fd in held:
            name = os.readlink(f"/proc/self/fd/{fd}")
            assert fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC, name
            assert not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND, name  # pwrite would ignore its offset


@pytest.mark.guarantee("G7")
def test_the_descriptor_a_segment_is_made_with_is_the_one_written_and_synced(store: LocalStore, calls: Calls) -> None:
    store.create(1, HEADER)  # another descriptor would be told of a write-back error that happened before it was opened
    store.extend(1, 8192)
    store.write(1, 512, b"x" * 100)
    store.sync(1, "data")
    store.create(2, HEADER)
    store.write(1, 612, b"seal")
    store.sync(1, "data")
    store.trim(1, 700)
    store.write(2, 0, b"y")
    store.sync(2, "full")
    assert calls.of("open") == [f"{FIRST}.tmp", "wal-000002.log.tmp"]


def test_an_open_that_is_refused_leaves_no_descriptor(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    with walogs.open(path) as wal:
        wal.append(b"x")
        before = descriptors(path)
        for _ in range(5):
            with pytest.raises(walogs.Locked):
                walogs.open(path)
        assert descriptors(path) == before
    data = bytearray((tmp_path / "log" / FIRST).read_bytes())
    data[530] ^= 1
    (tmp_path / "log" / FIRST).write_bytes(data)
    for _ in range(5):
        with pytest.raises(walogs.Corrupt):
            walogs.open(path)
    assert descriptors(path) == []


def test_the_store_closes_twice_and_unacquired_without_complaint(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "log")
    store.close()
    store.acquire()
    store.close()
    store.close()
    assert descriptors(store.path) == []


# The witness


@pytest.mark.parametrize("kind", ["ext4", "ext3", "ext2", "tmpfs"])
def test_the_witness_is_mapped_where_that_cannot_fault(
    store: LocalStore, calls: Calls, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(local_store, "file_system", lambda device: kind)
    store.write_witness(bytes(64), durable=False)
    calls.made.clear()
    store.write_witness(WITNESS_BYTES, durable=False)
    assert calls.made == []
    assert content(store, "DURABLE") == store.read_witness() == WITNESS_BYTES


@pytest.mark.parametrize("kind", ["btrfs", "xfs", "overlay", "zfs", "9p", "fuse.sshfs", None])
def test_the_witness_is_written_where_a_mapping_could_fault(
    store: LocalStore, calls: Calls, monkeypatch: pytest.MonkeyPatch, kind: str | None
) -> None:
    monkeypatch.setattr(local_store, "file_system", lambda device: kind)
    monkeypatch.setattr(local_store.mmap, "mmap", None)
    store.write_witness(bytes(64), durable=False)
    calls.made.clear()
    store.write_witness(WITNESS_BYTES, durable=False)
    assert calls.made == [Call("pwrite", "DURABLE")]
    assert content(store, "DURABLE") == store.read_witness() == WITNESS_BYTES


@pytest.mark.parametrize("kind", ["ext4", "btrfs"])
def test_a_durable_witness_is_synced_with_its_name(
    store: LocalStore, calls: Calls, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(local_store, "file_system", lambda device: kind)
    store.write_witness(bytes(64), durable=False)
    assert calls.of("fsync") == ["DURABLE", "log"]  # once, for its block and its name
    calls.made.clear()
    store.write_witness(WITNESS_BYTES, durable=True)
    assert calls.made[-1] == Call("fsync", "DURABLE")


@pytest.mark.parametrize("kind", ["ext4", "btrfs"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS])
@pytest.mark.parametrize("name", ["open", "pwrite", "fsync"])
@pytest.mark.parametrize("is_durable", [False, True])
def test_a_witness_that_cannot_be_written_fails_nothing_and_recovers(
    store: LocalStore,
    calls: Calls,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    name: str,
    number: int,
    is_durable: bool,
) -> None:
    monkeypatch.setattr(local_store, "file_system", lambda device: kind)
    before = descriptors(store.path)
    calls.fail(name, "DURABLE", number)
    store.write_witness(WITNESS_BYTES, durable=is_durable)
    assert len(descriptors(store.path)) <= len(before) + 1
    calls.failing = lambda _: 0
    store.write_witness(WITNESS_BYTES, durable=True)
    assert store.read_witness() == WITNESS_BYTES
    later = WITNESS_BYTES[::-1]
    store.write_witness(later, durable=False)
    assert store.read_witness() == later


@pytest.mark.guarantee("G18")
def test_an_interrupt_while_the_witness_is_written_is_not_swallowed(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_store, "file_system", lambda device: "btrfs")
    store.write_witness(bytes(64), durable=False)

    def interrupted(*args: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(local_store.os, "pwrite", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.write_witness(WITNESS_BYTES, durable=False)


def test_a_dropped_witness_is_gone_durably_and_can_be_written_again(store: LocalStore, calls: Calls) -> None:
    store.write_witness(WITNESS_BYTES, durable=True)
    calls.made.clear()
    store.drop_witness()
    assert calls.made == [Call("unlink", "DURABLE"), Call("fsync", "log")]
    assert store.read_witness() is None
    store.drop_witness()
    store.write_witness(WITNESS_BYTES, durable=False)
    assert store.read_witness() == WITNESS_BYTES


def test_a_witness_that_cannot_be_dropped_says_so(store: LocalStore, calls: Calls) -> None:
    store.write_witness(WITNESS_BYTES, durable=True)
    calls.fail("fsync", "log", errno.EIO)
    with pytest.raises(OSError):
        store.drop_witness()


# Making certain of the log as a whole


@pytest.mark.guarantee("G13")
def test_a_log_whose_cut_end_cannot_be_reported_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    with walogs.open(path) as wal:
        wal.append(b"kept")
    with open(path / FIRST, "r+b") as file:
        file.seek(600)
        file.write(b"torn")

    def complaining(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the log handler is broken")

    with monkeypatch.context() as patch:
        patch.setattr(logging.getLogger("walogs"), "warning", complaining)
        with pytest.raises(RuntimeError):  # held by `raises`, as a debugger or an except clause would hold it
            walogs.open(path)
        assert descriptors(str(path)) == []
        with walogs.open(path) as wal:
            assert list(wal) == [(1, b"kept")]


@pytest.mark.guarantee("G14")
def test_a_segment_that_its_writer_trims_under_a_read_is_as_short_as_it_is_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path)
    (tmp_path / FIRST).write_bytes(bytes(5000))
    honest = os.fstat

    def then_trimmed(fd: int) -> os.stat_result:
        status = honest(fd)
        os.truncate(tmp_path / FIRST, 700)
        return status

    monkeypatch.setattr(os, "fstat", then_trimmed)
    assert store.read(1, 512, 5000) == bytes(188)
    assert store.read(1, 700, 5000) == b""
