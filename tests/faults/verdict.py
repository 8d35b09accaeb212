"""Whether an archive got out of a simulation what the provider had: asked at every complete pass, and in the end."""

import hashlib
import sqlite3

import sqlalchemy as sa

from archiver.catalog import sources
from archiver.catalog.tables import recordings, renditions
from archiver.domain.recording import ProviderStatus
from tests.faults.invariants import check_invariants
from tests.faults.lives import ENDED
from tests.faults.truth import Truth
from tests.faults.virtual_time import START

SEEN = (ProviderStatus.COMPLETED, ProviderStatus.FAILED, ProviderStatus.UNKNOWN)
IN_TIME = 30 * 3600.0  # longer than every outage and pause together: what was listed for so long must have been seen


class WatchedCatalog:
    """The catalog of a process; a pass that calls itself complete is held to it at that moment (I1, I2)."""

    def __init__(self, inner, process, path):
        self._inner = inner
        self._process = process
        self._path = path

    def __getattr__(self, name):
        return getattr(self._inner, name)

    async def finish_pass(self, source, kind, results, *, watermark):
        if watermark is not None:
            self._hold(source, results, watermark)
        await self._inner.finish_pass(source, kind, results, watermark=watermark)

    def _hold(self, source, results, watermark):
        world, process = self._process.world, self._process
        began = min(result.started_at for result in results)
        world.broken += [f"I2: {source} is complete with {r.problem!r}" for r in results if not r.complete]
        if watermark > began:
            world.broken.append(f"I2: the watermark of {source} is {watermark}, the pass began {began}")
        world.watermarks.setdefault(source, set()).add(watermark)
        start = (began - START - process.clock.skew).total_seconds()
        if world.lies.get(source, -1.0) >= start - 1 or world.jumped >= start - 1:
            return  # the provider showed an empty list, or nobody knows any more what `start` is in true time
        known = _known(self._path, source)
        for result in results:
            if result.listing == ENDED.name:
                there = _all_the_time(world.lives[source], result.window, start, process.time())
                missed = sorted(there - known)
                world.held += len(there)
                if missed:
                    world.broken.append(f"I1: a complete pass over {result.window} of {source} did not bring {missed[:5]}")


def _all_the_time(lives, window, start, now):
    """What the list of a window showed from `start` to `now`."""
    first, last = ((moment - START).total_seconds() for moment in (window.start, window.end))
    return {
        life.recording_id
        for life in lives.between(first, last)
        if life.status(start) in SEEN and life.status(now) in SEEN and not start < life.relapse[0] < now
    }


def _known(path, source):
    with sqlite3.connect(path) as conn:
        rows = {row[0] for row in conn.execute("SELECT recording_id FROM recordings WHERE source = ?", (source,))}
    conn.close()
    return rows


async def verdict(world, database, store, *, now):
    """Everything that is wrong once the storm is over, one sentence each."""
    truth = Truth()
    for source, lives in world.lives.items():
        for life in lives.by_id.values():
            truth.add(source, life.recording_id, "media", *life.bodies)
            if not _must_be_known(life):
                truth.listed.discard((source, life.recording_id))
    found = [str(item) for item in await check_invariants(database, store, truth, now=now)]
    rows = await _rows(database)
    for source, lives in world.lives.items():
        for life in lives.by_id.values():
            problem = _problem(life, rows.get((source, life.recording_id)))
            found += [f"ending: {source}/{life.recording_id} {problem}"] if problem else []
        async with database.read() as conn:
            watermark = (await sources.state(conn, source)).watermark
        if world.watermarks and watermark is not None and watermark not in world.watermarks.get(source, ()):
            found.append(f"I2: the watermark of {source} is {watermark}, where no complete pass began")
    return [*world.broken, *found]


def _must_be_known(life):
    """It was in a list for so long that a pass must have seen it."""
    return life.deleted_at - life.completed_at > IN_TIME


def _problem(life, row):
    """What is wrong with what became of one recording; None where nothing is."""
    if row is None:
        return "is not in the catalog" if _must_be_known(life) else None
    if life.deleted_at < float("inf"):
        may = {"verified", "lost", "external", "unavailable", "waiting"}
        return None if row.state in may else f"was deleted at the provider and is {row.state} ({row.error})"
    must = {"muted": "unavailable", "external": "external", "failed": "unavailable", "odd": "waiting"}.get(life.fate, "verified")
    if row.state != must:
        return f"is {row.state}, must be {must} ({row.error})"
    seen_in_time = life.changed_at < life.ended_at + IN_TIME
    wanted = {hashlib.sha256(body).hexdigest() for body in (life.bodies[-1:] if seen_in_time else life.bodies)}
    if must == "verified" and row.sha256 not in wanted:
        return "holds bytes that the provider replaced long ago"
    return None


async def _rows(database):
    r, c = renditions.c, recordings.c
    query = sa.select(r.source, c.recording_id, r.state, r.sha256, r.error).join(recordings, c.id == r.recording_pk)
    async with database.read() as conn:
        return {(row.source, row.recording_id): row for row in (await conn.execute(query)).all()}
