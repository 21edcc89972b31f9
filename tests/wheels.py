"""Distributions as a stranger gets them: built, and installed into an environment that does not see the source tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.house.source import ROOT

UNSEEN = ("PYTHONPATH", "UV_PROJECT_ENVIRONMENT", "VIRTUAL_ENV")


class CleanEnvironment:
    """A new virtual environment in *directory* with the wheels of walogs and of these *distributions* (folders)."""

    def __init__(self, directory: Path, *distributions: str) -> None:
        self.directory = directory
        self.python = directory / "venv" / "bin" / "python"
        wheels = [self._built(ROOT / folder) for folder in ("", *distributions)]
        self._uv("venv", "--quiet", "--python", sys.executable, str(directory / "venv"))
        self._uv("pip", "install", "--quiet", "--python", str(self.python), *map(str, wheels))

    def run(self, program: str) -> str:
        """What the program prints. Its imports are from site-packages, or it fails."""
        guard = "import sys, walogs\nassert 'site-packages' in walogs.__file__, walogs.__file__\n"
        return self._said([str(self.python), "-W", "error", "-c", guard + program])

    def walogs(self, *arguments: str) -> str:
        """What the command prints."""
        return self._said([str(self.python.with_name("walogs")), *arguments])

    def _built(self, folder: Path) -> Path:
        out = self.directory / f"dist-{folder.name}"
        self._uv("build", "--quiet", "--wheel", "--out-dir", str(out), str(folder))
        (wheel,) = out.glob("*.whl")
        return wheel

    def _uv(self, *arguments: str) -> None:
        uv = shutil.which("uv")
        assert uv is not None, "uv is not on the PATH"
        self._said([uv, *arguments])

    def _said(self, command: list[str]) -> str:
        environment = {name: value for name, value in os.environ.items() if name not in UNSEEN}
        ran = subprocess.run(
            command, cwd=self.directory, env=environment, capture_output=True, text=True, timeout=240, check=False
        )
        assert ran.returncode == 0, f"{command[:3]} gave {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout
