"""The project's own files as the house tests see them."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]


def module_name(path: Path, root: Path = ROOT) -> str:
    """`walogs/engine/commit.py` is `walogs.engine.commit`; a package keeps its `__init__`, to be told from a module."""
    return ".".join(path.relative_to(root).with_suffix("").parts)


def sources(folder: str, root: Path = ROOT) -> Mapping[Path, str]:
    """Every Python file below *folder* and its text. None at all is an error: such a check would check nothing."""
    found = {path: path.read_text(encoding="utf-8") for path in sorted((root / folder).rglob("*.py"))}
    assert found, f"there is no Python file below {folder}/"
    return found


def project_files(root: Path = ROOT) -> list[Path]:
    """What is in git, or would be after `git add .`, and exists."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, check=True, capture_output=True).stdout.decode()
    found = [root / name for name in sorted(set(listed.split("\0"))) if name and (root / name).is_file()]
    assert found, "git lists no file"
    return found


def dotted(node: ast.expr) -> str:
    """`pytest.mark.guarantee` as written, or "" for what is no plain dotted name."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name) if before := dotted(value):
            return f"{before}.{name}"
        case _:
            return ""


def collected_names(tree: ast.Module) -> Iterator[str]:
    """What pytest collects in this module, as it stands behind the file's name: `test_x`, `TestLog`, `TestLog::test_y`.

    A Hypothesis state machine is an assignment, `TestLog = Machine.TestCase`.
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
