"""Check what `walogs doctor` finds on real file systems, with unsuitable and with suitable mount options."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.cli.commands import ENVIRONMENT, PROGRAM
from tests.system.filesystems import Mounted, fill, make, mounted, require_file_system

pytestmark = pytest.mark.laboratory

MIB: Final = 1 << 20


def doctor(directory: Path) -> tuple[int, dict[str, tuple[str, str]]]:
    """Return its exit status, and the grade and the message of each check."""
    command = [sys.executable, "-c", PROGRAM, "doctor", str(directory), "--json"]
    ran = subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=False, timeout=300)
    told: dict[str, Any] = json.loads(ran.stdout)
    assert not list(directory.glob(".walogs-doctor-*"))
    return ran.returncode, {found["check"]: (found["grade"], found["message"]) for found in told["findings"]}


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
def test_a_disk_as_it_should_be(kind: str, tmp_path: Path) -> None:
    require_file_system(kind)
    with mounted(tmp_path, kind, 400 * MIB) as there:
        status, found = doctor(there.path)
    assert {check: told for check, told in found.items() if told[0] == "bad"} == {}
    assert status == 0
    assert found["file system"] == ("good", f"{kind} at {there.path}")
    in_place = (
        "btrfs copies on write, but segments are excepted (NOCOW)" if kind == "btrfs" else f"{kind} overwrites in place"
    )
    assert found["copy-on-write"] == ("good", in_place)


@pytest.mark.parametrize(("kind", "option"), [("ext4", "nobarrier"), ("ext4", "barrier=0"), ("btrfs", "nobarrier")])
def test_an_option_that_drops_flushes(kind: str, option: str, tmp_path: Path) -> None:
    require_file_system(kind)
    image, path = tmp_path / "image", tmp_path / "there"
    path.mkdir()
    make(image, kind, 400 * MIB)
    there = Mounted(image, path, f"loop,{option}")
    try:
        status, found = doctor(path)
    finally:
        there.unmount()
    assert status == 1
    assert found["mount options"][0] == "bad"
    assert "a sync returns before the disk has the bytes" in found["mount options"][1]


def test_a_full_disk_and_one_that_is_read_only(tmp_path: Path) -> None:
    require_file_system("ext4")
    with mounted(tmp_path, "ext4") as there:
        fill(there.path)
        status, found = doctor(there.path)
        assert (status, found["space"][0], found["writing"][0]) == (1, "bad", "bad")
        assert "No space left on device" in found["writing"][1]
        there.unmount()
        image = next(tmp_path.glob("*.img"))
        read_only = Mounted(image, there.path, "loop,ro")
        try:
            status, found = doctor(there.path)
        finally:
            read_only.unmount()
    assert (status, found["mount options"][0], found["writing"][0]) == (1, "bad", "bad")
    assert "remount it with rw" in found["mount options"][1]
    assert "Read-only file system" in found["writing"][1]
