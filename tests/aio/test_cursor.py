"""Cursors for tasks: the same durable positions, with one owner, and no entry skipped."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

import walogs
import walogs.aio
from tests.aio.backends import on_each_backend, run_on


@on_each_backend
@pytest.mark.guarantee("G21")
def test_a_consumer_goes_on_where_it_was(backend: str, tmp_path: Path) -> None:
    async def consume(count: int) -> list[int]:
        found: list[int] = []
        async with walogs.aio.reader(tmp_path / "log") as reader, reader.cursor("mailer") as cursor:
            async for lsn, _ in cursor.follow(timeout=0):
                found.append(lsn)
                await cursor.commit(lsn)
                if len(found) == count:
                    break
            assert await cursor.position() == (found[-1] if found else 5)
        return found

    async def main() -> None:
        async with walogs.aio.open(tmp_path / "log") as wal:
            await wal.append_batch([b"x"] * 5)
            assert await consume(2) == [1, 2]
            assert await consume(2) == [3, 4]
            async with wal.cursor("mailer") as cursor:
                assert [lsn async for lsn, _ in cursor] == [5]
                assert [lsn async for lsn, _ in cursor.iter(5)] == []
                assert (await cursor.lag()).entries == 1
                assert cursor.name == "mailer"
                with pytest.raises(ValueError, match="set it back"):
                    await cursor.commit(1)
                with pytest.raises(TypeError):
                    await cursor.commit(1.5)  # type: ignore[arg-type]
            assert await consume(9) == [5]
            assert await consume(9) == []

    run_on(backend, main)


@on_each_backend
@pytest.mark.parametrize("handle", ["wal", "reader"])
@pytest.mark.guarantee("G21")
def test_a_cursor_follows_while_entries_come(backend: str, handle: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with walogs.aio.open(tmp_path / "log") as wal, walogs.aio.reader(tmp_path / "log") as reader:
            await wal.append(b"x")
            source = wal if handle == "wal" else reader
            found: list[int] = []

            async def consume() -> None:
                async with source.cursor("mailer") as cursor:
                    async for lsn, _ in cursor.follow():
                        found.append(lsn)
                        await cursor.commit(lsn, durable=False)
                        if lsn == 50:
                            return

            async with anyio.create_task_group() as group:
                group.start_soon(consume)
                for _ in range(49):
                    await wal.append(b"x")
            assert found == list(range(1, 51))

    run_on(backend, main)


@on_each_backend
@pytest.mark.guarantee("G13", "G21")
def test_a_cursor_has_one_owner_and_a_cancelled_open_leaves_none(backend: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with walogs.aio.open(tmp_path / "log") as wal:
            first = await wal.cursor("mailer")
            with pytest.raises(walogs.Locked):
                await wal.cursor("mailer")
            await first.close()
            await first.close()
            assert first.closed
            with anyio.CancelScope() as scope:
                scope.cancel()
                await wal.cursor("mailer")
            async with wal.cursor("mailer") as again:
                assert await again.position() == 0
            with pytest.raises(walogs.Closed):
                await again.position()
            with pytest.raises(ValueError, match="name"):
                await wal.cursor("no name")

    run_on(backend, main)


@on_each_backend
@pytest.mark.guarantee("G11", "G21")
def test_a_checkpoint_behind_a_cursor_is_told_by_its_name(backend: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            walogs.aio.open(tmp_path / "log", max_segment_size=8192) as wal,
            wal.cursor("mailer") as cursor,
        ):
            for _ in range(4):
                await wal.append(bytes(3000))
                await wal.rotate()
            assert await wal.checkpoint() == 0
            follower = cursor.follow()
            assert (await anext(follower))[0] == 1
            await wal.checkpoint(3)
            for stream in (cursor.iter(), cursor.follow()):
                with pytest.raises(walogs.Checkpointed, match="'mailer'"):
                    await anext(stream)
            await cursor.commit(3)
            assert [lsn async for lsn, _ in cursor.follow(timeout=0)] == [4]
            await cursor.commit(4)
            assert await wal.checkpoint() == 1

    run_on(backend, main)


@on_each_backend
@pytest.mark.guarantee("G21")
def test_the_end_of_the_log_closes_its_cursors(backend: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with walogs.aio.open(tmp_path / "log") as wal:
            await wal.append(b"x")
            cursor = await wal.cursor("mailer")
        assert cursor.closed
        await cursor.close()
        with pytest.raises(walogs.Closed):
            await cursor.commit(1)

    run_on(backend, main)
    with walogs.open(tmp_path / "log") as log, log.cursor("mailer") as cursor:
        assert cursor.position == 0


@on_each_backend
@pytest.mark.guarantee("G21")
def test_a_commit_that_is_refused_in_a_directory_that_was_replaced_changes_nothing(
    backend: str, tmp_path: Path
) -> None:
    log = tmp_path / "log"

    async def main() -> None:
        async with walogs.aio.open(log) as wal:
            await wal.append_batch([b"x"] * 5)
        walogs.backup(log, tmp_path / "copy")
        async with walogs.aio.reader(log) as reader, reader.cursor("mailer") as cursor:
            await cursor.commit(2)
            log.rename(tmp_path / "moved away")
            (tmp_path / "copy").rename(log)
            with pytest.raises(walogs.UnsafeStore, match="Nothing was changed"):
                await cursor.commit(3)
            assert (await cursor.position(), (log / "cursors").exists()) == (2, False)
            async with walogs.aio.reader(log) as other, other.cursor("mailer") as owned:
                await owned.commit(4)
            assert await cursor.position() == 2
            assert [lsn async for lsn, _ in cursor] == [3, 4, 5]

    run_on(backend, main)
