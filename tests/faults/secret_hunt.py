"""Canaries in the place of every secret there is, and everywhere that they must not turn up.

hunt = Hunt(arena, canaries)
await hunt.command("status")                 # runs it, keeps what it prints and what /proc shows of it
assert await hunt.found() == []
"""

import asyncio
import contextlib
import re
import urllib.error
import urllib.request
from pathlib import Path

from tests.faults.spilled import PRESIGNED

CREDENTIALED = re.compile(r"Authorization: (?:Bearer|Basic) [^*\s]|postgresql://[^:/@\s]+:(?!\*)[^@\s]+@", re.IGNORECASE)
COMMANDS = (
    ("status",),
    ("status", "--json"),
    ("list", "--json"),
    ("-v", "sync", "--json"),
    ("-v", "backfill", "--since", "2020-01-01", "--until", "2020-01-03", "--json"),
    ("verify", "--json"),
    ("retry", "--all-failed"),
    ("config", "check"),
    ("config", "show"),
    ("catalog", "check"),
    ("doctor",),
    ("ledger", "verify", "--json"),
)


class Hunt:
    """Collects whatever a program says under a name for the place where it said it."""

    def __init__(self, arena, canaries):
        self._arena = arena
        self._canaries = dict(canaries)
        self.texts = {}

    async def command(self, *words):
        """Runs a command beside whatever runs; its exit code."""
        log = self._arena.folder / f"command-{len(self.texts)}.log"
        run = await self._arena.zygote.start(
            "--config",
            self._arena.folder / "archiver.toml",
            "--log-format",
            "json",
            *words,
            log=log,
            environment=self._arena.environment,
        )
        self.process(run.pid, " ".join(words))
        code = await run.ended()
        self.texts[f"output of {' '.join(words)}"] = log.read_text(errors="replace")
        return code

    def process(self, pid, name):
        """What others see of a process."""
        with contextlib.suppress(OSError):
            self.texts[f"arguments of {name}"] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()

    async def page(self, url, **headers):
        """A page of the web server, whatever its status; the status."""
        status, text = await asyncio.to_thread(_fetched, url, headers)
        self.texts[f"page {url.partition('/')[2]} {sorted(headers)} {status}"] = text
        return status

    def found(self):
        """Where a canary, a presigned query or a credential in the clear turned up."""
        texts = {**self.texts, "the log": self._arena.log.read_text(errors="replace") if self._arena.log.exists() else ""}
        told = [
            f"{what} in {place}" for place, text in texts.items() for what, canary in self._canaries.items() if canary in text
        ]
        for place, text in texts.items():
            told += [f"a presigned query in {place}: {PRESIGNED.search(text)[0][:30]}"] if PRESIGNED.search(text) else []
            told += [f"credentials in {place}: {CREDENTIALED.search(text)[0][:30]}"] if CREDENTIALED.search(text) else []
        return told


def _fetched(url, headers):
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, f"{error.headers}\n{error.read().decode(errors='replace')}"
