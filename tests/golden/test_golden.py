"""The golden logs open as they always did, and the same writes still make the same bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import walogs
from tests.golden.make import CASES, EXPECTED, GOLDEN, as_text, described, files_in, open_copy
from walogs.testing import MemoryImmutableStore

pytestmark = pytest.mark.guarantee("G20")


def test_every_golden_log_is_there_and_none_is_forgotten() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == set(CASES)
    sizes = [path.stat().st_size for path in GOLDEN.rglob("*") if path.is_file()]
    assert sum(sizes) < 200_000


def only(found: Any, expected: Any) -> Any:
    """Return the part of *found* that the expectation has. Later releases may report more."""
    if isinstance(expected, dict):
        return {key: only(found[key], value) for key, value in expected.items()}
    if isinstance(expected, list) and len(expected) == len(found):
        return [only(part, value) for part, value in zip(found, expected, strict=True)]
    return found


@pytest.mark.parametrize("case", CASES)
def test_a_golden_log_opens_with_what_it_held(case: str, tmp_path: Path) -> None:
    before = files_in(GOLDEN / case)
    wal, again = open_copy(case, tmp_path / "log", before)
    with wal:
        expected = json.loads((GOLDEN / case / EXPECTED).read_text())
        assert as_text(only(described(wal), expected)) == as_text(expected)
        entries = list(wal)
        lsn = wal.append(b"written by this release")
    grown = [*entries, (lsn, b"written by this release")]
    for _ in range(2):
        cloud = again.get("cloud")
        wal = walogs.open(store=MemoryImmutableStore(cloud)) if cloud else walogs.open(tmp_path / "log", **again)
        with wal:
            assert list(wal) == grown
    assert files_in(GOLDEN / case) == before, "a test opens copies"


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("options", [{"verify": "last"}, {"recovery": "prefix"}], ids=str)
def test_a_golden_log_opens_in_every_mode(case: str, options: dict[str, str], tmp_path: Path) -> None:
    expected = json.loads((GOLDEN / case / EXPECTED).read_text())
    wal, again = open_copy(case, tmp_path / "log", files_in(GOLDEN / case))
    wal.close()
    cloud = again.get("cloud")
    wal = (
        walogs.open(store=MemoryImmutableStore(cloud), **options)  # type: ignore[arg-type]
        if cloud
        else walogs.open(tmp_path / "log", **again, **options)
    )
    with wal:
        assert [[lsn, data.hex()] for lsn, data in wal] == expected["entries"]


@pytest.mark.parametrize("case", CASES)
def test_the_same_writes_make_the_same_bytes(case: str, tmp_path: Path) -> None:
    made, golden = CASES[case](tmp_path / "log"), files_in(GOLDEN / case)
    assert made.keys() == golden.keys()
    differing = {
        name: next(
            (at for at in range(len(golden[name])) if made[name][at : at + 1] != golden[name][at : at + 1]), None
        )
        for name in golden
        if made[name] != golden[name]
    }
    assert not differing, f"first byte that differs: {differing}"


def test_a_planted_change_of_the_format_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from walogs.formats import native

    monkeypatch.setattr(native, "FRAME_TAG", 0x58D7)
    made = CASES["single-entries"](tmp_path / "log")
    assert made != files_in(GOLDEN / "single-entries")
