"""Wheels that are built from this tree and installed where the tree cannot be seen, as a user installs them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

from tests.house.source import ROOT

UV: Final = os.environ.get("UV") or shutil.which("uv") or "uv"


class CleanEnvironment:
    """An environment with walogs, its *extras*, some plugins and their dependencies, and nothing else."""

    def __init__(self, directory: Path, *folders: str, extras: str = "") -> None:
        self.directory = directory
        walogs, *others = (self._built(ROOT, "walogs"), *(self._built(ROOT / at, Path(at).name) for at in folders))
        self._wheels = [f"{walogs}[{extras}]" if extras else str(walogs), *map(str, others)]
        self._python = directory / "venv" / "bin" / "python"
        call(directory, UV, "venv", "--quiet", "--python", sys.executable, str(directory / "venv"))
        self.install()

    def install(self, *more: str) -> None:
        """Install the wheels, and *more* requirements."""
        call(self.directory, UV, "pip", "install", "--quiet", "--python", str(self._python), *self._wheels, *more)

    def run(self, program: str, **environment: str) -> str:
        """Run a program and return what it prints. Raise `AssertionError` with its output if it fails."""
        return call(self.directory, str(self._python), "-c", program, **environment)

    def walogs(self, *arguments: str, **environment: str) -> str:
        """Run `walogs` and return what it prints."""
        return call(self.directory, str(self._python.with_name("walogs")), *arguments, **environment)

    def conformance(self, name: str, *arguments: str, **environment: str) -> None:
        """Run the whole kit on the component that the wheel gives under this name."""
        told = self.walogs("conformance", name, *arguments, **environment)
        assert re.search(r"\b[1-9]\d* passed, 0 failed\b", told), told

    def _built(self, folder: Path, name: str) -> Path:
        """Build the wheel from its sdist, so that a file that the sdist lacks is missing here too."""
        dist = self.directory / "dist" / name
        call(folder, UV, "build", "--quiet", "--out-dir", str(dist), str(folder))
        (wheel,) = dist.glob("*.whl")
        package = name.replace("-", "_")
        held = zipfile.ZipFile(wheel).namelist()
        assert f"{package}/py.typed" in held, f"{wheel.name} does not say that it is typed"
        tops = {entry.partition("/")[0] for entry in held}
        assert len(tops) == 2, f"{wheel.name} installs more than {package}: {sorted(tops)}"
        return wheel


def call(directory: Path, *command: str, **more: str) -> str:
    unwanted = ("PYTHONPATH", "VIRTUAL_ENV", "WALOGS_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    ran = subprocess.run(
        command, cwd=directory, env={**environment, **more}, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, f"{command} gave {ran.returncode}\n{ran.stdout}{ran.stderr}"
    return ran.stdout
