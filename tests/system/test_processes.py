"""A fork is noticed without a system call, however it was made: a server such as uWSGI forks in C."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import walogs
from tests.system.children import forked, program, run
from walogs.foundation import processes
from walogs.foundation.processes import PROCESS, AskedProcess, own_pid


@pytest.mark.guarantee("G13", "G18")
def test_a_child_forked_in_c_is_refused_and_can_open_a_log_of_its_own(tmp_path: Path) -> None:
    ran = run(program("forking_in_c", tmp_path / "log", tmp_path / "own"))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["Closed", "Closed", "Closed", "1", "2"]


def test_the_number_of_this_process_is_in_memory_that_no_child_inherits() -> None:
    assert PROCESS[0] == os.getpid()

    def in_child() -> None:
        assert PROCESS[0] == os.getpid(), "the hook of os.fork has renewed it"
        assert own_pid() == os.getpid()

    assert forked(in_child) == 0
    assert PROCESS[0] == os.getpid()


def test_a_system_without_such_memory_is_asked_each_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(processes, "WIPE_ON_FORK", -1)  # no kernel knows this advice
    asked = processes.shared_with_no_child()
    assert isinstance(asked, AskedProcess)
    monkeypatch.setattr(processes, "PROCESS", asked)
    monkeypatch.setattr("walogs.handles.wal.PROCESS", asked)
    with walogs.open(tmp_path / "log") as wal:
        assert wal.append(b"x") == 1

        def in_child() -> None:
            with pytest.raises(walogs.Closed, match="before the fork"):
                wal.append(b"y")

        assert forked(in_child) == 0
        assert wal.append(b"z") == 2
