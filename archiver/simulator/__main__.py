"""The simulated providers as a process of their own: prints where they are as one JSON line, and ends on SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import ssl
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime

from archiver.simulator.behaviour import Behaviour
from archiver.simulator.population import ALL_PLAIN, SHARES, Mix, populate
from archiver.simulator.recordings import Source
from archiver.simulator.server import serve
from archiver.simulator.world import World

_AUDIT_LINES = 10_000


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m archiver.simulator", description=__doc__)
    parser.add_argument("--recordings", type=int, default=300, metavar="N", help="how many recordings the providers hold")
    parser.add_argument("--seed", type=int, default=1, help="decides everything but the time")
    parser.add_argument("--days", type=float, default=7.0, help="how far back they reach")
    parser.add_argument(
        "--sizes", type=int, nargs=2, default=(3_000, 120_000), metavar=("LEAST", "MOST"), help="bytes a rendition"
    )
    parser.add_argument(
        "--sources", nargs="+", choices=[str(source) for source in Source], default=[str(source) for source in Source]
    )
    parser.add_argument("--plain", action="store_true", help="everything completed and archivable, no odd cases")
    parser.add_argument(
        "--ports", type=int, nargs=3, default=(0, 0, 0), metavar=("TELNYX", "TWILIO", "MEDIA"), help="0: any free one"
    )
    parser.add_argument("--media-rate", type=int, default=0, metavar="BYTES", help="bytes a second on each media connection")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS", help="before every answer")
    parser.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"), help="PEM files; serves https instead of http")
    return parser.parse_args(words)


async def _run(options: argparse.Namespace) -> None:
    world = World(clock=lambda: datetime.now(UTC), seed=options.seed)
    shares = {source: share for source, share in SHARES.items() if source in options.sources}
    mix = Mix(days=options.days, sizes=tuple(options.sizes), shares=shares)
    populate(world, options.recordings, mix=replace(mix, fates=ALL_PLAIN, live=0.0, hostile=0.0) if options.plain else mix)
    behaviour = Behaviour(media_rate=options.media_rate, latency=options.latency)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    context = _tls(*options.tls) if options.tls else None
    async with serve(
        world, behaviour=behaviour, ports=tuple(options.ports), ssl_context=context, remember=_AUDIT_LINES
    ) as simulation:
        places = {name: getattr(simulation, name) for name in ("telnyx_url", "twilio_url", "media_url")}
        sys.stdout.write(json.dumps({**places, **asdict(simulation.credentials), "recordings": options.recordings}) + "\n")
        sys.stdout.flush()
        await stopped.wait()


def _tls(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def main(words: list[str] | None = None) -> None:
    """Serves until a signal."""
    asyncio.run(_run(_arguments(words)))


if __name__ == "__main__":
    main()
