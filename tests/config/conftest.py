"""No variable of the machine is read by these tests."""

from __future__ import annotations

from tests.config.whole_file import no_variables

__all__ = ["no_variables"]
