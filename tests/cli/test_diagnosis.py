"""What each thing that can be found about a place is told as, and how the command ends then."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from tests.cli.commands import Walogs
from walogs.cli.doctor import command as doctor
from walogs.cli.doctor import diagnosis
from walogs.cli.doctor.diagnosis import COPYING, DROPPING, JOURNALED, LAYERED, MEMORY, REMOTE, UNJOURNALED, findings
from walogs.cli.doctor.place import Place, Probe
from walogs.inspection.lock import Lock
from walogs.inspection.mount import Mount

EXT4: Final = Mount(point="/srv", kind="ext4", source="/dev/sda1", options=("rw", "relatime"), device="8:1")
GOOD: Final = Place(
    path="/srv/orders.wal",
    directory="/srv/orders.wal",
    mount=EXT4,
    write_cache="write back",
    free_bytes=1 << 40,
    probe=Probe(sync_seconds=(100e-6, 110e-6, 120e-6)),
    lock=Lock(()),
)
"""Nothing is wrong with it."""


def mounted(kind: str, *options: str) -> dict[str, Any]:
    return {"mount": replace(EXT4, kind=kind, options=("rw", *options))}


def probe(**facts: Any) -> dict[str, Any]:
    return {"probe": replace(GOOD.probe, **facts)}


def lock(*facts: Any, **named: Any) -> dict[str, Any]:
    return {"lock": Lock(*facts, **named)}


FOUND: Final = [
    # what is found, the check, its grade, the exit status, what the message says
    ({}, "file system", "good", 0, "ext4 at /srv"),
    (mounted("tmpfs"), "file system", "bad", 1, "tmpfs at /srv is memory, whose files a restart removes; put the log"),
    (mounted("nfs4"), "file system", "bad", 1, "is on another machine, which decides what a sync means and whether"),
    (mounted("fuse.sshfs"), "file system", "bad", 1, "is on another machine"),
    (mounted("fuse.mergerfs"), "file system", "note", 0, "is served by a program"),
    (mounted("vfat"), "file system", "bad", 1, "has no journal, so a power cut can lose whole files; put the log on a"),
    (mounted("overlay"), "file system", "note", 0, "is a layer of a container, and is removed with the container; put"),
    (mounted("squirrelfs"), "file system", "note", 0, "squirrelfs at /srv is not a file system that walogs is tested"),
    ({"mount": None}, "file system", "note", 0, "this system does not tell which one it is"),
    ({}, "mount options", "good", 0, "none that drops flushes"),
    (mounted("ext4", "nobarrier"), "mount options", "bad", 1, "/srv is mounted with nobarrier: a sync returns before"),
    (mounted("overlay", "volatile"), "mount options", "bad", 1, "mounted with volatile"),
    (mounted("xfs", "barrier=0"), "mount options", "good", 0, "none that drops flushes"),
    ({"mount": replace(EXT4, options=("ro",))}, "mount options", "bad", 1, "mounted read-only: remount it with rw"),
    ({}, "copy-on-write", "good", 0, "ext4 overwrites in place"),
    (mounted("btrfs"), "copy-on-write", "bad", 1, "A full disk can refuse an append (nothing is lost)"),
    (mounted("btrfs") | probe(is_nocow=True), "copy-on-write", "good", 0, "but segments are excepted (NOCOW)"),
    (mounted("zfs"), "copy-on-write", "bad", 1, "zfs writes overwritten bytes to another place"),
    ({}, "disk cache", "good", 0, "write back: the kernel flushes it at each sync"),
    ({"write_cache": "write through"}, "disk cache", "note", 0, "no volatile cache, so the kernel sends it no flushes"),
    ({"write_cache": None}, "disk cache", "note", 0, "does not tell which cache the disk has"),
    ({}, "space", "good", 0, "1.0 TiB are free"),
    ({"free_bytes": (128 << 20) - 1}, "space", "bad", 1, "Appends will raise NoSpace; free some space, or lower"),
    ({"free_bytes": 128 << 20}, "space", "good", 0, "128.0 MiB are free"),
    ({}, "writing", "good", 0, "files can be made, synced, locked and linked"),
    (probe(refusal="Input/output error"), "writing", "bad", 1, "cannot be written and synced here: Input/output error"),
    (probe(has_locks=False), "writing", "bad", 1, "two writers would not see each other; put the log on a local disk"),
    (probe(has_links=False), "writing", "note", 0, "a repair copies the files that it sets aside"),
    ({}, "fdatasync", "good", 0, "110 µs, and 120 µs for one in a hundred"),
    (probe(sync_seconds=(0.3e-6,) * 9), "fdatasync", "bad", 1, "0.3 µs for one in a hundred: no disk is that fast. S"),
    (probe(sync_seconds=(4.9e-6,)), "fdatasync", "bad", 1, "A power cut loses acknowledged entries"),
    (probe(sync_seconds=(5e-6,)), "fdatasync", "good", 0, "5.0 µs, and 5.0 µs for one in a hundred"),
    (probe(sync_seconds=(0.3e-6, 1.0, 1.5)), "fdatasync", "note", 0, "1.0 s, and 1.5 s for one in a hundred: slow"),
    ({}, "lock", "good", 0, "free, as far as can be seen"),
    (lock((5,), signature="5 here now"), "lock", "held", 3, "held by process 5 (its last writer signed: 5 here now)"),
    (lock((5, 6)), "lock", "held", 3, "held by process 5, 6"),
    (lock(None, signature="5 here now"), "lock", "note", 0, "this system does not tell which process holds it (its la"),
    (lock((5,), (5,), (7,)), "lock", "bad", 1, "held for process 5, which has ended: a process that it started still"),
    (lock((5,), (5,), (7,)), "lock", "bad", 1, "process 7 has it open. End that process; the log cannot be"),
    (lock((5,), (5,)), "lock", "bad", 1, "which one cannot be seen from here"),
    (lock((), (), (7,)), "lock", "bad", 1, "process 7 has it open, and the kernel names no holder that can be seen"),
    (lock(None, (), (7,)), "lock", "bad", 1, "If opening the log raises `Locked`, end that process"),
]  # fmt: skip


@pytest.mark.parametrize(("found", "check", "grade", "status", "phrase"), FOUND)
def test_what_is_found_is_told_and_decides_the_status(
    found: dict[str, Any],
    check: str,
    grade: str,
    status: int,
    phrase: str,
    monkeypatch: pytest.MonkeyPatch,
    command: Walogs,
    tmp_path: Path,
) -> None:
    place = replace(GOOD, **found)
    told = {finding.check: finding for finding in findings(place)}
    assert told[check].grade == grade
    assert phrase in told[check].message
    monkeypatch.setattr(doctor, "observe_place", lambda path, has_lock_file: place)
    ran = command("doctor", tmp_path)
    assert ran.status == status
    (line,) = (line for line in ran.out.decode().splitlines() if line[6:].startswith(f"{check}  "))
    assert line.startswith(grade)
    assert phrase in line
    shown = command("doctor", tmp_path, "--json")
    assert shown.status == status
    assert shown.json()["ok"] is (status == 0)
    assert told[check]._asdict() in shown.json()["findings"]


def test_a_good_place_has_one_good_finding_for_each_check() -> None:
    found = list(findings(GOOD))
    assert [finding.check for finding in found] == list(dict.fromkeys(check for _, check, *_ in FOUND))
    assert {finding.grade for finding in found} == {"good"}


def test_every_grade_of_every_check_that_can_be_bad_has_a_row() -> None:
    graded = {(check, grade) for _, check, grade, *_ in FOUND}
    bad = {check for check, grade in graded if grade == "bad"}
    assert bad == {"file system", "mount options", "copy-on-write", "space", "writing", "fdatasync", "lock"}


@pytest.mark.parametrize(
    ("kind", "option"), [(kind, one) for kind, options in DROPPING.items() for one in sorted(options)]
)
def test_every_option_that_drops_flushes_is_bad_where_it_does(kind: str, option: str) -> None:
    mount = replace(EXT4, kind=kind, options=("rw", option))
    found = diagnosis.mount_options(mount)
    assert found.grade == "bad"
    assert option in found.message


def test_no_kind_of_file_system_is_of_two_sorts() -> None:
    sorts = [JOURNALED, UNJOURNALED, MEMORY, REMOTE, LAYERED]
    assert len(frozenset().union(*sorts)) == sum(map(len, sorts))
    assert COPYING <= JOURNALED


def test_the_worst_finding_decides() -> None:
    def status(*grades: str) -> int:
        found = [diagnosis.Finding("x", grade, "") for grade in grades]  # type: ignore[arg-type]
        return doctor.STATUSES[diagnosis.status_grade(found)]

    assert status("good") == status("good", "note") == 0
    assert status("held", "note") == 3
    assert status("held", "bad") == status("bad", "good") == 1
