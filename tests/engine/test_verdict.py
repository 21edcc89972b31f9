"""The verdict: a total table, each row of it, and each sentence about what cannot be."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from walogs.engine import verdict
from walogs.engine.verdict import (
    VERDICTS,
    Rest,
    Shape,
    Verdict,
    inadmissible,
    missing_by_witness,
    testimony,
    unlinked,
    unlinked_end,
)
from walogs.formats.segment_format import FrameHeader, SegmentHeader
from walogs.formats.witness import Witness

NOTHING, SYNCED_BEYOND, SEALED = verdict.Testimony
testimony.__test__ = False  # type: ignore[attr-defined]

HEADER = SegmentHeader(
    number=7,
    first_lsn=100,
    base_lsn=50,
    epoch=3,
    log_id=b"a" * 16,
    writer_id=b"w" * 16,
    salt=11,
    previous_salt=10,
    previous_check=99,
    created_ns=5,
    codec_name="crc32",
    codec_parameters=b"{}",
)
SUCCESSOR = replace(HEADER, number=8, first_lsn=120, previous_salt=11, previous_check=77, salt=12)
FRAME = FrameHeader(1, 0, 9, 100, 5, 3, 512, 512, 1)


def test_the_table_is_total() -> None:
    assert set(VERDICTS) == set(product(Shape, Rest, verdict.Testimony))
    assert set(VERDICTS.values()) == set(Verdict)


@pytest.mark.guarantee("G5", "G6")
@pytest.mark.parametrize(
    ("shape", "rest", "told", "expected"),
    [
        (Shape.MAY_TEAR, Rest.ZEROS, NOTHING, Verdict.CLEAN),
        (Shape.MAY_TEAR, Rest.BYTES, NOTHING, Verdict.TORN),
        (Shape.MAY_TEAR, Rest.ZEROS, SYNCED_BEYOND, Verdict.CORRUPT),
        (Shape.MAY_TEAR, Rest.BYTES, SYNCED_BEYOND, Verdict.CORRUPT),
        (Shape.MAY_TEAR, Rest.ZEROS, SEALED, Verdict.CORRUPT),
        (Shape.MAY_TEAR, Rest.BYTES, SEALED, Verdict.CORRUPT),
        (Shape.WHOLE, Rest.ZEROS, NOTHING, Verdict.CLEAN),
        (Shape.WHOLE, Rest.BYTES, NOTHING, Verdict.CORRUPT),
        (Shape.WHOLE, Rest.ZEROS, SYNCED_BEYOND, Verdict.CORRUPT),
        (Shape.WHOLE, Rest.BYTES, SYNCED_BEYOND, Verdict.CORRUPT),
        (Shape.WHOLE, Rest.ZEROS, SEALED, Verdict.CORRUPT),
        (Shape.WHOLE, Rest.BYTES, SEALED, Verdict.CORRUPT),
    ],
)
def test_each_row_of_the_table(shape: Shape, rest: Rest, told: verdict.Testimony, expected: Verdict) -> None:
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
def test_what_is_known_of_an_end(end: int, synced: int, is_sealed: bool, expected: verdict.Testimony) -> None:
    assert testimony(end, synced, is_sealed) is expected


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
    ],
)
def test_what_no_writer_makes(frame: FrameHeader, phrase: str | None) -> None:
    found = inadmissible(frame, 100)
    assert (found is None) == (phrase is None)
    assert phrase is None or phrase in str(found)


WITNESS = Witness(HEADER.log_id, 7, 600, 105, 11, False)


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize(
    ("witness", "newest", "last_lsn", "phrase"),
    [
        (None, HEADER, 0, None),
        (None, None, 0, None),
        (WITNESS, None, 0, "segments are gone"),
        (WITNESS, HEADER, 105, None),
        (WITNESS, HEADER, 200, None),
        (WITNESS, HEADER, 104, "entries 105 to 105 are gone"),
        (WITNESS, HEADER, 99, "entries 100 to 105 are gone"),
        (WITNESS._replace(log_id=b"b" * 16), HEADER, 0, None),
        (WITNESS._replace(log_id=b"b" * 16, segment=9), HEADER, 0, None),
        (WITNESS._replace(segment=6), HEADER, 0, None),
        (WITNESS._replace(segment=6, salt=1), HEADER, 0, None),
        (WITNESS._replace(segment=8), HEADER, 200, "segment 8 is gone"),
        (WITNESS._replace(salt=12), HEADER, 200, "another history"),
    ],
)
def test_what_a_witness_misses(
    witness: Witness | None, newest: SegmentHeader | None, last_lsn: int, phrase: str | None
) -> None:
    found = missing_by_witness(witness, newest, last_lsn)
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
    found = unlinked(replace(HEADER, **changes), SUCCESSOR)  # type: ignore[arg-type]
    assert (found is None) == (phrase is None)
    assert phrase is None or phrase in str(found)


@pytest.mark.guarantee("G6")
@pytest.mark.parametrize(
    ("last_lsn", "last_check", "phrase"),
    [
        (119, 77, None),
        (118, 77, "entries end at 118, and its successor begins at 120"),
        (0, 77, "begins at 120"),
        (120, 77, "it holds entry 120"),
        (119, 78, "last frame"),
        (119, 0, "last frame"),
    ],
)
def test_what_a_successor_says_of_the_end_before_it(last_lsn: int, last_check: int, phrase: str | None) -> None:
    found = unlinked_end(last_lsn, last_check, SUCCESSOR)
    assert (found is None) == (phrase is None)
    assert phrase is None or phrase in str(found)
