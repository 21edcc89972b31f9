"""Frames that no writer makes, although their checks are right."""

from __future__ import annotations

from typing import Any

import pytest

import walogs
from tests.bad_input.contents import DATA, opened_or_refused
from tests.kit.logs import LogOnDisk, batch_body, numbered


def forged(log: LogOnDisk, body: bytes, **fields: Any) -> LogOnDisk:
    """Add an intact frame at the end, and remove the durable mark, which would refuse it."""
    return log.forget_durable_mark().add_frame(1, body, **fields)


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize("recovery", ["acked", "prefix"])
@pytest.mark.parametrize(
    ("fields", "phrase"),
    [
        ({"first_lsn": 4}, "holds entry 4 where 5 belongs"),
        ({"first_lsn": 6}, "holds entry 6 where 5 belongs"),
        ({"first_lsn": 0}, "holds entry 0 where 5 belongs"),
        ({"first_lsn": 2**64 - 1}, "where 5 belongs"),
        ({"entries": 0}, "holds no entry"),
        ({"synced": 2**32 - 1}, "synced"),
        ({"synced": 5000}, "synced"),
    ],
)
def test_an_intact_frame_that_no_writer_makes_is_corrupt_never_torn(
    log: LogOnDisk, fields: dict[str, int], phrase: str, recovery: str
) -> None:
    end = log.frames(1)[-1].end
    forged(log, b"forged", **fields).refuses(walogs.Corrupt, phrase, f"byte {end}", "wal-000001.log", recovery=recovery)


@pytest.mark.guarantee("G6")
def test_a_checkpoint_beyond_its_own_segment_is_corrupt(log: LogOnDisk) -> None:
    forged(log, b"", kind=3, first_lsn=3, entries=0).refuses(walogs.Corrupt, "CHECKPOINT", "first LSN 3")


@pytest.mark.guarantee("G6", "G16")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"xxx",
        batch_body(b"a", b"b")[:8],
        batch_body(b"abc", b"def", offsets=[0, 9, 6]),
        batch_body(b"abc", b"def", offsets=[1, 3, 6]),
        batch_body(b"abc", b"def", offsets=[0, 3, 7]),
        batch_body(b"abc", b"def", offsets=[0, 3, 5]),
        batch_body(b"abc", b"def", offsets=[0, 2**32 - 1, 6]),
    ],
)
def test_a_bad_table_of_offsets_under_a_valid_check_is_corrupt_when_it_is_read(log: LogOnDisk, body: bytes) -> None:
    forged(log, body, entries=2)
    with log.open() as wal:
        seen = []
        with pytest.raises(walogs.Corrupt, match=r"wal-000001.log.*(table|hold)") as refused:
            seen.extend(wal)
        assert seen == numbered(1, *DATA)
        assert refused.value.lsn == 5
        with pytest.raises(walogs.Corrupt):
            wal.read(6)
        assert wal.read(2) == DATA[1]


@pytest.mark.guarantee("G16")
def test_a_count_of_four_milliards_allocates_nothing(log: LogOnDisk) -> None:
    forged(log, b"x" * 100, entries=2**32 - 1)
    with log.open() as wal:
        assert wal.last_lsn == 4 + 2**32 - 1
        with pytest.raises(walogs.Corrupt, match="cannot hold"):
            wal.read(2**31)


@pytest.mark.guarantee("G16")
@pytest.mark.parametrize("body_bytes", [2**31 - 1, 2**32 - 1, 2**31, 100_000])
def test_a_length_beyond_the_file_allocates_nothing_and_is_torn(log: LogOnDisk, body_bytes: int) -> None:
    end = log.frames(1)[-1].end
    forged(log, b"short", body_bytes=body_bytes)
    with log.open() as wal:
        assert isinstance(wal.tail_state, walogs.TruncatedAt)
        assert wal.tail_state.offset == end
    log.goes_on(numbered(1, *DATA))


@pytest.mark.guarantee("G16")
@pytest.mark.parametrize("body_bytes", [0, 1, 3])
def test_a_body_too_short_for_its_check_is_torn(log: LogOnDisk, body_bytes: int) -> None:
    forged(log, b"", body_bytes=body_bytes)
    log.goes_on(numbered(1, *DATA))


@pytest.mark.guarantee("G16")
@pytest.mark.parametrize("time_ns", [0, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_commit_at_an_absurd_time_never_ends_in_anything_undocumented(log: LogOnDisk, time_ns: int) -> None:
    forged(log, b"forged", time_ns=time_ns)
    wal = opened_or_refused(log)
    if wal is None:
        return
    with wal:
        wal.append(b"next")
        wal.rotate()
        wal.append(b"after it")
    log.goes_on(numbered(1, *DATA, b"forged", b"next", b"after it"))
