"""A command that walogs tells the user means the same words to a shell."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from walogs.foundation.shell import command_of

WORDS = (
    "plain.wal",
    "it's mine",
    "",
    "two\nlines",
    "tab\tand'quote\\",
    "ümlaut",
    "\udcff\udc80not text",
    "\x01\x7f7",
    "-n",
)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_a_shell_sees_the_same_words() -> None:
    command = command_of(("printf", "%s\\0", *WORDS))
    assert command.isprintable()
    said = subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE, check=True, timeout=600).stdout
    assert said.split(b"\0")[:-1] == [os.fsencode(word) for word in WORDS]
