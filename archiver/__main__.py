"""`python -m archiver` and the `archiver` command."""

from __future__ import annotations

import sys

from archiver.cli.root import main as run
from archiver.telemetry import log_uncaught


def main() -> None:
    """Ends the process with the command's exit code."""
    log_uncaught()
    sys.exit(run())


if __name__ == "__main__":
    main()
