"""The core stays small enough to be read in an afternoon."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

from tests.house.source import ROOT, sources

LINES_MAX = 2_800
LAYOUT = (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER, tokenize.COMMENT)


def lines(folders: tuple[str, ...], root: Path = ROOT) -> int:
    """Lines of code in the Python files below these folders; explaining it costs nothing."""
    return sum(code_lines(text) for folder in folders for text in sources(folder, root).values())


def code_lines(text: str) -> int:
    """Lines that hold a token which is neither a comment nor a docstring."""
    said = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    held = {
        line
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in LAYOUT
        for line in range(token.start[0], token.end[0] + 1)
    }
    return len(held - said)


def test_engine_and_formats_stay_small() -> None:
    assert lines(("walogs/engine", "walogs/formats")) < LINES_MAX


def test_every_line_of_code_counts_and_no_line_of_prose(tmp_path: Path) -> None:
    (tmp_path / "a" / "deeper").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "x.py").write_text("# comment\n\nx = 1\n")
    (tmp_path / "a" / "deeper" / "y.py").write_text('"""Says."""\ny = (\n    1,\n)\n')
    (tmp_path / "b" / "z.py").write_text("z = 1  # why")
    assert lines(("a", "b"), tmp_path) == 5
