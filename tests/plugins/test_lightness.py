"""Who uses no plugin pays for none: no pluggy, no metadata; and who uses one loads that one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.house.source import ROOT
from tests.plugins.site import Site, codecs

PLUGIN_MACHINERY: Final = {
    "pluggy",
    "importlib.metadata",
    "walogs.assembly.resolver",
    "walogs.assembly.plugin",
    "walogs.assembly.specs",
}


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that walogs stands on, without metadata: a process that has this on its path, and not site-packages,
    sees no plugin that the machine has."""
    path = tmp_path_factory.mktemp("libraries")
    for place in {Path(entry) for entry in sys.path if entry.endswith("site-packages")}:
        for found in place.iterdir():
            if found.suffix not in (".dist-info", ".egg-info", ".pth") and found.name not in ("walogs", "__pycache__"):
                (path / found.name).symlink_to(found)
    return path


def ran(statements: str, site: Site, libraries: Path, environ: Mapping[str, str] | None = None) -> set[str]:
    """The modules of a fresh process after *statements*."""
    command = [sys.executable, "-S", "-W", "error", "-c", f"{statements}\nimport sys\nprint(*sys.modules)"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WALOGS_")}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, (site.path, ROOT, libraries)))
    told = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=site.path, env={**environment, **(environ or {})}
    )
    assert told.returncode == 0, told.stderr
    return set(told.stdout.split())


@pytest.mark.parametrize("statements", ["import walogs", "import walogs; walogs.open('x.wal').close()"])
def test_a_log_of_built_in_components_loads_no_pluggy_and_reads_no_metadata(
    statements: str, site: Site, libraries: Path
) -> None:
    site.rot1()
    assert ran(statements, site, libraries) & PLUGIN_MACHINERY == set()


def test_what_is_measured_would_be_seen(site: Site, libraries: Path) -> None:
    assert ran("import walogs; walogs.assembly.registry.names('codec')", site, libraries) > PLUGIN_MACHINERY


def test_marking_a_hook_loads_pluggy_and_reads_no_metadata(site: Site, libraries: Path) -> None:
    loaded = ran(
        "import walogs; walogs.plugins.hookimpl, walogs.plugins.CodecSpec, walogs.plugins.StoreSpec", site, libraries
    )
    assert loaded & PLUGIN_MACHINERY <= {"pluggy", "importlib.metadata", "walogs.assembly.specs"}


def test_a_third_partys_codec_is_used_by_its_name_and_nothing_else_is_loaded(site: Site, libraries: Path) -> None:
    site.rot1().add("other", {"other": "other_plugin"}, other_plugin=codecs("other"))
    program = """
import walogs
for lsn in (1, 2, 3):
    with walogs.open("x.wal", codec="rot1", max_segment_size=1) as wal:
        assert wal.append(b"HAL") == lsn
        assert list(wal) == [(number, b"HAL") for number in range(1, lsn + 1)]
"""
    loaded = ran(program, site, libraries)
    assert {"walogs_rot1", "rot1_codec", "pluggy"} <= loaded
    assert "other_plugin" not in loaded
    assert b"IBM" in b"".join(path.read_bytes() for path in (site.path / "x.wal").glob("wal-*"))


def test_the_environment_of_the_process_counts(site: Site, libraries: Path) -> None:
    site.rot1().add("m", {"m": "m_plugin"}, m_plugin="1 / 0")
    refused = """
import walogs
try:
    walogs.open("x.wal", codec=CODEC)
except walogs.ERROR as error:
    assert WORD in str(error), error
else:
    raise SystemExit("opened")
"""

    def program(codec: str, error: str, word: str) -> str:
        return refused.replace("CODEC", repr(codec)).replace("ERROR", error).replace("WORD", repr(word))

    ran(program("crc32", "PluginError", "m 1.0"), site, libraries, {"WALOGS_STRICT_PLUGINS": "1"})
    ran(program("rot1", "ConfigError", "is disabled"), site, libraries, {"WALOGS_DISABLED_PLUGINS": "walogs-rot1"})
    assert not (site.path / "x.wal").exists()
