"""A catalog that has lived: recordings in every state, earlier objects, holds, longer retention, erasures; and how two compare."""

import dataclasses
from datetime import timedelta

import sqlalchemy as sa

from archiver.catalog import erasures, fixity, holds, releases, retention
from archiver.catalog.evidence_tables import (
    attestations,
    erasure_items,
    hold_members,
    manifests,
    policies,
    segments,
)
from archiver.catalog.selector import Selector
from archiver.catalog.steps import Step, take
from archiver.catalog.tables import ledger, metadata, passes, recordings, renditions, slices, sources, superseded
from archiver.domain.errors import MediaUnavailable
from archiver.domain.keeping import Certificate, Longer
from archiver.domain.lifecycle import Event
from archiver.domain.recording import ProviderStatus, State
from archiver.domain.retention import Policy
from archiver.domain.windows import Window
from archiver.domain.work import PassResult
from tests.pipeline.clock import NOON
from tests.pipeline.fake_provider import FakeProvider, media_bytes, processing, recording

HOLDS = metadata.tables["holds"]
KEYS = {"x-amz-meta-x-amz-key": "a-wrapped-key", "x-amz-meta-x-amz-iv": "abc="}


def a_provider(count: int) -> FakeProvider:
    """`count` recordings to archive, and one of every other kind. Names are people's."""
    provider = FakeProvider()
    for n in range(count):
        ended = NOON - timedelta(minutes=n % 2000)
        facts = {
            "room_id": f"room-{n % 7}",
            "room_name": f"Ms. Plum's Room {n % 7}",
            "participant_name": f"Person {n} \u202e\U0001f600",
        }
        wanted = ("mp3", "wav") if n % 10 == 0 else ("media",)
        raw = {"id": f"r{n}", "size": 2**60 + n, "rate": 0.1, "z": None, "name": "Pl\ud83dum"} if n % 3 == 0 else {"id": f"r{n}"}
        provider.put(recording(f"r{n}", ended_at=ended, renditions=wanted, raw=raw, duration=n / 7, flags=("odd",), **facts))
        for rendition in wanted:
            metadata = KEYS if n % 5 == 0 else {}
            provider.has(f"r{n}", media_bytes(200 + n % 50, f"{n}{rendition}"), rendition=rendition, metadata=dict(metadata))
    provider.put(recording("outside", external_url="https://bucket.example/x.ogg"))
    provider.put(recording("broken", status=ProviderStatus.FAILED))
    provider.put(processing("open"))
    provider.put(recording("mute"))
    provider.broken["media mute"] = MediaUnavailable("no media")
    return provider


async def lived(stage, count: int) -> None:
    """Everything that can happen, in a few hours."""
    await stage.poll()
    await stage.work()
    stage.clock.advance(hours=1)
    provider = stage.provider
    for n in range(1, min(count, 40), 4):  # other content: a second object beside the first
        changed = dataclasses.replace(provider.listed[f"r{n}"], duration=1000.0 + n)
        provider.put(changed)
        provider.has(f"r{n}", media_bytes(333, f"other {n}"))
    gone = [f"r{n}" for n in range(2, min(count, 40), 12)]
    await stage.poll()
    await stage.work()
    for recording_id in gone:
        del provider.listed[recording_id]
        await stage.plain_catalog.record_gone(stage.provider.source, recording_id, looks=2)
    stage.clock.advance(hours=1)
    await stage.poll()
    await stage.work()
    await by_hand(stage)
    day = Window(first=(NOON - timedelta(days=9)).date(), last=(NOON - timedelta(days=9)).date())
    done = PassResult(
        listing="ended",
        window=day,
        started_at=stage.clock.now(),
        complete=True,
        listed=3,
        new=0,
        requests=1,
        ids_sha256="ab" * 32,
    )
    await repaired(stage)
    await stage.plain_catalog.finish_slice(provider.source, provider.kind, day.first, done)


async def repaired(stage) -> None:
    """Three that were damaged are fetched again: one whose object is gone, one with other bytes in it, one that was whole after all."""
    gone, flipped, whole = [await stage.row(recording_id) for recording_id in ("r7", "r11", "r15")]
    await stage.store.delete(gone.key, gone.version_id)
    damage(stage.store, flipped.key)
    async with stage.database.read() as conn:
        rows = (await conn.execute(fixity.ENTRY.where(renditions.c.id.in_([gone.id, flipped.id, whole.id])))).all()
    found = [fixity.entry(row) for row in rows]
    await stage.database.write(lambda tx: fixity.found_damaged(tx, "me", [(item, "missing: because") for item in found]))
    there = {flipped.id, whole.id}
    await stage.database.write(lambda tx: fixity.refetch(tx, "operator:plum@here", found, there=there))
    await stage.work()


def damage(store, key) -> None:
    """Flips a bit of an object in a folder, or in memory."""
    if hasattr(store, "objects"):
        store.objects[key].body[3] ^= 1
        return
    path = store._root / key
    body = bytearray(path.read_bytes())
    body[3] ^= 1
    path.chmod(0o644)
    path.write_bytes(body)


async def by_hand(stage) -> None:
    """What operators, policies and the law do."""
    database, actor, now = stage.database, "operator:plum@here", stage.clock.now()
    keep = Policy(name="seven", keep="7y", years=7)
    rows = await stage.rows(sa.select(renditions).where(renditions.c.state == "verified").order_by(renditions.c.id))
    longer = [Longer(pk=row.id, until=now + timedelta(days=900), reason="longer", policy=keep) for row in rows[:3]]

    async def first(tx):
        await retention.remember(tx, actor, [keep])
        await retention.retained(tx, actor, longer)
        await holds.place(tx, actor, "Case 1", "a dispute", Selector(ids=("r3", "r10")), future=False)
        await holds.place(tx, actor, "Case 2", "another", Selector(sources=("rooms",), room="*Room 4"), future=True)
        await holds.place(tx, actor, "Case 3", "over", Selector(ids=("r4",)), future=False)

    async def second(tx):
        await holds.release(tx, actor, "Case 3", "settled")
        for recording_id, event in (("r6", Event.EXPIRING), ("r8", Event.EXPIRING), ("r9", Event.DAMAGED)):
            row = await _row(tx, recording_id)
            await take(tx, actor, [_step(row, recording_id, State.VERIFIED, event)])
        await erasures.request(tx, actor, Selector(ids=("r8", "r12")), "she asked for it")
        await releases.authorise(tx, actor, "rooms", "r16", lambda _found, _now: None)
        await releases.authorise(tx, actor, "rooms", "r18", lambda _found, _now: None)
        await releases.ended(tx, actor, "rooms", "r18", gone=True, reason="not found there", data={})

    await database.write(first)
    stage.clock.advance(minutes=1)
    await database.write(second)
    for recording_id in ("r6", "r8"):  # deleted from the archive
        row = await stage.row(recording_id)
        await stage.store.delete(row.key, row.version_id)

    async def third(tx):
        for recording_id in ("r6", "r8"):
            row = await _row(tx, recording_id)
            await retention.expired(tx, actor, row.id, "1 object deleted", {})
        await erasures.scrub(tx, "rooms", "r8")
        certificate = Certificate(
            key="_erasure/x.json",
            source="rooms",
            recording_id="r8",
            reason="she asked for it",
            requested_at=now,
            requested_by=actor,
            executed_at=tx.now,
        )
        found = [item for item in await erasures.waiting(tx.conn) if item.recording_id == "r8"]
        await erasures.erased(tx, actor, found[0], certificate)

    await database.write(third)


async def _row(tx, recording_id):
    query = sa.select(renditions).join(recordings, recordings.c.id == renditions.c.recording_pk)
    return (await tx.conn.execute(query.where(recordings.c.recording_id == recording_id))).first()


def _step(row, recording_id, state, event):
    return Step(
        pk=row.id,
        source="rooms",
        recording_id=recording_id,
        rendition=row.name,
        state=state,
        event=event,
        reason="because",
        error="because" if event is Event.DAMAGED else "",
    )


# -- comparing two catalogs

NOT_RESTORED = {
    recordings: {"id", "looked_at"},  # when an open recording was last asked for
    renditions: {"id", "recording_pk", "revision", "change", "worker", "lease_until", "upload_id", "upload"}
    | {"attempts", "due_at", "priority", "error_kind"},  # when and how eagerly workers look at it
    ledger: {"id"},
    superseded: {"id", "rendition_pk", "checked_at"},
    hold_members: {"hold_id", "rendition_pk"},
    segments: {"sealed_at", "locked_until"},
    manifests: {"written_at"},
    # Quiet passes of a day are not told: the last one told is at most a day older, and the next poll looks back from there.
    passes: {column.name for column in passes.c}
    - {"source", "listing", "first_day", "last_day", "started_at", "ids_sha256", "listed"},
    sources: {"last_started", "watermark", "last_complete_pass"},
    attestations: {"id", "locked_until"},
    erasure_items: {"lawful_at", "why"},  # found anew by the next run
}


async def everything(database) -> dict:
    """Every table that says something of recordings, as rows that do not depend on row numbers."""
    async with database.read() as conn:

        async def rows(query, table, *names):
            left_out = NOT_RESTORED.get(table, set())
            found = (await conn.execute(query)).all()
            cut = [{key: value for key, value in row._mapping.items() if key not in left_out or key in names} for row in found]
            return sorted(cut, key=repr)

        named = [recordings.c.recording_id.label("of"), renditions.c.name.label("rendition")]
        joined = sa.join(renditions, recordings, recordings.c.id == renditions.c.recording_pk)
        told = {
            "recordings": await rows(sa.select(recordings), recordings),
            "renditions": await rows(sa.select(*renditions.c, *named).select_from(joined), renditions),
            "ledger": await rows(sa.select(ledger).where(ledger.c.segment.is_not(None)), ledger),
            "segments": await rows(sa.select(segments), segments),
            "manifests": await rows(sa.select(manifests), manifests),
            "policies": await rows(sa.select(policies), policies),
            "sources": await rows(sa.select(sources), sources),
            "slices": await rows(sa.select(slices), slices),
            "passes": await rows(sa.select(passes).where(passes.c.complete, passes.c.new > 0), passes),
            "erasures": await rows(sa.select(erasure_items), erasure_items),
            "attestations": await rows(sa.select(attestations), attestations),
        }
        earlier = joined.join(superseded, superseded.c.rendition_pk == renditions.c.id)
        told["superseded"] = await rows(sa.select(*superseded.c, *named).select_from(earlier), superseded)
        members = joined.join(hold_members, hold_members.c.rendition_pk == renditions.c.id)
        members = members.join(HOLDS, HOLDS.c.id == hold_members.c.hold_id)
        case = HOLDS.c.case_name.label("case")
        told["members"] = await rows(sa.select(*hold_members.c, *named, case).select_from(members), hold_members)
        columns = [column for column in HOLDS.c if column.name != "id"]
        told["holds"] = await rows(sa.select(*columns), HOLDS)
        return told


def unequal(before: dict, after: dict) -> list:
    """What differs, field by field."""
    told = []
    for table, rows in before.items():
        if len(rows) != len(after[table]):
            told.append((table, len(rows), len(after[table])))
        for one, other in zip(rows, after[table], strict=False):
            whose = (one.get("of") or one.get("recording_id"), one.get("rendition"), one.get("state"))
            told += [(table, whose, name, one[name], other[name]) for name in one if one[name] != other[name]]
    return told
