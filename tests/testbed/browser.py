"""A real browser, that talks to loopback and to nobody else."""

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from tests.testbed.missing import Missing

if TYPE_CHECKING:
    from playwright.async_api import Browser

# Where Debian puts it. `playwright install` would fetch another one from an address of its own: not on our machines.
EXECUTABLE = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox",  # chromium's own sandbox refuses root; the pages are ours
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-first-run",
    "--no-pings",
    "--no-proxy-server",
    # What the flags above forget finds no address: every name but loopback's is unknown.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
)


@contextlib.asynccontextmanager
async def browser() -> AsyncIterator["Browser"]:
    """Start headless chromium for the length of the block (0.5 s). Raises Missing."""
    if not os.access(EXECUTABLE, os.X_OK):
        raise Missing("browser", f"{EXECUTABLE} does not exist; hint: `apt-get install chromium`")
    from playwright.async_api import async_playwright  # what it costs, only tests of pages pay

    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=EXECUTABLE, headless=True, args=list(ARGUMENTS))
        try:
            yield running
        finally:
            await running.close()
