"""`python -m tidings` is the command `tidings`."""

from __future__ import annotations

import sys

from tidings.cli.main import app

if __name__ == "__main__":
    sys.exit(app())
