"""Each segment is read by the codec that it was written with; another one begins in a segment of its own."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import walogs
from tests.kit import stores
from tests.kit.codecs import KeptCodec, LevelCodec
from tests.kit.stores import LogFactory
from tests.system.children import seed_of
from walogs.assembly import registry
from walogs.protocols import Codec
from walogs.testing import MemoryDisk, MemoryStore

log_factory = stores.log_factory


@pytest.fixture(autouse=True)
def level_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    """`level` is a name that the registry knows."""
    level = ("tests.kit.codecs:LevelCodec", "tests.kit.codecs:LevelOptions", "For tests")
    monkeypatch.setitem(registry.BUILT_IN, "codec", {**registry.BUILT_IN["codec"], "level": level})  # type: ignore[arg-type]


def stamps(wal: walogs.Wal) -> list[str]:
    """The codec of each segment that holds entries, oldest first."""
    source = wal._source
    return [
        source.header(segment.number).codec_name for segment in wal.segments() if segment.last_lsn >= segment.first_lsn
    ]


@pytest.mark.guarantee("G3", "G20")
@pytest.mark.parametrize("is_closed", [True, False], ids=["closed", "killed"])
def test_codecs_that_take_turns(log_factory: LogFactory, is_closed: bool) -> None:
    entries: list[bytes] = []
    seed = seed_of(f"codecs {log_factory.shape} {log_factory.codec} {is_closed}")
    rng = random.Random(seed)
    names: list[str] = []
    first = log_factory.open()
    first.append(b"by the first")
    entries.append(b"by the first")
    names += stamps(first)
    first.close()
    own = stores.CODECS[log_factory.codec]
    codecs: list[str | Codec] = ["level", LevelCodec(1), LevelCodec(2), "level"]
    if log_factory.codec == "crc32":
        codecs += [own(), "level", own()]
    else:
        with pytest.raises(walogs.UnsupportedFormat, match="'deflate'"):
            log_factory.open(codec="level", change_codec=True)  # nobody knows how to make it
        return
    for codec in codecs:
        wal = log_factory.open(codec=codec, change_codec=True)
        assert list(wal) == list(enumerate(entries, 1))
        for n in range(rng.randrange(4)):
            entries.append(b"%d by %r" % (n, str(codec)))
            assert wal.append(entries[-1]) == len(entries)
        batch = [rng.randbytes(20) for _ in range(rng.randrange(1, 5))]
        entries += batch
        wal.append_batch(batch)
        assert [wal.read(lsn) for lsn in range(1, len(entries) + 1)] == entries
        if is_closed:
            wal.close()
        else:
            wal._source.store.close()
            wal.closed = True  # nobody uses it again
    names = []
    with log_factory.open(codec=codecs[-1], verify="full") as wal:
        assert list(wal) == list(enumerate(entries, 1))
        names = stamps(wal)
    assert {"crc32", "level"} == set(names)
    for _ in range(2):
        with log_factory.open(codec=codecs[-1]) as wal:
            assert list(wal) == list(enumerate(entries, 1))
            entries.append(b"again")
            wal.append(b"again")
    wal = log_factory.open(codec="level", change_codec=True)
    assert wal.checkpoint(wal.last_lsn) > 0
    wal.append(b"after")
    assert wal.read(wal.last_lsn) == b"after"
    assert stamps(wal)[-1] == "level"


def test_another_codec_is_refused_unless_it_is_asked_for_and_nothing_changes(tmp_path: Path) -> None:
    with walogs.open(tmp_path) as wal:
        wal.append(b"x")
    before = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in tmp_path.iterdir()}
    with pytest.raises(walogs.UnsupportedFormat, match=r"codec 'crc32', and opened with 'level'.*change_codec=True"):
        walogs.open(tmp_path, codec="level")
    assert {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in tmp_path.iterdir()} == before


def test_an_open_that_appends_nothing_leaves_no_segment_of_the_new_codec(tmp_path: Path) -> None:
    with walogs.open(tmp_path) as wal:
        wal.append(b"x")
    with walogs.open(tmp_path, codec="level", change_codec=True) as wal:
        assert wal.segment_count == 1
    with walogs.open(tmp_path) as wal:
        assert list(wal) == [(1, b"x")]
        assert wal.append(b"y") == 2


@pytest.mark.parametrize("how", ["fresh", "rotated", "checkpointed"])
def test_an_empty_segment_is_not_used_by_another_codec(tmp_path: Path, how: str) -> None:
    with walogs.open(tmp_path) as wal:
        if how != "fresh":
            wal.append(b"x")
            wal.rotate()
        if how == "checkpointed":
            wal.checkpoint(1)
        next_lsn = wal.next_lsn
    for entry in (b"a", b"b"):
        with walogs.open(tmp_path, codec="level", change_codec=entry == b"a") as wal:
            wal.append(entry)
            wal.append(entry)
    with walogs.open(tmp_path, codec="level") as wal:
        assert [data for lsn, data in wal if lsn >= next_lsn] == [b"a", b"a", b"b", b"b"]
        assert stamps(wal)[-1] == "level"
    assert walogs.verify(tmp_path).ok


def test_whoever_only_reads_needs_no_codec(tmp_path: Path) -> None:
    """Readers, verify, salvage, backup and repair go by what each segment says."""
    with walogs.open(tmp_path / "log") as wal:
        wal.append(b"1")
    with walogs.open(tmp_path / "log", codec=LevelCodec(3), change_codec=True) as wal:
        wal.append(b"2")
        wal.append_batch([b"3", b"4"])
        with walogs.reader(tmp_path / "log") as reader:
            assert list(reader) == [(1, b"1"), (2, b"2"), (3, b"3"), (4, b"4")]
    assert walogs.verify(tmp_path / "log").ok
    assert [item.data for item in walogs.salvage(tmp_path / "log") if isinstance(item, walogs.Entry)] == [
        b"1",
        b"2",
        b"3",
        b"4",
    ]
    walogs.backup(tmp_path / "log", tmp_path / "copy")
    with walogs.open(tmp_path / "copy", codec=LevelCodec(3)) as wal:
        assert [data for _, data in wal] == [b"1", b"2", b"3", b"4"]
    newest = tmp_path / "copy" / "wal-000002.log"
    data = bytearray(newest.read_bytes())
    data[20] ^= 1
    newest.write_bytes(data)
    assert walogs.repair(tmp_path / "copy", codec=LevelCodec(3)).last_lsn == 4
    with walogs.open(tmp_path / "copy", codec=LevelCodec(3)) as wal:
        assert [data for _, data in wal] == [b"1", b"2", b"3", b"4"]


def test_a_codec_may_know_its_other_parameters() -> None:
    """As one does that has keys: the stamp names the key, and only the codec at hand has it."""
    disk = MemoryDisk()
    for level in (1, 2, 3):
        with walogs.open(store=MemoryStore(disk), codec=KeptCodec(level), change_codec=True) as wal:
            wal.append(b"level %d" % level)
    with walogs.reader(store=MemoryStore(disk), codec=KeptCodec(8)) as reader:
        assert [data for _, data in reader] == [b"level 1", b"level 2", b"level 3"]
    with walogs.open(store=MemoryStore(disk), codec=KeptCodec(9), change_codec=True) as wal:
        wal.append(b"level 9")
    with pytest.raises(walogs.UnsupportedFormat, match="level 9 was thrown away"):
        walogs.open(store=MemoryStore(disk), codec=KeptCodec(1), change_codec=True)
    with pytest.raises(walogs.UnsupportedFormat, match="no such codec"):
        walogs.open(store=MemoryStore(disk))


def test_a_torn_end_of_one_codec_is_cut_by_a_writer_with_another(tmp_path: Path) -> None:
    with walogs.open(tmp_path, sync="none") as wal:
        wal.append(b"whole")
        wal.append(b"torn")
        end = wal.segments()[-1].size
        state = {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.name.startswith("wal-")}
    assert end
    for name, data in state.items():
        used = bytearray(data)
        at = used.rindex(b"torn")
        used[at] ^= 1
        (tmp_path / name).write_bytes(used)
    (tmp_path / "DURABLE").unlink()
    with walogs.open(tmp_path, codec="level", change_codec=True) as wal:
        assert isinstance(wal.tail_state, walogs.TruncatedAt)
        assert list(wal) == [(1, b"whole")]
        assert wal.append(b"next") == 2
    for _ in range(2):
        with walogs.open(tmp_path, codec="level") as wal:
            assert wal.read(2) == b"next"
            wal.append(b"more")
