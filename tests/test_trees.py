"""The comparison of two trees measures every row with the walogs of each tree. Nothing here is timed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

import walogs
from benchmarks import one_tree, trees
from benchmarks.one_tree import GROUPS, Rows

TINY = {
    "BATCHES": 2,
    "APPENDS": 3,
    "BLOCKS": 1,
    "BATCHES_IN_BLOCK": 1,
    "READS": 2,
    "SEGMENTS": 3,
    "STARTS": 1,
    "IN_FLIGHT": 3,
    "THREADS": 2,
    "CALLERS_SECONDS": 0.01,
    "TIMES": 1,
}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure little, and give the syncs back afterwards."""
    for name, value in TINY.items():
        monkeypatch.setattr(one_tree, name, value)
    for call in ("fdatasync", "fsync"):
        monkeypatch.setattr(os, call, getattr(os, call))


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("group", GROUPS)
def test_every_group_measures_something(group: str) -> None:
    assert one_tree.measure(trees.THIS, [group])


@pytest.mark.usefixtures("tiny")
def test_another_walogs_than_that_of_the_tree_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="is not the walogs of"):
        one_tree.measure(tmp_path, ["append"])


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("group", ["batches-equal", "singles-mixed"])
def test_entries_that_do_not_come_back_are_no_figure(group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = walogs.Wal.append_batch
    append = walogs.Wal.append
    monkeypatch.setattr(walogs.Wal, "append_batch", lambda wal, entries: whole(wal, entries[::-1]))
    monkeypatch.setattr(walogs.Wal, "append", lambda wal, data: append(wal, data[1:]))
    with pytest.raises(SystemExit, match="does not hold what was appended"):
        one_tree.measure(trees.THIS, [group])


@pytest.mark.usefixtures("tiny")
def test_the_import_is_that_of_the_tree_and_not_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "walogs").mkdir()
    (tmp_path / "walogs/__init__.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(trees.THIS))
    assert one_tree.start_ns("import walogs") > 0


def test_ratios_are_of_one_round_and_the_noise_is_of_the_other_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[Path] = []

    def run_in(tree: Path, groups: Sequence[str]) -> Rows:
        """Cost twice as much in each round: only ratios within a round are constant."""
        ran.append(tree)
        speed = 2.0 ** ((len(ran) - 1) // 3)
        return {"row": speed * (0.5 if tree == trees.THIS else 1.0), f"only in {tree.name}": 1.0}

    monkeypatch.setattr(trees, "run_in", run_in)
    [row] = trees.compare(tmp_path, ["append"], 3)
    assert (row.name, row.ratios, row.noise) == ("row", [0.5] * 3, [1.0] * 3)
    assert (row.here_ns, row.there_ns) == (1.0, 2.0)
    assert sorted(ran) == sorted([trees.THIS, tmp_path, tmp_path] * 3)
    assert "× 0.50 (0.50–0.50)" in str(row)


def test_what_is_no_tree_or_no_group_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, why in (([str(tmp_path)], "is not a clone"), ([str(tmp_path), "walks"], "no such group: walks")):
        with pytest.raises(SystemExit):
            trees.main(arguments)
        assert why in capsys.readouterr().err
