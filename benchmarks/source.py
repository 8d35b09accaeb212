"""The source of a benchmark, a process of its own: Telnyx' room recordings by the simulator, and a lean server for their bytes.

Prints one JSON line with where everything is, then serves until its standard input ends.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import itertools
import json
import mmap
import random
import re
import ssl
import sys
import tempfile
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archiver.simulator.behaviour import Behaviour
from archiver.simulator.media_file import Kind, MediaFile
from archiver.simulator.recordings import Recording, Room, Session, Source
from archiver.simulator.server import serve
from archiver.simulator.world import World
from benchmarks.http_threads import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.http_threads import Request

SEED = 20_26
ROOM_OF = 20  # recordings in one room
SPREAD = timedelta(hours=40)  # inside the product's first window of 48 hours
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_PIECE = 256 * 1024
_IN_MEMORY = 8 * 1024 * 1024


def sizes(count: int, least: int, most: int) -> list[int]:
    """Sizes whose logarithms are spread evenly, the same for the same arguments; 20 KB to 1 MB have a mean of 250 KB."""
    steps = max(1, count - 1)
    found = [round(least * (most / least) ** (number / steps)) for number in range(count)]
    random.Random(SEED).shuffle(found)
    return found


def populate(world: World, wanted: list[int], *, alike: bool) -> list[Recording]:
    """One completed room recording for each size; `alike` gives all of them one file's bytes, which then need be made only once."""
    rng = random.Random(SEED)
    now = world.now()
    made = []
    session = room = ""
    for number, size in enumerate(wanted):
        if number % ROOM_OF == 0:
            room, session = _uuid(rng), _uuid(rng)
            began = now - SPREAD - timedelta(hours=1)
            world.rooms[room] = Room(id=room, name=f"room {number // ROOM_OF}", created_at=began, ended_at=None, twilio=False)
            world.sessions[session] = Session(id=session, room_id=room, started_at=began, ended_at=now)
        ended = (now - timedelta(minutes=3) - SPREAD * rng.random()).replace(microsecond=0)
        recording_id = _uuid(rng)
        media = _media("alike" if alike else recording_id, size)
        made.append(
            Recording(
                source=Source.TELNYX_ROOMS,
                id=recording_id,
                media={"media": media},
                medium="video",
                codec="vp8",
                room_id=room,
                session_id=session,
                participant_id=_uuid(rng),
                started_at=ended - timedelta(minutes=10),
                ended_at=ended,
                completed_at=ended + timedelta(seconds=20),
            )
        )
    world.add(made)
    return made


@cache
def _media(seed: str, size: int) -> MediaFile:
    return MediaFile(kind=Kind.WEBM_VP8, seed=seed, size_hint=size)


def _uuid(rng: random.Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


@cache
def content(media: MediaFile) -> Any:
    """All bytes of a file: in memory, or mapped where it is large."""
    if media.size <= _IN_MEMORY:
        return media.read()
    with tempfile.TemporaryFile() as file:
        file.writelines(media.chunks())
        file.flush()
        return mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)


@cache
def _digest(media: MediaFile, first: int, stop: int) -> str:
    return hashlib.sha256(memoryview(content(media))[first:stop]).hexdigest()


class Media:
    """Serves the recordings' bytes, with ranges; `rate` is in bytes a second on each connection, 0 for as fast as it goes.

    `GET /_seen` tells when the first of them was asked for, on the machine's monotonic clock, how often, on how many connections; `POST /_reset`
    forgets it; `GET /_digests/<recording id>/<size>,<size>,…` hashes a file cut into such pieces.
    """

    def __init__(self, recordings: list[Recording], *, rate: int) -> None:
        self._files = {recording.id: recording.media["media"] for recording in recordings}
        self._rate = rate
        self._first = 0.0
        self._requests = self._connections = 0

    def handle(self, request: Request) -> None:
        """Answers GET and HEAD of `/…/<recording id>/…` or `/<recording id>`."""
        parts = request.target.partition("?")[0].split("/")
        if parts[1].startswith("_"):
            body = json.dumps(self._told(parts[1], parts[2:])).encode()
            request.connection.answer("200 OK", {"Content-Type": "application/json"}, body)
            return
        self._first = self._first or time.monotonic()
        self._requests += 1
        self._connections += request.connection.fresh
        request.connection.fresh = False
        media = next((self._files[part] for part in parts if part in self._files), None)
        if media is None:
            request.connection.answer("404 Not Found", {})
            return
        size = media.size
        headers = {"Content-Type": media.content_type, "ETag": media.etag, "Accept-Ranges": "bytes"}
        wanted = _RANGE.fullmatch(request.headers.get("range", ""))
        if wanted is None or request.headers.get("if-range", media.etag) != media.etag:
            status, first, stop = "200 OK", 0, size
        else:
            status, first, stop = "206 Partial Content", int(wanted[1]), min(size, int(wanted[2] or size - 1) + 1)
            headers["Content-Range"] = f"bytes {first}-{stop - 1}/{size}"
        request.connection.answer(status, headers, length=stop - first)
        if request.method != "HEAD":
            self._send(request, memoryview(content(media))[first:stop])

    def _told(self, what: str, words: list[str]) -> dict[str, Any]:
        if what == "_reset":
            self._first, self._requests, self._connections = 0.0, 0, 0
        if what == "_digests":
            media, ends = self._files[words[0]], [0, *itertools.accumulate(map(int, words[1].split(",")))]
            return {"sha256": [_digest(media, first, stop) for first, stop in itertools.pairwise(ends)]}
        return {"first": self._first, "requests": self._requests, "connections": self._connections}

    def _send(self, request: Request, body: memoryview) -> None:
        sock = request.connection.sock
        if not self._rate:
            for start in range(0, len(body), 4 * _PIECE):
                sock.sendall(body[start : start + 4 * _PIECE])
            return
        began, sent = time.monotonic(), 0
        for start in range(0, len(body), _PIECE):
            piece = body[start : start + _PIECE]
            sock.sendall(piece)
            sent += len(piece)
            time.sleep(max(0.0, began + sent / self._rate - time.monotonic()))


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.source", description=__doc__)
    parser.add_argument("--count", type=int, default=2_000)
    parser.add_argument("--sizes", type=int, nargs=2, default=(20_000, 1_000_000), metavar=("LEAST", "MOST"))
    parser.add_argument("--alike", action="store_true", help="all recordings have the same bytes")
    parser.add_argument("--rate", type=int, default=0, help="bytes a second on each media connection")
    parser.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"))
    parser.add_argument("--manifest", type=Path, required=True, help="where to write what each recording should be")
    return parser.parse_args(words)


def _manifest(recordings: list[Recording]) -> Iterator[dict[str, Any]]:
    for recording in recordings:
        media = recording.media["media"]
        yield {"id": recording.id, "size": media.size, "sha256": media.sha256}


async def _run(options: argparse.Namespace) -> None:
    world = World(clock=lambda: datetime.now(UTC), seed=SEED)
    recordings = populate(world, sizes(options.count, *options.sizes), alike=options.alike)
    for recording in recordings:
        content(recording.media["media"])
    options.manifest.write_text(json.dumps(list(_manifest(recordings))))
    tls = tuple(options.tls) if options.tls else None
    media = Server(Media(recordings, rate=options.rate).handle, tls=tls)
    media.start()
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
    async with serve(world, behaviour=Behaviour(media_url=media.url), ssl_context=context, remember=1_000) as simulation:
        places = {"api": simulation.telnyx_url, "media": media.url, "key": simulation.credentials.api_key}
        sys.stdout.write(json.dumps(places) + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


def main(words: list[str] | None = None) -> None:
    """Serves until standard input ends."""
    threading.stack_size(512 * 1024)
    with suppress(KeyboardInterrupt):
        asyncio.run(_run(_arguments(words)))


if __name__ == "__main__":
    main()
