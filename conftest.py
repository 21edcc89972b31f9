"""The set-up of every test run: the needs of tests, the number of processes, and the check that no log stays open
and no thread stays at work.

It stands at the root because the tests of `tests/`, `backends/` and `plugins/` all need it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pkgutil
import signal
from collections.abc import Generator
from importlib import import_module
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.kit import laboratory, requirements, temporary, threads
from tests.kit.temporary import shared_path
from walogs import assembly, defaults, engine, formats, inspection
from walogs.handles import wal as handles

# There is no deadline, because a disk may pause. The blob lets a random failure be found again.
settings.register_profile("dev", deadline=None, print_blob=True, derandomize=False)
settings.register_profile(
    "laboratory",
    settings.get_profile("dev"),
    max_examples=laboratory.amount(300, 2000),
    stateful_step_count=laboratory.amount(50, 100),
    phases=[phase for phase in Phase if phase is not Phase.explain],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)

__all__ = ["shared_path"]

ENGINE: Final = (assembly, defaults, engine, formats, inspection)
"""The packages whose functions tests replace."""

HAS_PASSED: Final = pytest.StashKey[bool]()


def import_engine() -> None:
    """Import every module of ENGINE.

    walogs imports many of them when they are first needed. Such an import in a test that has replaced a function would
    keep what it was replaced with, and later tests would use that.
    """
    for package in ENGINE:
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            import_module(module.name)


def pytest_configure(config: pytest.Config) -> None:
    """Prepare the process for tests, and choose the long search for `-m laboratory`.

    `--hypothesis-profile` overrides this choice.
    """
    # A shell starts background jobs with Ctrl-C ignored, and nohup ignores a hang-up. Children inherit both.
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
    # Plugins that the machine has must not change a test, in this process or in those that it starts.
    os.environ["WALOGS_DISABLED_PLUGINS"] = "*"
    os.environ.pop("WALOGS_STRICT_PLUGINS", None)
    try:
        requirements.demanded()
    except ValueError as mistake:
        raise pytest.UsageError(str(mistake)) from None
    if not config.getoption("--hypothesis-profile"):
        settings.load_profile("laboratory" if config.getoption("-m") == "laboratory" else "dev")
    temporary.prefer_memory(config)
    threads.count_them()
    import_engine()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector away from what collection makes, then and later.

    That is half a million objects, which live until the end. A test that calls the collector would wait for it to look
    at them all.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return how many processes `-n auto` stands for: 0, which is this one alone, where tests are picked by hand.

    Workers take seconds to start, and show neither what a test prints nor a debugger's prompt. Otherwise there is one
    more than processors, because some tests wait for the disk.
    """
    if config.option.capture == "no" or config.option.collectonly:
        return 0
    if any(Path(argument.partition("::")[0]).is_file() for argument in config.args):
        return 0
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return processors + 1


# Open logs, and threads


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Note whether the test has passed. A failed test is not blamed for logs that it left open."""
    item.stash[HAS_PASSED] = False
    yield
    item.stash[HAS_PASSED] = True


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Fail a test that leaves a log open, or a thread at work, when its fixtures are gone.

    The collector would find that log during another test, interrupt it, or have it blamed for the warning. So the log
    is closed here in any case. A thread may log a warning, which would reach another test too.
    """
    yield
    left = {wal: repr(wal) for wal in list(handles.OPEN) if not wal.closed}
    for wal in left:
        with contextlib.suppress(Exception):  # the log may be on a disk that was made to fail
            wal.close()
    at_work = threads.left_after_waiting()
    if left and item.stash.get(HAS_PASSED, False):
        pytest.fail(f"the test left logs open: {', '.join(left.values())}", pytrace=False)
    if at_work and item.stash.get(HAS_PASSED, False):
        pytest.fail(f"the test left threads at work: {', '.join(at_work)}", pytrace=False)


# The end of a run


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say in one line how many tests were skipped and what the machine lacks; `-rs` lists every reason."""
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped and "s" not in config.option.reportchars and "a" not in config.option.reportchars:
        missing = requirements.missing(str(report.longrepr) for report in skipped)
        lacks = f"This machine lacks {', '.join(missing)}. " if missing else ""
        terminalreporter.write_line(f"{len(skipped)} skipped. {lacks}-rs gives every reason.")
