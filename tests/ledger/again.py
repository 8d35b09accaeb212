"""A stage over a catalog that lived, another over an empty one with the same archive, and what is asked of them."""

import contextlib

from archiver.catalog import consistency
from archiver.catalog.ledger import SqlHistory
from archiver.catalog.manifests import SqlFacts
from archiver.catalog.rebuilt import SqlRebuild
from archiver.pipeline.audit import audit
from archiver.pipeline.rebuild import Rebuild
from archiver.pipeline.seal import Sealer
from tests.pipeline.clock import VirtualClock
from tests.pipeline.stage import staged


def sealer(stage, *, limit=5_000):
    return Sealer(
        history=SqlHistory(stage.database),
        facts=SqlFacts(stage.database, "me"),
        catalog=stage.plain_catalog,
        storage=stage.store,
        clock=stage.clock,
        lock_for_ledger=lambda _now: None,
        limit=limit,
    )


@contextlib.asynccontextmanager
async def living(catalogs, folder, provider):
    """A stage over an empty catalog and archive."""
    clock = VirtualClock()
    with catalogs() as url:
        async with clock, staged(url, provider, clock=clock, store=folder) as stage:
            yield stage


@contextlib.asynccontextmanager
async def anew(catalogs, stage):
    """A stage over an empty catalog with the same archive, provider and clock."""
    with catalogs() as url:
        async with staged(url, stage.provider, clock=stage.clock, store=stage.store, name="new") as fresh:
            yield fresh


async def archive(stage):
    await stage.poll()
    await stage.work()


async def seal(stage, **options):
    return await sealer(stage, **options).run(wait=True)


def rebuild(stage, **options):
    target = SqlRebuild(stage.database, "operator:plum@here", {"rooms": "telnyx-rooms"})
    rest = {"catalog": stage.plain_catalog, "storage": stage.store, "clock": stage.clock, "locks": False}
    return Rebuild(target=target, **{**rest, **options})


async def broken_laws(stage):
    """What the laws say, and whether the history is whole."""
    async with stage.database.read() as conn:
        told = (await consistency.check(conn, stage.clock.now(), revision=""))["problems"]
    return [*told, *(await audit(SqlHistory(stage.database), stage.store)).problems]


async def fetches_nothing(stage):
    """Polls and works, as the next run would: nothing is downloaded and no object is made."""
    before = dict(stage.provider.calls), [stored.key async for stored in stage.store.keys("")]
    await archive(stage)
    media = {name: count for name, count in stage.provider.calls.items() if name.startswith("media") and name != "media mute"}
    return media == {name: count for name, count in before[0].items() if name in media} and before[1] == [
        stored.key async for stored in stage.store.keys("")
    ]
