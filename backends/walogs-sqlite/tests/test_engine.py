"""The engine's own tests, every one that asks for a place, in this one."""

from __future__ import annotations

import inspect
from types import FunctionType, ModuleType

from tests import test_observers
from tests.engine import test_codec_of_a_segment, test_commit, test_commit_queue, test_follow
from tests.handles import (
    test_append,
    test_close,
    test_iterate,
    test_properties,
    test_reader,
    test_reader_follow,
    test_segments,
)
from tests.inspection import test_inspection

SHARED = (
    test_append,
    test_close,
    test_codec_of_a_segment,
    test_commit,
    test_commit_queue,
    test_follow,
    test_inspection,
    test_iterate,
    test_observers,
    test_properties,
    test_reader,
    test_reader_follow,
    test_segments,
)


def asking_for_a_place(module: ModuleType) -> dict[str, FunctionType]:
    return {
        f"{name}_of_{module.__name__.rpartition('.')[2].removeprefix('test_')}": test
        for name, test in vars(module).items()
        if name.startswith("test_")
        and isinstance(test, FunctionType)
        and "log_factory" in inspect.signature(test).parameters
    }


level_codec = test_codec_of_a_segment.level_codec
"""A fixture that its tests need."""

FOUND = {name: test for module in SHARED for name, test in asking_for_a_place(module).items()}
globals().update(FOUND)


def test_there_are_as_many_as_there_should_be() -> None:
    assert len(FOUND) > 40
