"""Set-up of every test run: what the machine must offer, and how long Hypothesis searches."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests import requirements

# A disk's pause is not a failure (no deadline), and a failure that chance has found can be found again (the blob).
settings.register_profile("dev", deadline=None, print_blob=True, derandomize=False)
settings.register_profile(
    "laboratory",
    settings.get_profile("dev"),
    max_examples=2000,
    stateful_step_count=100,
    phases=[phase for phase in Phase if phase is not Phase.explain],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


def pytest_configure(config: pytest.Config) -> None:
    """`-m laboratory` searches long by itself; `--hypothesis-profile` overrides."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what runs in its background
        signal.signal(signal.SIGINT, signal.default_int_handler)  # inherited ignored, no child would see a Ctrl-C
    # What is installed on the machine is no business of the tests: not in this process, nor in those that it starts.
    os.environ["WALOGS_DISABLED_PLUGINS"] = "*"
    os.environ.pop("WALOGS_STRICT_PLUGINS", None)
    try:
        requirements.demanded()
    except ValueError as mistake:
        raise pytest.UsageError(str(mistake)) from None
    if not config.getoption("--hypothesis-profile"):
        settings.load_profile("laboratory" if config.getoption("-m") == "laboratory" else "dev")
