"""The verbs of the handles for tasks do what those of the synchronous handles do, on each event loop."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

import walogs
import walogs.aio
from tests.aio.backends import on_each_backend, run_on
from walogs.testing import MemoryCloud, MemoryDisk, MemoryImmutableStore, MemoryStore


@on_each_backend
@pytest.mark.guarantee("G1", "G12")
def test_what_is_appended_is_read_again_by_task_and_by_thread(backend: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with walogs.aio.open(tmp_path / "log") as wal:
            assert await wal.append(b"1") == 1
            assert wal.durable_lsn == 1
            assert await wal.append_batch([b"2", bytearray(b"3")]) == range(2, 4)
            assert await wal.append_batch([]) == range(4, 4)
            assert [entry async for entry in wal] == [(1, b"1"), (2, b"2"), (3, b"3")]
            assert [lsn async for lsn, _ in wal.iter(2, 3)] == [2]
            assert await wal.read(2) == b"2"
            assert [commit.last_lsn async for commit in wal.commits()] == [1, 3]
            await wal.rotate()
            assert await wal.append(b"4") == 4
            assert await wal.checkpoint(3) == 1
            assert (wal.first_lsn, wal.last_lsn, wal.next_lsn, await wal.segment_count()) == (4, 4, 5, 1)
            assert [segment.last_lsn for segment in await wal.segments()] == [4]
            assert (await wal.stats()).entries == 4
            assert await wal.lsn_at(0) == 4
            with pytest.raises(TypeError):
                await wal.lsn_at("now")  # type: ignore[arg-type]
            await wal.sync()
        assert wal.closed
        assert (await wal.stats()).entries == 4

    run_on(backend, main)
    with walogs.open(tmp_path / "log") as again:
        assert list(again) == [(4, b"4")]


@on_each_backend
def test_a_store_of_immutable_segments_serves_tasks_too(backend: str) -> None:
    cloud = MemoryCloud()

    async def main() -> None:
        async with walogs.aio.open(store=MemoryImmutableStore(cloud)) as wal:
            assert await wal.append(b"1") == 1
        async with walogs.aio.reader(store=MemoryImmutableStore(cloud)) as reader:
            assert [entry async for entry in reader] == [(1, b"1")]

    run_on(backend, main)


@on_each_backend
def test_a_reader_beside_the_writer(backend: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with walogs.aio.open(tmp_path / "log") as wal, walogs.aio.reader(tmp_path / "log") as reader:
            await wal.append_batch([b"1", b"2", b"3"])
            assert (await reader.first_lsn(), await reader.last_lsn()) == (1, 3)
            assert await reader.read(2) == b"2"
            assert await reader.lsn_at(1 << 62) == 4
            assert [entry async for entry in reader.iter(2)] == [(2, b"2"), (3, b"3")]
            assert [commit.last_lsn async for commit in reader.commits()] == [3]
        assert reader.closed
        with pytest.raises(walogs.Closed):
            await reader.read(1)

    run_on(backend, main)


@on_each_backend
def test_a_configuration_file_is_opened(backend: str, tmp_path: Path) -> None:
    (tmp_path / "walogs.toml").write_text('[log.orders]\npath = "orders.wal"\n')

    async def main() -> None:
        async with walogs.aio.open_config(tmp_path / "walogs.toml", log="orders") as wal:
            await wal.append(b"1")
        wal = await walogs.aio.open_config(tmp_path / "walogs.toml")
        assert wal.path == str(tmp_path / "orders.wal")
        await wal.close()

    run_on(backend, main)


# What is wrong


@on_each_backend
def test_bad_input_is_refused_at_the_call_and_writes_nothing(backend: str) -> None:
    disk = MemoryDisk()

    async def main() -> None:
        async with walogs.aio.open(store=MemoryStore(disk), max_entry_size=10, max_batch_size=30) as wal:
            for call in (
                lambda: wal.append("text"),
                lambda: wal.append_batch(b"one"),
                lambda: wal.append_batch([None]),
            ):
                with pytest.raises(TypeError):
                    await call()  # type: ignore[no-untyped-call]
            for entry in (bytes(11), bytearray(11)):
                with pytest.raises(walogs.EntryTooLarge):
                    await wal.append(entry)
            with pytest.raises(walogs.EntryTooLarge, match="entry 1 of the batch"):
                await wal.append_batch([b"", bytes(11)])
            for lsn in (1.0, True, "1", float("nan")):
                with pytest.raises(TypeError):
                    await wal.checkpoint(lsn)  # type: ignore[arg-type]
                with pytest.raises(TypeError):
                    await wal.read(lsn)  # type: ignore[arg-type]
                with pytest.raises(TypeError):
                    wal.iter(lsn)  # type: ignore[arg-type]
            with pytest.raises(IndexError):
                wal.follow(0)
            with pytest.raises(ValueError, match="timeout"):
                wal.follow(timeout=-1)
            with pytest.raises(TypeError, match="read"):
                assert b"x" in wal
            assert wal.next_lsn == 1

    run_on(backend, main)


@on_each_backend
def test_opening_raises_what_open_raises(backend: str, tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(walogs.ConfigError):
            await walogs.aio.open(tmp_path / "log", max_entry_size=-1)
        with pytest.raises(walogs.LogNotFound):
            async with walogs.aio.reader(tmp_path / "log"):
                raise AssertionError("there is no log")
        async with walogs.aio.open(tmp_path / "log"):
            with pytest.raises(walogs.Locked):
                await walogs.aio.open(tmp_path / "log")

    run_on(backend, main)


@on_each_backend
@pytest.mark.guarantee("G7")
def test_each_verb_of_a_closed_log_raises_closed(backend: str, tmp_path: Path) -> None:
    async def main() -> None:
        wal = await walogs.aio.open(tmp_path / "log")
        await wal.append(b"1")
        await wal.close()
        await wal.close()
        for verb in (
            lambda: wal.append(b"x"),
            lambda: wal.append_batch([b"x"]),
            lambda: wal.append_batch([]),
            wal.sync,
            wal.rotate,
            lambda: wal.checkpoint(1),
            lambda: wal.read(1),
            lambda: anext(wal.commits()),
            wal.segments,
            wal.segment_count,
            lambda: anext(wal.iter()),
            lambda: anext(wal.follow()),
            wal.__aenter__,
        ):
            with pytest.raises(walogs.Closed):
                await verb()  # type: ignore[operator]
        assert "closed" in repr(wal)

    run_on(backend, main)


def test_outside_an_event_loop_nothing_is_written(tmp_path: Path) -> None:
    async def opened() -> walogs.aio.AsyncWal:
        return await walogs.aio.open(tmp_path / "log")

    wal = asyncio.run(opened())
    coroutine = wal.append(b"x")
    with pytest.raises(RuntimeError, match="no running event loop"):
        coroutine.send(None)
    assert wal.next_lsn == 1
    anyio.run(wal.close)


@pytest.mark.parametrize("missing", ["anyio", "trio"])
def test_without_its_extra_the_module_says_what_to_install(missing: str) -> None:
    """trio is needed only by programs that run it."""
    program = f"import sys; sys.modules[{missing!r}] = None; import walogs; import walogs.aio"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    if missing == "trio":
        assert (told.returncode, told.stderr) == (0, "")
    else:
        assert "walogs.aio needs anyio: pip install" in told.stderr.splitlines()[-1]
