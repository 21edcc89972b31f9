"""What is tested here are the distributions of the workspace, so their plugins are enabled."""

from __future__ import annotations

from tests.kit.workspace import plugins_are_there

__all__ = ["plugins_are_there"]
