"""`python -m archiver` and the `archiver` command."""

from __future__ import annotations

import gc
import signal
import sys


def main() -> None:
    """Ends the process with the command's exit code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until everything is imported: a traceback out of an import helps nobody
    gc.disable()  # nothing that is imported is ever garbage: looking for some takes a fifth of a start (see get_command)
    # structlog looks for rich when imported, for tracebacks that show every local variable: slow to load, never to be shown.
    sys.modules["rich"] = None  # type: ignore[assignment] # an ImportError, to whoever asks
    import structlog  # noqa: F401, PLC0415

    del sys.modules["rich"]
    from archiver.cli.root import main as run  # noqa: PLC0415
    from archiver.telemetry import log_uncaught  # noqa: PLC0415

    signal.signal(signal.SIGINT, signal.default_int_handler)
    log_uncaught()
    sys.exit(run())


if __name__ == "__main__":
    main()
