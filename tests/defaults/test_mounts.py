"""What file system a device holds, as Linux tells it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest

from walogs.defaults import mounts
from walogs.defaults.mounts import MAPPABLE, ask_for_nocow, file_system

MOUNTINFO: Final = (
    rb"""21 27 0:20 / /proc rw,nosuid - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw,errors=remount-ro
30 27 0:26 / /dev/shm rw shared:3 master:7 propagate_from:2 - tmpfs tmpfs rw,size=1k
31 27 8:17 / /mnt/with\040blank\011and\134slash rw - xfs /dev/sd\040b1 rw
32 27 8:18 / /mnt/a\040-\040ext4\040b rw,noatime shared:9 - btrfs /dev/sdc rw,subvol=/a\040-\040ext4
33 27 0:44 / /mnt/fuse rw,user_id=0 - fuse.sshfs host:/dir rw
34 27 8:180 / /mnt/longer rw - ext3 /dev/sdd rw
35 27 1:8 / /mnt/shorter rw - ext2 /dev/sde rw
36 27 8:19 / /mnt/caf"""
    + "\u00e9".encode("latin-1")
    + rb""" rw - ext4 /dev/sdf rw
"""
)


def device(major: int, minor: int) -> int:
    return os.makedev(major, minor)


@pytest.fixture
def mountinfo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file that is read instead of the kernel's."""
    file = tmp_path / "mountinfo"
    file.write_bytes(MOUNTINFO)
    monkeypatch.setattr(mounts, "Path", lambda path: file if path == "/proc/self/mountinfo" else Path(path))
    return file


@pytest.mark.parametrize(
    ("major", "minor", "kind"),
    [
        (0, 20, "proc"),
        (254, 0, "ext4"),
        (0, 26, "tmpfs"),
        (8, 17, "xfs"),
        (8, 18, "btrfs"),
        (0, 44, "fuse.sshfs"),
        (8, 180, "ext3"),
        (1, 8, "ext2"),
        (8, 19, "ext4"),
    ],
)
@pytest.mark.usefixtures("mountinfo")
def test_the_type_is_found_by_the_device_whatever_the_mount_point_is_called(major: int, minor: int, kind: str) -> None:
    assert file_system(device(major, minor)) == kind


@pytest.mark.parametrize(("major", "minor"), [(8, 1), (25, 4), (0, 0), (0, 99)])
@pytest.mark.usefixtures("mountinfo")
def test_a_device_that_is_not_mounted_here_is_unknown(major: int, minor: int) -> None:
    assert file_system(device(major, minor)) is None  # a btrfs subvolume: its devices are never listed


@pytest.mark.parametrize("text", [b"", b"\n", b"garbage\n", b"27 1 254:0\n", b"27 1 8:99 / / rw - xfs x rw\n"])
def test_a_list_of_mounts_without_the_device_tells_nothing(mountinfo: Path, text: bytes) -> None:
    mountinfo.write_bytes(text)
    assert file_system(device(254, 0)) not in MAPPABLE


@pytest.mark.parametrize("mark", ["\r", "\x0c", "\x1e", "\u0085", "\u2028"])
def test_a_mount_point_may_hold_what_python_takes_for_the_end_of_a_line(mountinfo: Path, mark: str) -> None:
    mountinfo.write_text(f"27 1 254:0 / /mnt/a{mark}b rw shared:1 - ext4 /dev/root rw\n", encoding="utf-8")
    assert file_system(device(254, 0)) == "ext4"


def test_without_a_list_of_mounts_nothing_is_known(mountinfo: Path) -> None:
    mountinfo.unlink()
    assert file_system(device(254, 0)) is None


def test_the_kernels_own_list_is_understood() -> None:
    if not os.path.exists("/proc/self/mountinfo"):
        pytest.skip("only Linux has it")
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").split("\n")
    kinds = {line.split(" ")[2]: line.partition(" - ")[2].split(" ")[0] for line in lines if line}
    assert kinds
    for numbers, kind in kinds.items():
        major, minor = map(int, numbers.split(":"))
        assert file_system(device(major, minor)) == kind


def test_asking_for_overwriting_in_place_is_only_a_wish(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    with open(file, "rb") as opened:
        ask_for_nocow(opened.fileno())
    reading, writing = os.pipe()
    ask_for_nocow(reading)
    os.close(reading)
    os.close(writing)
    ask_for_nocow(reading)  # closed
    assert file.read_bytes() == b"x"
