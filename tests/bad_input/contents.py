"""The entries of the logs that these tests damage, and a way to open a damaged one."""

from __future__ import annotations

from typing import Final

import walogs
from tests.kit.logs import LogOnDisk

DATA: Final = (b"one", b"two" * 100, b"", b"four")


def opened_or_refused(log: LogOnDisk) -> walogs.Wal | None:
    """Open the log, or return None if the open was refused with the segment's name and changed nothing."""
    before = log.looks()
    try:
        return log.open()
    except walogs.WalError as error:
        refused = error
    assert "wal-000001.log" in str(refused)
    assert log.looks() == before
    return None
