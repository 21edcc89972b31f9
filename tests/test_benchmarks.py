"""The benchmarks run, and give no figure for entries that do not come back. Nothing here is timed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import walogs
from benchmarks import appending_peers, file_systems, following, native, peers, starting
from benchmarks.__main__ import BENCHMARKS, main, run
from benchmarks.measure import Row, Scale, at_least, at_most, table
from benchmarks.native import NATIVE
from benchmarks.payloads import (
    Differs,
    check,
    check_entries,
    check_mixed,
    mixed,
    payload,
    payloads,
)
from tests.kit.laboratory import IS_LONG
from tests.kit.requirements import require
from tests.system.filesystems import require_file_system
from tests.system.strace import require_strace
from walogs.cli.bench.turns import Costs, Work, time_in_turns
from walogs.engine.appendable import AppendableWriter

TINY = Scale(
    rounds=2,
    blocks=1,
    batch_blocks=1,
    walked=3000,
    walks=1,
    reads=2,
    starts=2,
    memory_bytes=1 << 20,
    idle_seconds=0.1,
    sizes=[1 << 20, 3 << 20],
    segments=[1, 3],
    callers=[1, 3],
    entry_sizes=[16, 128],
    seconds=0.01,
)
WRITING = sorted(BENCHMARKS.keys() - {"import", "file-systems"})
PROMISED = {
    "callers": {
        "64 threads in append ÷ one": "≥ 4 ×",
        "one thread, 1,000 futures in flight ÷ one": "≥ 6 ×",
        "a lone append ÷ its writer under a plain lock": "≤ 1.05 ×",
    },
    "follow": {
        "a reader behind the append's return, p99 ÷ a sleep of 10 ms": "≤ 0.30 ×",
        "a following reader's CPU when idle ÷ that of a process that wakes up every 10 ms": "≤ 4 ×",
    },
    "inspect": {"verify, sealed ÷ reading and one CRC": "≤ 2 ×", "backup, as fast as cp and sync times": "≥ 0.50 ×"},
    "open": {
        'open, verify="full", batches, sealed ÷ reading and one CRC': "≤ 2 ×",
        'open, verify="full", single appends, sealed ÷ reading and one CRC': "≤ 2 ×",
    },
}
"""The targets of some groups."""
WITHOUT_NOISE = ("modules of plugin machinery", "a waiting append", "a follower in another task", "remote: ")
"""The rows that are exact, or whose noise a row of the same table says."""
INSTALLED = {name: peer for name, peer in appending_peers.PEERS.items() if name not in NATIVE}


@pytest.fixture(autouse=True)
def no_compiler_or_mount(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the native peers and the file systems out, except in the laboratory: they have to be made."""
    if request.node.get_closest_marker("laboratory") is None:
        monkeypatch.setattr(appending_peers, "PEERS", INSTALLED)
        monkeypatch.setattr(file_systems, "COMMANDS", {"no-such-system": ["mkfs.no-such-system"]})


@pytest.fixture(autouse=True)
def much_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait long for a follower. A busy machine may delay it, and then it has lost nothing."""
    monkeypatch.setattr(following, "PATIENCE_SECONDS", 200.0)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_gives_rows_and_leaves_nothing_behind(name: str, tmp_path: Path) -> None:
    results = run([name], TINY, tmp_path / "place")[name]
    rows = [result for result in results if isinstance(result, Row)]
    assert rows
    for row in rows:
        assert row.figure is not None or row.beside, f"{row.name} was skipped without a reason"
        assert row.noise or row.figure is None or row.name.startswith(WITHOUT_NOISE), f"{row.name} has no noise"
        assert row.unit not in ("ns", "µs", "ms", "s", "/s", "GB/s"), f"{row.name} is no ratio"
    assert len(table(rows).splitlines()) == len(rows) + 2
    cells = [row.cells() for row in rows]
    assert all(met in ("met", "NOT MET") for _, figure, _, target, met, _ in cells if target and figure != "skipped")
    if name in PROMISED:
        assert {what: target for what, _, _, target, _, _ in cells if target} == PROMISED[name]
    assert list((tmp_path / "place").iterdir()) == []


@pytest.mark.parametrize("name", WRITING)
def test_an_entry_that_comes_back_changed_is_no_figure(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_append, whole_batch = walogs.Wal.append, walogs.Wal.append_batch

    def append(wal: walogs.Wal, data: bytes) -> int:
        return whole_append(wal, data[:-1] + bytes([data[-1] ^ 1]) if wal.next_lsn == 7 else data)

    def append_batch(wal: walogs.Wal, entries: list[bytes]) -> range:
        return whole_batch(wal, [*entries[:-1], entries[-1][:-1] + bytes([entries[-1][-1] ^ 1])])

    monkeypatch.setattr(walogs.Wal, "append", append)
    monkeypatch.setattr(walogs.Wal, "append_batch", append_batch)
    with pytest.raises(Differs):
        run([name], TINY, tmp_path)


@pytest.mark.parametrize("name", WRITING)
def test_a_log_that_loses_its_end_is_no_figure(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = walogs.Wal.iter

    def short(wal: walogs.Wal, start: int | None = None, stop: int | None = None) -> Iterator[tuple[int, bytes]]:
        return whole(wal, start, wal.last_lsn if stop is None else stop)

    whole_reader = walogs.WalReader.iter

    def short_reader(
        reader: walogs.WalReader, start: int | None = None, stop: int | None = None
    ) -> Iterator[tuple[int, bytes]]:
        return whole_reader(reader, start, reader.last_lsn if stop is None else stop)

    monkeypatch.setattr(walogs.Wal, "iter", short)
    monkeypatch.setattr(walogs.WalReader, "iter", short_reader)
    if name == "follow":  # its reader loses the end too
        lossy = following.FOLLOWER.replace("if lsn == last_lsn:", "if lsn == last_lsn and (seen.pop() or True):")
        monkeypatch.setattr(following, "FOLLOWER", lossy)
    if name == "memory":  # its reader is another process
        monkeypatch.setattr("benchmarks.memory.WALK", "print(0, 0, 1, 1)")
    with pytest.raises(Differs):
        run([name], TINY, tmp_path)


@pytest.mark.parametrize("name", ["callers", "follow", "inspect"])
def test_a_store_that_drops_an_entry_is_no_figure(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store acknowledges all entries, but drops one; every later entry gets the LSN before its own."""
    whole, dropped = AppendableWriter.write_commit, list[bytes]()

    def append(writer: AppendableWriter, entries: list[bytes]) -> int:
        if writer.next_lsn > 7 or len(entries) > 7:
            if not dropped:
                dropped.append(entries.pop())
            if not entries:
                return writer.next_lsn
        return whole(writer, entries)

    monkeypatch.setattr(AppendableWriter, "write_commit", append)
    monkeypatch.setattr(following, "PATIENCE_SECONDS", 0.2)
    with pytest.raises(Differs):
        run([name], TINY, tmp_path)
    assert dropped


def test_a_backup_that_leaves_out_what_came_last_is_no_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = walogs.backup

    def backup(src: Path, dst: Path) -> None:
        whole(src, dst)
        shutil.rmtree(dst)
        with walogs.open(dst) as wal:
            wal.append_batch(payloads(1, TINY.walked - 1))

    monkeypatch.setattr(walogs, "backup", backup)
    with pytest.raises(Differs, match="backup: 2999 of 3000"):
        run(["inspect"], TINY, tmp_path)


@pytest.mark.parametrize(
    "found",
    [
        payloads(1, 4),
        payloads(1, 6),
        [*payloads(1, 4), payload(4)],
        [*payloads(1, 3), payload(5), payload(4)],
        [*payloads(1, 4), payload(5)[:-1]],
        [],
    ],
    ids=["one short", "one more", "twice", "swapped", "cut", "none"],
)
def test_what_differs_is_seen(found: list[bytes]) -> None:
    with pytest.raises(Differs):
        check("five entries", found, 5)


def test_what_is_the_same_is_not_a_difference_and_lsns_count() -> None:
    check("five entries", payloads(1, 5), 5)
    check_entries("five entries", enumerate(payloads(1, 5), 1), 5)
    with pytest.raises(Differs):
        check_entries("five entries", enumerate(payloads(1, 5), 2), 5)
    assert len({payload(lsn) for lsn in range(1, 20_000)}) == 19_999


def losing(peer: Callable[[Path], peers.Peer]) -> Callable[[Path], peers.Peer]:
    """Return this peer with a reader that leaves out the seventh entry."""

    def made(directory: Path) -> peers.Peer:
        whole = peer(directory)
        reopen = whole.reopen

        def lossy() -> peers.Reader:
            reader = reopen()
            return reader._replace(walk=lambda: (each for number, each in enumerate(reader.walk(), 1) if number != 7))

        whole.reopen = lossy  # type: ignore[method-assign]
        return whole

    return made


@pytest.mark.parametrize("name", [name for name in INSTALLED if name != "walogs"])
def test_a_peer_that_loses_an_entry_is_no_figure(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = appending_peers.PEERS[name]
    monkeypatch.setattr(appending_peers, "PEERS", {"walogs": peers.Walogs, name: losing(whole)})
    (tmp_path / "tried").mkdir()
    try:
        whole(tmp_path / "tried").close()
    except peers.Skipped as why:
        pytest.skip(str(why))
    with pytest.raises(Differs, match="entry 7"):
        run(["peers"], TINY, tmp_path)


def test_a_peer_that_is_not_there_is_skipped_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(directory: Path) -> peers.Peer:
        peers.library("no_such_module")
        raise AssertionError("there is such a module")

    monkeypatch.setattr(appending_peers, "PEERS", {"walogs": peers.Walogs, "absent": absent})
    rows = [result for result in run(["peers"], TINY, tmp_path)["peers"] if isinstance(result, Row)]
    assert [row.cells() for row in rows] == [
        ("absent ÷ walogs", "skipped", "", "", "", "no_such_module is not installed")
    ]
    assert peers.releases(["no-such-distribution"]) == []


@pytest.mark.parametrize("language", native.COMMANDS)
def test_without_its_compiler_a_native_peer_is_skipped_by_name(
    language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(f"WALOGS_NATIVE_{language.upper()}", raising=False)
    native.build.cache_clear()
    with pytest.raises(peers.Skipped, match=f"{native.COMMANDS[language][0][0]} is not installed"):
        native.program(language)


def test_a_program_that_does_not_compile_is_skipped_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(native.COMMANDS, "go", (["sh", "-c", "echo it is broken >&2; exit 1"], "none"))
    monkeypatch.delenv("WALOGS_NATIVE_GO", raising=False)
    native.build.cache_clear()
    with pytest.raises(peers.Skipped, match="sh could not build it: it is broken"):
        native.program("go")


@pytest.mark.laboratory
@pytest.mark.skipif(not IS_LONG, reason="the native programs take minutes to compile: `.ci/laboratory --long` does it")
@pytest.mark.parametrize("name", NATIVE)
def test_a_native_peer_is_built_outside_the_source_tree_and_read_back(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for compiler in ("cargo", "go"):
        require(compiler, shutil.which(compiler) is not None, f"{compiler} is not installed")
    before = sorted(native.SOURCES.rglob("*"))
    monkeypatch.setattr(appending_peers, "PEERS", {"walogs": peers.Walogs, name: NATIVE[name]})
    rows = [result for result in run(["peers"], TINY, tmp_path)["peers"] if isinstance(result, Row)]
    assert rows
    assert all(row.figure is not None for row in rows), rows
    monkeypatch.setattr(appending_peers, "PEERS", {"walogs": peers.Walogs, name: losing(NATIVE[name])})
    with pytest.raises(Differs, match="entry 7"):
        run(["peers"], TINY, tmp_path)
    assert sorted(native.SOURCES.rglob("*")) == before


@pytest.mark.laboratory
@pytest.mark.parametrize("name", appending_peers.PEERS if IS_LONG else INSTALLED)
def test_a_peer_syncs_for_every_append(name: str, tmp_path: Path) -> None:
    """The promise that all of them are measured with. strace sees the syncs."""
    require_strace()
    try:
        few, many = (appending_peers.count_syncs(name, appends) for appends in (20, 60))
    except peers.Skipped as why:
        pytest.skip(str(why))
    assert many - few >= 40


@pytest.mark.laboratory
@pytest.mark.parametrize("kind", file_systems.COMMANDS)
def test_a_file_system_is_measured_and_unmounted(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_file_system(kind)
    monkeypatch.setattr(file_systems, "COMMANDS", {kind: file_systems.COMMANDS[kind]})
    rows = [row for row in run(["file-systems"], TINY, tmp_path)["file-systems"] if isinstance(row, Row)]
    assert [row.name for row in rows if row.figure is not None] == [
        f"{kind}: durable append ÷ bare",
        f"{kind}: sqlite3 (WAL, FULL) ÷ walogs",
        f"{kind}, slow syncs: durable append ÷ bare",
    ]
    assert list(tmp_path.iterdir()) == []
    assert str(tmp_path) not in Path("/proc/mounts").read_text()


def test_a_planted_import_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def counted() -> tuple[float | None, str]:
        rows = [row for row in run(["import"], TINY, tmp_path)["import"] if isinstance(row, Row)]
        [row] = [row for row in rows if "machinery" in row.name]
        return row.figure, row.cells()[4]

    assert counted() == (0, "met")
    monkeypatch.setattr(starting, "IMPORT", "import walogs, json, uuid")
    assert counted() == (2, "NOT MET")


def test_a_target_is_met_or_not() -> None:
    met = Row(name="a", figure=1.10, unit="×", limit=at_most(1.10), noise="1.00")
    assert met.cells() == ("a", "1.10 ×", "1.00", "≤ 1.10 ×", "met", "")
    assert Row(name="a", figure=1.11, unit="×", limit=at_most(1.10)).cells()[4] == "NOT MET"
    missed = Row(name="a", figure=0.99, unit="×", limit=at_least(1))
    assert missed.cells()[1:5] == ("0.99 ×", "", "≥ 1 ×", "NOT MET")
    skipped = Row(name="a", figure=None, unit="×", limit=at_most(1), beside="no such thing")
    assert skipped.cells()[1:5] == ("skipped", "", "≤ 1 ×", "")
    assert [row.is_missed for row in (met, missed, skipped)] == [False, True, False]


def test_blocks_take_turns_and_a_block_may_say_what_it_cost() -> None:
    ran: list[str] = []

    def noted(name: str, cost: int | None) -> Callable[[], Work]:
        def prepare() -> Work:
            def work() -> int | None:
                ran.append(name)
                return cost

            return work

        return prepare

    ticks = iter(range(0, 10_000, 5))
    named = {"a": noted("a", None), "b": noted("b", 50), "c": noted("c", 25)}
    costs: Costs = time_in_turns(named, 3, 40, lambda: next(ticks))
    turns = ["".join(ran[at : at + 3]) for at in range(0, len(ran), 3)]
    assert len(turns) == 120
    assert {"".join(sorted(turn)) for turn in turns} == {"abc"}
    assert len(set(turns)) == 6, "some order never came up"
    assert (costs.median("a"), costs.median("b"), costs.total("c")) == (5, 50, 25 * 120)
    assert costs.ratios("b", "c") == [2, 2, 2]
    assert costs.ratios("c", "b", "b") == [0.5, 0.5, 0.5]
    assert costs.differences("b", "c") == [25, 25, 25]


def test_a_disk_that_is_slow_for_a_while_is_slow_for_both() -> None:
    costs = Costs({"ours": None, "bare": None}, 1)
    costs.by_name = {"ours": [[110, 1100, 1100, 110]], "bare": [[100, 1000, 1000, 100]]}
    assert costs.ratios("ours", "bare") == [1.1]
    costs.by_name["ours"] = [[1100, 110, 110, 1100]]  # not beside each other: no answer is a good one, and this shows
    assert costs.ratios("ours", "bare") != [1.1]


def test_a_name_that_is_none_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["apend"])
    assert "apend" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["append", "--all"], ["--all", "--from", "results.json"]])
def test_what_to_run_is_said_once(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert "name the benchmarks, or give --all" in capsys.readouterr().err


def test_the_command_prints_machine_table_and_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured(scale: Scale, place: Path) -> Iterator[Row]:
        yield Row(name="fast", figure=1, unit="ns", limit=at_most(2))
        yield Row(name="slow", figure=3, unit="ns", limit=at_most(2))

    monkeypatch.setitem(BENCHMARKS, "append", measured)
    assert main(["append", "--quick", "--directory", str(tmp_path)]) == 0
    printed: Any = capsys.readouterr().out
    assert walogs.__version__ in printed
    assert "CRC-32 by" in printed
    assert "1 of 2 targets not met\n  slow" in printed


def test_entries_of_mixed_lengths_differ_and_are_checked() -> None:
    entries = [(lsn, mixed(lsn)) for lsn in range(1, 2001)]
    assert {len(data) for _, data in entries} == set(range(64, 193))
    check_mixed("mixed", entries, 2000)
    for found in (entries[:-1], entries[1:], [*entries[:9], (10, entries[9][1][:-1]), *entries[10:]]):
        with pytest.raises(Differs):
            check_mixed("mixed", found, 2000)
