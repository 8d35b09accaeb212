"""The flows that are killed everywhere, each on a small stage: what the provider holds, what came before, what must be in the end."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

from archiver.app import App
from archiver.custody import Custody
from archiver.domain.errors import ArchiverError
from archiver.domain.ports import NewObject
from archiver.pipeline import backfill, cycle
from archiver.pipeline.sweep import sweep
from archiver.sealing import seal_before_end
from tests.faults.crash_stage import PART, SOURCE, Provider, Stage
from tests.faults.virtual_time import START
from tests.pipeline.fake_provider import media_bytes, processing, recording
from tests.pipeline.memory_store import POOR

DAY = timedelta(days=1)


Act = Callable[[Stage, App], Awaitable[None]]


async def nothing(_stage, _app):
    """No preparation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """`before` runs unharmed in the process that is then killed in `act`. `ends` are the states renditions must end in, `verified`
    where none is named; `refetched` bounds the bytes that a kill may make the provider send again. `patience` is the virtual time in
    which a restart on the same machine has to be done with everything (G12).
    """

    act: Act
    stock: Callable[[Provider], None]
    before: Act = nothing
    ends: dict = field(default_factory=dict)
    abilities: object = None
    refetched: int | None = None
    patience: float = 5.0
    again: Act | None = None  # what a restart does; a full cycle where not said
    settings: str = ""  # TOML, besides what all flows have
    gone: frozenset = frozenset()  # what the provider must have been asked to delete, each of it, and nothing else


# -- what the provider holds


def _moment(days=0.0):
    return START - timedelta(days=days, hours=1)


def _hold(provider, recording_id, size, *, days=0.0, etag='"one"', **facts):
    provider.put(recording(recording_id, ended_at=_moment(days), **facts))
    provider.has(recording_id, media_bytes(size, recording_id), etag=etag)


def _small(provider):
    _hold(provider, "r1", 300)
    _hold(provider, "r2", 700)


def _small_and_large(provider):
    _hold(provider, "r1", 300)
    _hold(provider, "r2", 2 * PART + 700)


def _listed(provider):
    """More than a page, in two rooms, one still processing, one bad row; what stood there before goes or completes."""
    provider.page_size = 3
    for number in range(5):
        _hold(provider, f"r{number}", 200 + number, room_id=f"room{number % 2}")
    provider.put(processing("busy"))
    provider.rooms = {"room0": "the first room"}


def _large(provider):
    _hold(provider, "r1", 3 * PART + 400)


def _large_weak(provider):
    _hold(provider, "r1", 3 * PART + 400, etag="")


def _history(provider):
    for days in (4, 5, 6):
        _hold(provider, f"r{days}", 100 * days, days=days)


def _change(provider, recording_id, size, **facts):
    """Other content under the same id, as a list tells of it."""
    old = provider.files[recording_id, "media"].body
    provider.earlier.setdefault(recording_id, []).append(old)
    provider.put(replace(provider.listed[recording_id], size=size, **facts))
    provider.has(recording_id, media_bytes(size, f"{recording_id} again"), etag='"two"')


# -- what is done


async def _poll(_stage, app):
    await cycle.poll(app.discovery(SOURCE), SOURCE, catalog=app.catalog, health=app.health, clock=app.clock, wait=True)


async def _pump(_stage, app):
    async def idle():
        return True

    await app.pump().run(until=idle)


async def sync(_stage, app):
    await cycle.sync(
        discoveries=app.discoveries(),
        pump=app.pump(),
        catalog=app.catalog,
        health=app.health,
        clock=app.clock,
        tally=app.tally(),
        stop=asyncio.Event(),
    )


async def _backfill(_stage, app):
    plan = await backfill.plan(app.catalog, SOURCE, since=START - 7 * DAY, until=START - 3 * DAY)
    run = backfill.Backfill(
        discoveries=app.discoveries(), pump=app.pump(), catalog=app.catalog, health=app.health, clock=app.clock, tally=app.tally()
    )
    await run.run([plan], stop=asyncio.Event())


async def _sweep(_stage, app):
    await sweep(storage=app.storage, catalog=app.catalog, clock=app.clock)


async def _seal(_stage, app):
    refused = await seal_before_end(app, wait=True)
    if refused is not None:
        raise refused


async def _sync_and_seal(stage, app):
    await sync(stage, app)
    await _seal(stage, app)


async def _keep_to_policies(_stage, app):
    await Custody(app, actor="policy", elapsed=app.clock.monotonic).job()


async def _sync_and_keep_to_policies(stage, app):
    await sync(stage, app)
    await _keep_to_policies(stage, app)


async def _grow_old(stage, app):
    """Everything archived, and kept for as long as the policy says."""
    await sync(stage, app)
    await app.clock.sleep(2 * DAY.total_seconds())


async def _shift(stage, app):
    """A first poll, and then the provider's list is another one."""
    await _poll(stage, app)
    provider = stage.provider
    provider.listed.pop("r0")
    provider.files.pop(("r0", "media"))
    _hold(provider, "r9", 333)
    provider.put(recording("busy", ended_at=_moment()))
    provider.has("busy", media_bytes(444, "busy"))


async def _store_only(stage, app):
    """Everything stored, nothing verified yet."""
    await _poll(stage, app)
    transfer = app.pump()._transfer
    entries = await app.catalog.claim(10, sources=[SOURCE])
    await app.catalog.save([await transfer.archive(entry) for entry in entries])


async def _other_content(stage, app):
    """Everything archived, and then the provider lists other content for all of it."""
    await sync(stage, app)
    _change(stage.provider, "r1", 350)
    _change(stage.provider, "r2", 3 * PART + 50)
    await _poll(stage, app)


async def _first_content(stage, app):
    """Everything archived in two contents, and then the provider goes back to the first ones."""
    await _other_content(stage, app)
    await sync(stage, app)
    provider = stage.provider
    for recording_id, (first, *_later) in provider.earlier.items():
        provider.put(replace(provider.listed[recording_id], size=len(first)))
        provider.earlier[recording_id].append(provider.files[recording_id, "media"].body)
        provider.has(recording_id, first, etag='"three"')
    await _poll(stage, app)


async def _leave_uploads(stage, app):
    """Unfinished uploads of a day ago: of a cut download, one begun in the instant before a crash, and a foreign one."""
    await _poll(stage, app)
    stage.provider.files["r1", "media"].cut = [1500, 1500, 1500, 1500, 1500, 1500, 1500]
    (entry,) = await app.catalog.claim(1, sources=[SOURCE])
    with contextlib.suppress(ArchiverError):
        await app.pump()._transfer.archive(entry)
    await app.catalog.hand_back()
    stage.provider.files["r1", "media"].cut = []
    day = f"{_moment():%Y/%m/%d}"
    for key in (f"{SOURCE}/{day}/r1/media.ogg", "somebody/else"):
        new = NewObject(key=key, content_type="audio/ogg", metadata={})
        stage.foreign += [await stage.store.begin(new)] if "else" in key else []
        await stage.store.begin(new) if "else" not in key else None
    await app.clock.sleep(25 * 3600)


FLOWS = {
    "poll": Flow(act=_poll, stock=_listed, before=_shift, ends={"r0": "lost"}, patience=15.0),
    "small": Flow(act=_pump, stock=_small, before=_poll, refetched=300 + 700),
    "multipart": Flow(act=_pump, stock=_large, before=_poll, refetched=PART + 256),
    "multipart-weak": Flow(act=_pump, stock=_large_weak, before=_poll),
    "verify": Flow(act=_pump, stock=_small, before=_store_only, abilities=POOR, refetched=0),
    "changed": Flow(act=_pump, stock=_small_and_large, before=_other_content),
    "changed-back": Flow(act=_pump, stock=_small_and_large, before=_first_content),
    "backfill": Flow(act=_backfill, stock=_history, again=_backfill),
    "sweep": Flow(act=_sweep, stock=_large, before=_leave_uploads),
    "expire": Flow(
        act=_keep_to_policies,
        stock=_small_and_large,
        before=_grow_old,
        again=_sync_and_keep_to_policies,
        ends={"r1": "expired", "r2": "expired"},
        settings='[[policy]]\nname = "a-day"\nmatch = { source = "*" }\nkeep = "1d"\n[retention]\nmax_share = 1.0\n',
    ),
    "release": Flow(
        act=_keep_to_policies,
        stock=_small_and_large,
        before=_grow_old,
        again=_sync_and_keep_to_policies,
        settings='delete_at_provider = "after:1d"\nallow_unlocked_source_deletion = true\n[retention]\nmax_share = 1.0\n',
        gone=frozenset({"r1", "r2"}),
    ),
    "seal": Flow(act=_seal, stock=_small_and_large, before=sync, again=_sync_and_seal),
    "sync": Flow(act=sync, stock=_listed),
}
