"""The scripts of `findings/` have the form that its README describes. They are not run here."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

import pytest

from tests.house.source import ROOT

FINDINGS: Final = ROOT / "findings"
SCRIPTS: Final = sorted(FINDINGS.glob("*.sh"))
WHAT_IT_SAYS: Final = ("Expected:", "Seen:", "It matters")
INSTALLED: Final = re.compile(r"pip\" install [^\n]*")
PINNED: Final = re.compile(r"[a-z][a-z0-9_.-]*==\d[\w.]*")


def complaints(script: Path) -> list[str]:
    text = script.read_text(encoding="utf-8")
    before, _, body = text.partition("\nset -euo pipefail\n")
    wrong = [] if os.access(script, os.X_OK) else ["it is not executable"]
    if not before.startswith("#!/usr/bin/env bash\n# ") or not body:
        wrong.append("it does not begin with what it finds, and `set -euo pipefail`")
    wrong += [f"its first comment has no {word!r}" for word in WHAT_IT_SAYS if word not in before]
    if "work=$(mktemp -d)\ntrap 'rm -rf \"$work\"' EXIT\n" not in body:
        wrong.append("its directory is not made by mktemp and removed at the end")
    installs = INSTALLED.findall(body)
    packages = [word for line in installs for word in line.split()[2:] if not word.startswith("--")]
    if not packages or any(not PINNED.fullmatch(word) for word in packages):
        wrong.append("it installs nothing, or a package without its version")
    if packages and packages[0].replace("==", " ") not in before:
        wrong.append("its comment does not name the version of the package that it is about")
    if "diff - " not in body or "walogs" in text:
        wrong.append("it compares nothing, or speaks of walogs")
    return wrong


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_finding_has_its_form(script: Path) -> None:
    assert complaints(script) == []


def test_the_readme_lists_what_there_is() -> None:
    listed = re.findall(r"^\| `([a-z0-9-]+)` \|", (FINDINGS / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == [script.stem for script in SCRIPTS]
    assert listed


def test_a_script_without_the_form_is_seen(tmp_path: Path) -> None:
    script = tmp_path / "planted.sh"
    script.write_text('#!/bin/sh\nset -e\n"$work/venv/bin/pip" install cyclopts\n')
    assert len(complaints(script)) == 8
