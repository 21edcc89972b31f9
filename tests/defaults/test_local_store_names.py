"""The names of a LocalStore's files, and whose they are."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import walogs
from tests.defaults.local_stores import DURABLE_MARK_BYTES, FIRST, HEADER, Call, Calls
from walogs.defaults.local_store import LocalStore

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
    with pytest.raises(walogs.UnsafeStore) as refused:
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
    walogs.open(tmp_path).close()
    (tmp_path / name).write_bytes(b"theirs")
    with walogs.open(tmp_path, max_segment_size=600) as wal:
        for _ in range(4):
            wal.append(b"x" * 100)
        assert wal.checkpoint(3) == 3
    with walogs.open(tmp_path) as wal:
        assert [lsn for lsn, _ in wal] == [4]
    assert (tmp_path / name).read_bytes() == b"theirs"


def test_a_name_that_is_no_text_is_ignored(tmp_path: Path) -> None:
    walogs.open(tmp_path).close()
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
    assert store.read_durable_mark() is None
    with pytest.raises(walogs.plugins.SegmentNotFound):
        store.read(1)
    with pytest.raises(walogs.plugins.SegmentNotFound):
        store.size(1)
    assert os.listdir(tmp_path) == []


def test_a_file_where_the_directory_should_be_says_so(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_bytes(b"a file")
    with pytest.raises(NotADirectoryError) as refused:
        walogs.open(file)
    assert any("directory" in note for note in refused.value.__notes__)
    assert file.read_bytes() == b"a file"


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
        lambda: store.zero_from(1, 0),
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
def test_the_durable_mark_is_not_written_through_a_symlink_and_that_fails_nothing(
    store: LocalStore, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"secret")
    os.symlink(target, os.path.join(store.path, "DURABLE"))
    store.write_durable_mark(DURABLE_MARK_BYTES, durable=True)
    assert target.read_bytes() == b"secret"
    with pytest.raises(OSError) as refused:
        store.read_durable_mark()
    assert refused.value.errno == errno.ELOOP


# Leftovers


@pytest.mark.guarantee("G17")
def test_leftovers_of_ours_are_removed_and_nothing_else(store: LocalStore, calls: Calls) -> None:
    ours = ["DURABLE.tmp", "wal-000002.log.tmp", "wal-1000000.log.tmp"]
    theirs = [
        "wal-7.log.tmp",
        "wal-0000002.log.tmp",
        "x.tmp",
        "LOCK.tmp",
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
    store.remove(())  # lists the directory, once
    store.remove(())
    assert calls.made == [Call("open", ".")]


@pytest.mark.guarantee("G11")
def test_removed_segments_are_gone_durably_and_one_that_is_not_there_is_passed_over(
    store: LocalStore, calls: Calls
) -> None:
    for number in (1, 2, 3):
        store.create(number, HEADER)
    calls.made.clear()
    store.remove([1, 2, 77])
    assert calls.of("unlink") == [FIRST, "wal-000002.log", "wal-000077.log"]
    assert calls.made[-1] == Call("fsync", "log")
    assert store.segments() == [3]
