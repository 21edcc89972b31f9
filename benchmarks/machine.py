"""The machine on which the figures were measured."""

from __future__ import annotations

import os
import platform
import sqlite3
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import walogs
from benchmarks.appending_peers import DISTRIBUTIONS
from benchmarks.peers import releases
from walogs.defaults.mounts import file_system
from walogs.formats.crc32 import crc32


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def crc_implementation() -> str:
    module = getattr(crc32, "__module__", None) or "zlib"
    if "zlib_ng" not in module:
        return "zlib (standard library)"
    try:
        return f"zlib-ng {version('zlib-ng')}"
    except PackageNotFoundError:
        return "zlib-ng"


def load() -> str:
    """Describe how many processes wanted to run in the last 1, 5 and 15 minutes. Figures need an idle machine."""
    return "load " + ", ".join(f"{value:.1f}" for value in os.getloadavg())


def describe_machine(place: Path) -> str:
    """Describe the machine, the file system, the interpreter, the CRC library and the releases, in a few lines."""
    volume = os.statvfs(place)
    interpreter = f"{platform.python_implementation()} {platform.python_version()}"
    blocks = f"{file_system(place.stat().st_dev) or 'unknown file system'}, {volume.f_bsize}-byte blocks"
    lines = [
        f"walogs {walogs.__version__}, {interpreter}, CRC-32 by {crc_implementation()}",
        f"{processor()}, {os.cpu_count()} cores, {load()}",
        f"{platform.system()} {platform.release()} {platform.machine()}, {blocks}",
        f"peers: {', '.join([f'SQLite {sqlite3.sqlite_version}', *releases(DISTRIBUTIONS)])}",
    ]
    return "\n".join(lines)
