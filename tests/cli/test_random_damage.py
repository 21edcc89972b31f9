"""However a log is damaged, `info` agrees with `open`, and `cat` prints only entries that were appended."""

from __future__ import annotations

import json
import random
import shutil
from base64 import b64decode
from pathlib import Path

import pytest

from tests.cli.commands import Walogs, everything_in
from tests.inspection.random_damage import damaged, opens, small_log
from tests.system.children import seed_of
from walogs.assembly.config import WalConfig
from walogs.assembly.opening import source_of
from walogs.inspection.survey import is_newest_complete

ROUNDS = 60


@pytest.mark.guarantee("G6")
def test_looking_at_damage_agrees_with_open(tmp_path: Path, command: Walogs) -> None:
    seed = seed_of("damage that is looked at")
    rng = random.Random(seed)
    log = tmp_path / "log"
    refused = 0
    for number in range(ROUNDS):
        shutil.rmtree(log, ignore_errors=True)
        entries = small_log(log, rng)
        first_lsn = command("info", log, "--json").json()["first_lsn"]
        harm = [damaged(log, rng) for _ in range(rng.choice((0, 1, 1, 1, 2, 3))) if can_be_harmed(log)]
        where = f"seed {seed}, round {number}: {harm}"
        is_good = opens(log, "crc32")
        refused += not is_good
        before = everything_in(log)

        told = command("info", log, "--json")
        assert told.status == (0 if is_good else 4), where
        if told.out:
            facts = told.json()
            assert facts["ok"] == is_good, where
            if is_good:
                assert (facts["first_lsn"], facts["missing"]) == (first_lsn, []), where
            else:
                assert [found for found in facts["findings"] if found["is_damage"]], where
                assert facts["first_lsn"] == first_lsn or not is_newest_complete(
                    source_of(log, WalConfig()), newest_of(log)
                )
                first_lsn = facts["first_lsn"]  # where only a lost CHECKPOINT would tell
        else:
            assert not list(log.glob("wal-*.log")), where

        told = command("cat", log, "--json")
        printed = [data_of(line) for line in told.out.splitlines()]
        lsns = [json.loads(line)["lsn"] for line in told.out.splitlines()]
        assert lsns == list(range(first_lsn, first_lsn + len(lsns))), where
        assert printed == [entries[lsn - 1] for lsn in lsns], where
        if is_good:
            assert told.status == 0, where
            assert lsns == list(range(first_lsn, facts["last_lsn"] + 1)), where
        else:
            # A CHECKPOINT in an older segment holds no entry, and has no reader.
            assert told.status == 4 or lsns == list(range(first_lsn, len(entries) + 1)), where
        assert everything_in(log) == before, where
    assert refused > ROUNDS // 4


def newest_of(log: Path) -> int:
    return max(int(file.stem[4:]) for file in log.glob("wal-*.log"))


def can_be_harmed(log: Path) -> bool:
    files = list(log.glob("wal-*.log"))
    return bool(files) and all(len(file.read_bytes().rstrip(b"\0")) >= 512 for file in files)


def data_of(line: bytes) -> bytes:
    found = json.loads(line)
    return b64decode(found["base64"]) if "base64" in found else found["text"].encode()
