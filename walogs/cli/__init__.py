"""The command line, in the extra `walogs[cli]`: `walogs demo`, `append`, and what looks into a log."""

from __future__ import annotations

import sys
from typing import Final

from walogs.foundation.pip_command import pip_install

NEEDS: Final = frozenset({"cyclopts", "rich"})


def main() -> int:
    """What the script `walogs` runs; returns its exit status (`walogs.cli.status`)."""
    try:
        from walogs.cli.app import run
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in NEEDS:
            raise
        print(f"walogs: the command line needs {missing}: {pip_install('walogs', 'cli')}", file=sys.stderr)
        return 2
    return run(sys.argv[1:])
