"""A signal handler that submits in the middle of its thread's first `submit`, which imports what it needs (G18)."""

from __future__ import annotations

import random

import pytest

from tests.kit.laboratory import amount
from tests.system.children import program, quick_directory, run, said, seed_of

STEP = 61
"""The default run tries only one point in this many, starting from a random one."""


def submit_in_the_middle(step: int, seconds: float) -> None:
    first = random.Random(seed_of("first submit")).randint(1, step)
    with quick_directory() as directory:
        ran = run(program("first_submit", directory, first, step), seconds=seconds)
    assert ran.returncode == 0, said(ran)
    print(ran.stdout)


@pytest.mark.guarantee("G18")
def test_a_handler_that_submits_in_the_middle_of_the_first_submit_is_told_what_it_expects() -> None:
    submit_in_the_middle(STEP, 110)


@pytest.mark.laboratory
@pytest.mark.guarantee("G18")
def test_a_handler_that_submits_at_any_point_of_the_first_submit_is_told_what_it_expects() -> None:
    submit_in_the_middle(amount(7, 1), 1200)
