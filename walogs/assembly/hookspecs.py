"""The hooks that a plugin may implement: functions of the module that its entry point in the group `walogs` names.

    @walogs.plugins.hookimpl
    def walogs_codecs():
        return [walogs.plugins.CodecSpec("rot13", "walogs_rot13.codec:Rot13Codec", summary="For letters only")]

A hook is called when a name is looked up, never while data is written or read. It should not import heavy modules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from walogs.assembly.specs import CodecSpec, CommandSpec, Kind, ObserverSpec, StoreSpec, SyncPolicySpec

PROJECT: Final = "walogs"

hookimpl: Final = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a plugin as one of these hooks."""
hookspec: Final = pluggy.HookspecMarker(PROJECT)


@hookspec
def walogs_stores() -> Iterable[StoreSpec]:  # type: ignore[empty-body]
    """Return the segment stores of this plugin."""


@hookspec
def walogs_codecs() -> Iterable[CodecSpec]:  # type: ignore[empty-body]
    """Return the codecs of this plugin."""


@hookspec
def walogs_sync_policies() -> Iterable[SyncPolicySpec]:  # type: ignore[empty-body]
    """Return the sync policies of this plugin."""


@hookspec
def walogs_commands() -> Iterable[CommandSpec]:  # type: ignore[empty-body]
    """Return the commands that this plugin adds to `walogs`."""


@hookspec
def walogs_observers() -> Iterable[ObserverSpec]:  # type: ignore[empty-body]
    """Return the observers of this plugin."""


HOOKS: Final[dict[str, Kind]] = {
    "walogs_stores": "store",
    "walogs_codecs": "codec",
    "walogs_sync_policies": "sync",
    "walogs_commands": "command",
    "walogs_observers": "observer",
}
"""The kind of component that each hook returns."""
