"""The command that installs another distribution of this project from the place where walogs was installed from.

If walogs came from a clone, the other distributions are in that clone. An index need not have them, and packages of the
same names in an index need not be ours.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from walogs.foundation.lazy import lazy_import
from walogs.foundation.shell import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME: Final = "walogs"
FOLDERS: Final = ("plugins", "backends")
"""The folders of the tree that hold the other distributions, each in a folder of its own name."""


def pip_install(distribution: str, extra: str = "") -> str:
    """Return the command that installs this distribution of the project, with its *extra* if one is named."""
    return f"pip install {quote(requirement(distribution, extra, origin()))}"


def origin() -> Mapping[str, Any]:
    """Return the installer's record of where walogs came from (PEP 610). It is empty if walogs came from an index.

    A walogs that runs from a clone and was never installed comes from that clone.
    """
    with lazy_import:
        from importlib.metadata import PackageNotFoundError, distribution
        from json import loads

    try:
        written = distribution(NAME).read_text("direct_url.json")
        found: Any = loads(written) if written else {}
    except (PackageNotFoundError, OSError, ValueError):
        found = {}
    tree = Path(__file__).parents[2]
    if not found and (tree / FOLDERS[0]).is_dir() and (tree / "pyproject.toml").is_file():
        found = {"url": tree.as_uri(), "dir_info": {}}
    return found if isinstance(found, dict) and isinstance(found.get("url"), str) else {}


def requirement(distribution: str, extra: str, came_from: Mapping[str, Any]) -> str:
    """Return the requirement that pip accepts for this distribution. *came_from* is the result of `origin`."""
    wanted = f"[{extra}]" if extra else ""
    url = came_from.get("url", "")
    if "dir_info" in came_from:
        tree = unquote(urlsplit(url).path)
        places = [tree] if distribution == NAME else [os.path.join(tree, folder, distribution) for folder in FOLDERS]
        place = next(filter(os.path.isdir, places), None)
        return f"{place or distribution}{wanted}"
    if "vcs_info" in came_from:
        version = came_from["vcs_info"]
        place = "" if distribution == NAME else f"#subdirectory={folder_of(distribution)}/{distribution}"
        return f"{distribution}{wanted} @ {version['vcs']}+{url}@{version['commit_id']}{place}"
    if url and distribution == NAME:  # a wheel, or another archive
        return f"{distribution}{wanted} @ {url}"
    return f"{distribution}{wanted}"


def folder_of(distribution: str) -> str:
    return "backends" if distribution in ("walogs-jetstream", "walogs-object-store", "walogs-sqlite") else "plugins"
