"""Who has the lock file of a log open, while processes come and go."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from walogs.inspection import lock


def test_a_process_that_ends_while_it_is_looked_at_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With other processes starting and ending, one `walogs info` in thirty failed."""
    file = tmp_path / "LOCK"
    file.touch()
    program = f"import sys; held = open({str(file)!r}); print(flush=True); sys.stdin.read()"
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    names, ended = os.listdir, []

    def listed(path: str) -> list[str]:
        if path == f"/proc/{child.pid}/fd":
            child.communicate()
            ended.append(child.pid)
        return names(path)

    try:
        assert child.pid in lock.openers(file.stat())
        monkeypatch.setattr(os, "listdir", listed)
        with file.open():
            assert lock.openers(file.stat()) == (os.getpid(),)
        assert ended == [child.pid]
    finally:
        child.kill()
        child.communicate()
