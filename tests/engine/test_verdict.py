"""The table of verdicts is total, each row is right, and each impossible state has its message."""

from __future__ import annotations

from itertools import product

import pytest

from walogs.engine import verdict
from walogs.engine.verdict import (
    VERDICTS,
    CrashShape,
    TailContent,
    Verdict,
    durability_evidence,
    durable_mark_problem,
    end_problem,
    frame_problem,
    link_problem,
)
from walogs.formats.durable_mark import DurableMark
from walogs.formats.segment_format import FrameHeader, SegmentHeader

NOTHING, SYNCED_BEYOND, SEALED = verdict.DurabilityEvidence
durability_evidence.__test__ = False  # type: ignore[attr-defined]

HEADER = SegmentHeader(
    number=7,
    first_lsn=100,
    log_first_lsn=50,
    epoch=3,
    log_id=b"a" * 16,
    writer_id=b"w" * 16,
    salt=11,
    previous_salt=10,
    previous_link=b"link  99",
    created_ns=5,
    codec_name="crc32",
    codec_parameters=b"{}",
)
SUCCESSOR = HEADER._replace(number=8, first_lsn=120, previous_salt=11, previous_link=b"link  77", salt=12)
FRAME = FrameHeader(
    kind=1, flags=0, body_bytes=9, first_lsn=100, time_ns=5, entries=3, offset=512, synced=512, link=b"link  99"
)


def test_the_table_is_total() -> None:
    assert set(VERDICTS) == set(product(CrashShape, TailContent, verdict.DurabilityEvidence))
    assert set(VERDICTS.values()) == set(Verdict)


@pytest.mark.guarantee("G5", "G6")
@pytest.mark.parametrize(
    ("shape", "rest", "told", "expected"),
    [
        (CrashShape.MAY_TEAR, TailContent.ZEROS, NOTHING, Verdict.CLEAN),
        (CrashShape.MAY_TEAR, TailContent.BYTES, NOTHING, Verdict.TORN),
        (CrashShape.MAY_TEAR, TailContent.ZEROS, SYNCED_BEYOND, Verdict.CORRUPT),
        (CrashShape.MAY_TEAR, TailContent.BYTES, SYNCED_BEYOND, Verdict.CORRUPT),
        (CrashShape.MAY_TEAR, TailContent.ZEROS, SEALED, Verdict.CORRUPT),
        (CrashShape.MAY_TEAR, TailContent.BYTES, SEALED, Verdict.CORRUPT),
        (CrashShape.WHOLE, TailContent.ZEROS, NOTHING, Verdict.CLEAN),
        (CrashShape.WHOLE, TailContent.BYTES, NOTHING, Verdict.CORRUPT),
        (CrashShape.WHOLE, TailContent.ZEROS, SYNCED_BEYOND, Verdict.CORRUPT),
        (CrashShape.WHOLE, TailContent.BYTES, SYNCED_BEYOND, Verdict.CORRUPT),
        (CrashShape.WHOLE, TailContent.ZEROS, SEALED, Verdict.CORRUPT),
        (CrashShape.WHOLE, TailContent.BYTES, SEALED, Verdict.CORRUPT),
    ],
)
def test_each_row_of_the_table(
    shape: CrashShape, rest: TailContent, told: verdict.DurabilityEvidence, expected: Verdict
) -> None:
    assert VERDICTS[shape, rest, told] is expected


@pytest.mark.guarantee("G5", "G6")
@pytest.mark.parametrize(
    ("end", "synced", "is_sealed", "expected"),
    [
        (512, 0, False, NOTHING),
        (512, 512, False, NOTHING),  # synced up to here is not synced beyond here
        (512, 513, False, SYNCED_BEYOND),
        (512, 2**40, False, SYNCED_BEYOND),
        (512, 0, True, SEALED),
        (512, 2**40, True, SEALED),
    ],
)
def test_what_is_known_of_an_end(end: int, synced: int, is_sealed: bool, expected: verdict.DurabilityEvidence) -> None:
    assert durability_evidence(end, synced, is_sealed) is expected


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize(
    ("frame", "phrase"),
    [
        (FRAME, None),
        (FRAME._replace(first_lsn=99), "holds entry 99 where 100 belongs"),
        (FRAME._replace(first_lsn=101), "holds entry 101 where 100 belongs"),
        (FRAME._replace(entries=0), "no entry"),
        (FRAME._replace(synced=513), "synced before it was written"),
        (FRAME._replace(kind=3, entries=0, first_lsn=1), None),  # a CHECKPOINT's LSN is out of order by design
        (FRAME._replace(kind=3, entries=0, first_lsn=1, synced=600), "synced before it was written"),
        (FRAME._replace(link=b"link  98"), "was written after another frame"),
        (FRAME._replace(kind=3, entries=0, first_lsn=1, link=b"link  98"), "was written after another frame"),
    ],
)
def test_what_no_writer_makes(frame: FrameHeader, phrase: str | None) -> None:
    found = frame_problem(frame, 100, b"link  99")
    assert (found is None) == (phrase is None)
    assert phrase is None or phrase in str(found)


def test_a_link_is_not_judged_where_nothing_is_known_of_the_frame_before() -> None:
    assert frame_problem(FRAME, 100, None) is None


DURABLE_MARK = DurableMark(
    log_id=HEADER.log_id, segment=7, synced=600, last_lsn=105, salt=11, link=b"link", is_clean=False
)


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize(
    ("durable_mark", "newest", "last_lsn", "phrase"),
    [
        (None, HEADER, 0, None),
        (None, None, 0, None),
        (DURABLE_MARK, None, 0, "segments are gone"),
        (DURABLE_MARK, HEADER, 105, None),
        (DURABLE_MARK, HEADER, 200, None),
        (DURABLE_MARK, HEADER, 104, "entries 105 to 105 are gone"),
        (DURABLE_MARK, HEADER, 99, "entries 100 to 105 are gone"),
        (DURABLE_MARK._replace(log_id=b"b" * 16), HEADER, 0, None),
        (DURABLE_MARK._replace(log_id=b"b" * 16, segment=9), HEADER, 0, None),
        (DURABLE_MARK._replace(segment=6), HEADER, 0, None),
        (DURABLE_MARK._replace(segment=6, salt=1), HEADER, 0, None),
        (DURABLE_MARK._replace(segment=8), HEADER, 200, "segment 8 is gone"),
        (DURABLE_MARK._replace(salt=12), HEADER, 200, "another history"),
        (DURABLE_MARK._replace(link=b"lino"), HEADER, 105, "entry 105 is not the one"),
        (DURABLE_MARK._replace(link=b"lino"), HEADER, 200, None),  # of an entry before the last
        (DURABLE_MARK._replace(link=b"lino", segment=6), HEADER, 105, None),
    ],
)
def test_what_a_durable_mark_misses(
    durable_mark: DurableMark | None, newest: SegmentHeader | None, last_lsn: int, phrase: str | None
) -> None:
    found = durable_mark_problem(durable_mark, newest, last_lsn, b"link  99")
    assert (found is None) == (phrase is None)
    assert phrase is None or phrase in str(found)


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize(
    ("changes", "phrase"),
    [
        ({}, None),
        ({"epoch": 2}, None),  # another writer made the successor
        ({"first_lsn": 120}, None),  # it holds nothing
        ({"log_id": b"b" * 16}, "another log"),
        ({"salt": 13}, "another history"),
        ({"epoch": 4}, "beyond its successor's"),
        ({"first_lsn": 121}, "beyond its successor's"),
    ],
)
def test_what_ties_a_segment_to_its_successor(changes: dict[str, object], phrase: str | None) -> None:
    found = link_problem(HEADER._replace(**changes), SUCCESSOR)  # type: ignore[arg-type]
    assert (found is None) == (phrase is None)
    assert phrase is None or phrase in str(found)


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize(
    ("last_lsn", "link", "phrase"),
    [
        (119, b"link  77", None),
        (118, b"link  77", "entries end at 118, and its successor begins at 120"),
        (0, b"link  77", "begins at 120"),
        (120, b"link  77", "it holds entry 120"),
        (119, b"link  78", "last frame"),
        (119, bytes(8), "last frame"),
        (119, None, "last frame"),
    ],
)
def test_what_a_successor_says_of_the_end_before_it(last_lsn: int, link: bytes | None, phrase: str | None) -> None:
    found = end_problem(last_lsn, link, SUCCESSOR)
    assert (found is None) == (phrase is None)
    assert phrase is None or phrase in str(found)
