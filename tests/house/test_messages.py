"""Messages point to no page of this tree, because a wheel has no docs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

import pytest

from tests.house.source import sources

PAGES: Final = "docs/"
PRODUCTS: Final = ("walogs", "plugins", "backends")


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of every string that is no docstring: messages, help and templates."""
    explaining = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in explaining:
            yield node.lineno, node.value


def pointers(text: str) -> list[int]:
    """Return the lines of strings that send their reader to a page of this tree."""
    return [line for line, said in texts(ast.parse(text)) if PAGES in said]


@pytest.mark.parametrize("product", PRODUCTS)
def test_no_message_points_at_a_page_that_a_wheel_does_not_have(product: str) -> None:
    found = {path: pointers(text) for path, text in sources(product).items() if "tests" not in path.parts}
    assert {str(path): lines for path, lines in found.items() if lines} == {}


def test_a_planted_pointer_is_seen() -> None:
    planted = '"""docs/page.md has it."""\nraise ValueError(f"{1} is wrong (docs/page.md)")\n'
    assert pointers(planted) == [2]
