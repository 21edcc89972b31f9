"""How Sphinx makes a site of README.md and docs/: `.ci/make-docs` builds it, with every warning as an error.

The source directory is the repository, so that a page's links mean the same here and where the repository is browsed.
"""

from __future__ import annotations

from typing import Final

from walogs import __version__

project: Final = "walogs"
author: Final = "walogs contributors"
release: Final = __version__
root_doc: Final = "docs/README"
include_patterns: Final = [
    "CHANGELOG.md",
    "README.md",
    "benchmarks/README.md",
    "docs/**",
    "examples/README.md",
    "examples/*/README.md",
    "backends/*/README.md",
    "findings/README.md",
    "plugins/README.md",
    "plugins/*/README.md",
]

extensions: Final = ["myst_parser", "sphinx.ext.autodoc"]
myst_heading_anchors: Final = 4
# Dataclasses have fields called `bytes`, and Sphinx then cannot tell which of them the annotation `bytes` means.
suppress_warnings: Final = ["ref.python"]

default_role: Final = "code"  # docstrings say `name`, as the pages do
autodoc_member_order: Final = "bysource"
autodoc_typehints: Final = "signature"
autodoc_default_options: Final = {"members": True, "show-inheritance": True}

html_theme: Final = "furo"
html_title: Final = f"walogs {__version__}"
html_copy_source: Final = False
