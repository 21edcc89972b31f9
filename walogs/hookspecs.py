"""The hooks: what a plugin may implement, as functions of a module that an entry point of the group `walogs` names.

    @walogs.hookimpl
    def walogs_codecs():
        return [walogs.CodecSpec("rot13", "walogs_rot13.codec:Rot13Codec", summary="For letters only")]

Each is called when a name is looked up, never on the data path; it should import nothing that is heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pluggy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from walogs.specs import CodecSpec, CommandSpec, Kind, ObserverSpec, StoreSpec, SyncPolicySpec

PROJECT: Final = "walogs"

hookimpl: Final = pluggy.HookimplMarker(PROJECT)
"""Marks a plugin's function as one of these hooks."""
hookspec: Final = pluggy.HookspecMarker(PROJECT)


@hookspec
def walogs_stores() -> Iterable[StoreSpec]:  # type: ignore[empty-body]
    """The segment stores of this plugin."""


@hookspec
def walogs_codecs() -> Iterable[CodecSpec]:  # type: ignore[empty-body]
    """The codecs of this plugin."""


@hookspec
def walogs_sync_policies() -> Iterable[SyncPolicySpec]:  # type: ignore[empty-body]
    """The sync policies of this plugin."""


@hookspec
def walogs_commands() -> Iterable[CommandSpec]:  # type: ignore[empty-body]
    """The commands that this plugin adds to `walogs`."""


@hookspec
def walogs_observers() -> Iterable[ObserverSpec]:  # type: ignore[empty-body]
    """The observers of this plugin."""


HOOKS: Final[dict[str, Kind]] = {
    "walogs_stores": "store",
    "walogs_codecs": "codec",
    "walogs_sync_policies": "sync",
    "walogs_commands": "command",
    "walogs_observers": "observer",
}
"""Hook to the kind of component that it gives."""
