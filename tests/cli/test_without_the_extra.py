"""Without cyclopts and rich the script says what to install, and does not pretend to have worked."""

from __future__ import annotations

import sys

import pytest

from tests.cli.commands import Walogs
from tests.house.source import ROOT


@pytest.mark.parametrize("missing", ["cyclopts", "rich"])
@pytest.mark.parametrize("tokens", [(), ("demo",), ("--help",)])
def test_it_says_what_to_install(missing: str, tokens: tuple[str, ...], command: Walogs) -> None:
    told = command.apart(*tokens, before=f"import sys; sys.modules[{missing!r}] = None; ")
    assert told.status == 2
    assert told.out == b""
    assert told.line == f"walogs: the command line needs {missing}: pip install '{ROOT}[cli]'"


def test_another_missing_module_is_not_mistaken_for_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from walogs.cli import main

    monkeypatch.setitem(sys.modules, "walogs.cli.app", None)
    with pytest.raises(ModuleNotFoundError, match=r"walogs\.cli\.app"):
        main()


def test_the_library_needs_neither(command: Walogs) -> None:
    blocked = "import sys; sys.modules.update(cyclopts=None, rich=None); import walogs, walogs.cli; sys.exit(7); "
    assert command.apart(before=blocked).status == 7
