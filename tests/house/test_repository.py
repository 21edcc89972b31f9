"""No file in git holds a path of one machine or a registry's address, and none is a binary."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.house.source import ROOT, project_files
from tests.kit.requirements import VARIABLE

FORBIDDEN: Final = {
    r"/work/|/root/|/home/\w": "a path of one machine",
    r"\.\./shared": "a path outside the repository",
    r"(?i)(?<![a-z])sessions?(?![a-z])": "how the work was done: say what is true now",
    r"(?i)\b(pypi\.org|pythonhosted\.org|crates\.io|npmjs\.(org|com)|proxy\.golang\.org|maven\.org|deb\.debian\.org)": (
        "a registry's address: name the package"
    ),
}
ALLOWED: Final = (
    'scope="session"',  # pytest's word for a fixture that lives as long as the run
    "pytest.Session",
)
ITSELF: Final = Path("tests/house/test_repository.py")
LOCK_FILES: Final = frozenset({"Cargo.lock", "package-lock.json", "pdm.lock", "poetry.lock", "pylock.toml", "uv.lock"})


def text_of(path: Path) -> str:
    """Return the file's text, or "" if it holds no text."""
    content = path.read_bytes()
    try:
        return "" if b"\0" in content else content.decode()
    except UnicodeDecodeError:
        return ""


def findings(text: str) -> Iterator[tuple[int, str]]:
    """Yield the number of each wrong line, and what is wrong there."""
    for number, line in enumerate(text.splitlines(), start=1):
        for phrase in ALLOWED:
            line = line.replace(phrase, "")  # noqa: PLW2901
        for pattern, why in FORBIDDEN.items():
            if found := re.search(pattern, line):
                yield number, f"{found[0]!r}: {why}"


def complaints(root: Path, exempt: frozenset[Path] = frozenset()) -> list[str]:
    wrong = []
    for path in project_files(root):
        name = path.relative_to(root)
        if path.name in LOCK_FILES:
            wrong.append(f"{name} is a lock file: pin in pyproject.toml what must not float")
        elif name not in exempt:
            wrong += [f"{name}:{line} {why}" for line, why in findings(f"{name}\n{text_of(path)}")]
    return wrong


BINARIES: Final = Path("tests/golden")
"""The only place for bytes that cannot be reviewed: logs that every later release must read."""


def binaries(root: Path) -> list[str]:
    """Return the files outside the golden logs that hold no text."""
    names = [path.relative_to(root) for path in project_files(root) if path.stat().st_size and not text_of(path)]
    return [f"{name} is a binary" for name in names if not name.is_relative_to(BINARIES)]


def test_no_binary_lies_outside_the_golden_logs() -> None:
    assert binaries(ROOT) == []


def test_a_planted_binary_is_seen_and_a_golden_log_is_not(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    golden = tmp_path / BINARIES
    golden.mkdir(parents=True)
    (golden / "wal-000001.log").write_bytes(b"\0frames")
    (tmp_path / "profiler.whl").write_bytes(b"PK\3\4\0")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    (tmp_path / "empty.txt").touch()
    (tmp_path / "text.txt").write_text("text")
    assert binaries(tmp_path) == ["latin.txt is a binary", "profiler.whl is a binary"]


def test_where_git_knows_nothing_of_the_tree_the_check_is_skipped_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(pytest.skip.Exception, match="needs git: git cannot list"):
        binaries(tmp_path)


def test_no_file_knows_where_it_was_written() -> None:
    assert complaints(ROOT, frozenset({ITSELF})) == []


@pytest.mark.parametrize(
    "text",
    [
        "see /work/main",
        "design in ../shared/design",
        "PYTHON=/root/bin/python",
        "this session decided",
        "in an earlier Session.",
        "session_notes = 1",
        "sessions",
        "https://pypi.org/simple",
        "files.pythonhosted.org",
        "static.crates.io",
        "the crate on Crates.io",
    ],
)
def test_a_planted_trace_is_seen(text: str) -> None:
    assert list(findings(text))


@pytest.mark.parametrize(
    "text", ['@pytest.fixture(scope="session")', "obsessions", "a piece of /workshop/", "pip install walogs", "PyPI"]
)
def test_innocent_text_is_left_alone(text: str) -> None:
    assert not list(findings(text))


def test_tracked_new_and_ignored_files_are_told_apart(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("ignored.txt\nuv.lock\n")
    for name in ("ignored.txt", "new.txt", "tracked.txt", "binary.bin", "uv.lock", "Cargo.lock"):
        (tmp_path / name).write_text("../shared" if name != "binary.bin" else "\0../shared")
    subprocess.run(["git", "add", "tracked.txt", "Cargo.lock"], cwd=tmp_path, check=True)
    assert sorted(line.split()[0] for line in complaints(tmp_path)) == ["Cargo.lock", "new.txt:2", "tracked.txt:2"]
