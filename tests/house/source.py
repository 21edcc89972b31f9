"""The project's own files as the house tests see them."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.kit.requirements import require

ROOT: Final = Path(__file__).resolve().parents[2]


def module_name(path: Path, root: Path = ROOT) -> str:
    """Return `walogs.engine.commit` for `walogs/engine/commit.py`. A package keeps its `__init__`."""
    return ".".join(path.relative_to(root).with_suffix("").parts)


def sources(folder: str, root: Path = ROOT) -> Mapping[Path, str]:
    """Return every Python file below *folder* with its text. A folder without any is an error."""
    found = {path: path.read_text(encoding="utf-8") for path in sorted((root / folder).rglob("*.py"))}
    assert found, f"there is no Python file below {folder}/"
    return found


def project_files(root: Path = ROOT) -> list[Path]:
    """Return the files that are in git, or would be after `git add .`. Skip the test if git does not know the tree."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=root, check=True, capture_output=True).stdout.decode()
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        require("git", False, f"git cannot list the files of {root}: {error}")
        raise
    found = [root / name for name in sorted(set(listed.split("\0"))) if name and (root / name).is_file()]
    assert found, "git lists no file"
    return found


def dotted(node: ast.expr) -> str:
    """Return a dotted name as written, such as `pytest.mark.guarantee`, or "" for any other expression."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name) if before := dotted(value):
            return f"{before}.{name}"
        case _:
            return ""


def collected_names(tree: ast.Module) -> Iterator[str]:
    """Yield what pytest collects in this module: `test_x`, `TestLog`, `TestLog::test_y`.

    A Hypothesis state machine is an assignment: `TestLog = Machine.TestCase`.
    """
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if name.startswith("test_"):
                yield name
            case ast.ClassDef(name=owner, body=body) if owner.startswith("Test"):
                yield owner
                for member in body:
                    if isinstance(member, ast.FunctionDef) and member.name.startswith("test_"):
                        yield f"{owner}::{member.name}"
            case ast.Assign(targets=[ast.Name(id=name)]) if name.startswith("Test"):
                yield name
            case _:
                pass
