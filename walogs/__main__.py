"""`python -m walogs`: the same as the script `walogs`."""

from __future__ import annotations

import sys

from walogs.cli import main

sys.exit(main())
