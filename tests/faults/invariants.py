"""One question for every campaign: is any law of reliability.md, section 2, broken now?

    truth = Truth()
    truth.see(world)                      # again after every change of the world: what was ever listed, every content it had
    ...                                   # faults, kills, restarts; then at rest, with the faults switched off:
    assert await check_invariants(database, storage, truth, now=clock.now(), texts={"log": text}, secrets=secrets) == []

`database` is an open `archiver.catalog.database.Database`, `storage` any `Storage` (probed, or the fake), the truth that of a
simulated World or, through `Truth.add`, of a fake provider. What is looked at:

    catalog   every law of `archiver catalog check`, broken references and the SQLite file included
    I1        whatever was ever listed is in the catalog
    I6, I8    the objects of the archive are the catalog's, no more and no fewer; each is read back, and its SHA-256 is the
              catalog's and that of a content the provider had (wrong bytes: "I6 bytes", "I6 truth"); one object a content
    I16       at rest: every rendition archived, ended with a reason, or waiting for the provider
    I18       at rest: no unfinished upload, in the store or in the catalog (sweep with age 0 before)
    I21       exactly one `stored` line for each object, and the sealed segments of the history are one chain
    I22       no secret and no presigned query in any text of the catalog, the ledger included, or in `texts`
    I25       the counts of every report add up to the rows
    deletion  nothing was deleted at the provider unless allowed, and never in bulk

`endings` holds renditions to the ending that each must have (simulator.expectation.expectations). `bucket`, of the testbed, is asked
behind our own client's back for versions, delete markers and uploads.
"""

import asyncio
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import sqlalchemy as sa
from botocore.exceptions import ClientError

from archiver.catalog import consistency, invariants, reports, work
from archiver.catalog.tables import ledger, recordings, renditions, superseded
from archiver.domain.invariants import Violation, compare
from archiver.domain.lifecycle import ENDS
from archiver.domain.recording import ProviderStatus, State
from tests.faults.sealed import chain
from tests.faults.spilled import spilled
from tests.faults.truth import Truth

R, C, L = renditions.c, recordings.c, ledger.c
_CONTENT_MAY_LACK = {State.DAMAGED, State.EXPIRING, State.EXPIRED}


async def check_invariants(
    database: Any,
    storage: Any,
    truth: Truth | None = None,
    *,
    now: datetime,
    at_rest: bool = True,
    read_back: bool = True,
    endings: Iterable[Any] = (),
    deletions: Iterable[str] = (),
    texts: Mapping[str, str] | None = None,
    secrets: Iterable[str] = (),
    bucket: Any = None,
) -> list[Violation]:
    """Every law that is broken now; empty when all hold. Changes nothing. `deletions` are the ids that may be deleted at the provider.

    At rest no transfer is due or under way; otherwise only what holds at every instant is looked at.
    """
    truth = truth or Truth()
    rows = await _rows(database)
    found = await _catalog(database, now)
    found += await _objects(database, storage, rows, truth, read_back=read_back)
    found += await _stored_once(database, rows)
    found += await chain(database, storage)
    found += _nothing_lost(rows, truth)
    found += _reports_add_up(rows, await _counts(database))
    found += [*_deletions(truth, frozenset(deletions)), *_endings(rows, endings, truth)]
    found += await spilled(database, texts or {}, frozenset(secrets))
    if at_rest:
        found += [*_ended(rows), *await _uploads(storage, rows)]
    if bucket is not None:
        found += await asyncio.to_thread(_behind_our_back, bucket, at_rest=at_rest)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """The catalog, as far as several questions need it: renditions, and (source, id, rendition, object) of the earlier objects."""

    recordings: list[Any]
    renditions: list[Any]
    earlier: list[Any]

    def objects(self) -> list[tuple[tuple[str, str, str], Any]]:
        """Every object that must stand in the archive, with the rendition it is one of."""
        named = [row for row in [*self.renditions, *self.earlier] if row.sha256 and State(row.state) not in _CONTENT_MAY_LACK]
        return [((row.source, row.recording_id, row.name), row) for row in named]


async def _rows(database: Any) -> _Rows:
    named = (R.source, C.recording_id, R.name)
    async with database.read() as conn:
        known = (await conn.execute(sa.select(C.source, C.recording_id, C.status))).all()
        facts = (R.state, R.key, R.version_id, R.size, R.sha256, R.upload_id, R.error, C.status)
        current = (await conn.execute(sa.select(*named, *facts).join(recordings, C.id == R.recording_pk))).all()
        s = superseded.c
        query = sa.select(*named, R.state, s.key, s.version_id, s.size, s.sha256).select_from(superseded)
        query = query.join(renditions, R.id == s.rendition_pk).join(recordings, C.id == R.recording_pk)
        earlier = (await conn.execute(query)).all()
    return _Rows(recordings=list(known), renditions=list(current), earlier=list(earlier))


async def _catalog(database: Any, now: datetime) -> list[Violation]:
    async with database.read() as conn:
        told = await consistency.check(conn, now, revision="")
    return [Violation(law=item["law"], thing=item["thing"], says=item["says"]) for item in told["problems"]]


# -- the archive


async def _objects(database: Any, storage: Any, rows: _Rows, truth: Truth, *, read_back: bool) -> list[Violation]:
    there = {(item.key, item.version_id): item.size async for item in storage.keys("")}
    async with database.read() as conn:
        batches = [batch async for batch in invariants.expected_objects(conn)]
        others = [key async for batch in invariants.other_objects(conn) for key in batch]
    shipped = {(key, version): size for batch in batches for key, version, size in batch}
    found = compare(shipped, there, known=others)
    found += _one_object_a_content(rows)
    keys = {key for key, _version in there}
    for name, row in rows.objects():
        if row.key not in keys:
            if (row.key, row.version_id) not in shipped:  # an earlier object, while other content is being fetched
                found.append(Violation(law="I6 missing", thing=row.key, says="in the catalog, not in the archive"))
            continue
        if truth.contents and row.sha256 not in truth.digests(name):
            found.append(Violation(law="I6 truth", thing=row.key, says=f"SHA-256 {row.sha256} was never the provider's"))
        if read_back and (actual := await _sha256(storage, row)) != row.sha256:
            found.append(
                Violation(law="I6 bytes", thing=row.key, says=f"SHA-256 {actual} read back, {row.sha256} in the catalog")
            )
    return found


async def _sha256(storage: Any, row: Any) -> str:
    digest = hashlib.sha256()
    async for chunk in storage.read(row.key, row.version_id):
        digest.update(chunk)
    return digest.hexdigest()


def _one_object_a_content(rows: _Rows) -> list[Violation]:
    """I8: no two objects of one rendition hold the same bytes, and no two renditions share an object."""
    contents = Counter((*name, row.sha256) for name, row in rows.objects())
    objects = Counter((row.key, row.version_id) for _name, row in rows.objects())
    twice = [
        Violation(law="I8 content", thing="/".join(name[:3]), says=f"{n} objects of it") for name, n in contents.items() if n > 1
    ]
    return twice + [Violation(law="I8 shared", thing=key, says=f"of {n} rows") for (key, _v), n in objects.items() if n > 1]


async def _stored_once(database: Any, rows: _Rows) -> list[Violation]:
    """I21: `stored` lines name every object, and no two in a row the same one; what brought the bytes we have says so."""
    query = sa.select(L.source, L.recording_id, L.rendition, L.data).where(L.event == "stored", L.reason == "").order_by(L.id)
    async with database.read() as conn:
        lines = (await conn.execute(query)).all()
    told: dict[Any, list[Any]] = defaultdict(list)
    for row in lines:
        told[row[:3]].append((row.data["key"], row.data.get("version_id", ""), row.data["sha256"]))
    have = defaultdict(set)
    for name, row in rows.objects():
        have[name].add((row.key, row.version_id, row.sha256))
    gone = {(row.source, row.recording_id, row.name) for row in rows.renditions if State(row.state) in _CONTENT_MAY_LACK}
    found = []
    for name in sorted(told.keys() | have.keys()):
        wrong = name not in gone and set(told[name]) != have[name]
        twice = any(one == other for one, other in pairwise(told[name]))
        if wrong or twice:
            found.append(
                Violation(law="I21 stored once", thing="/".join(name), says=f"lines for {told[name]}, objects {have[name]}")
            )
    return found


async def _uploads(storage: Any, rows: _Rows) -> list[Violation]:
    left = [
        Violation(law="I18 upload", thing=item.key, says=f"upload {item.upload_id} of it never ended")
        async for item in storage.uploads()
    ]
    named = [row for row in rows.renditions if row.upload_id and State(row.state) not in {State.LOST, State.UNAVAILABLE}]
    return left + [
        Violation(law="I18 named", thing=_name(row), says=f"{row.state}, with upload {row.upload_id}") for row in named
    ]


def _behind_our_back(bucket: Any, *, at_rest: bool) -> list[Violation]:
    """What the server itself says of the bucket: versions, delete markers, uploads. A poor one has none of the first two."""
    found, versions = [], Counter[str]()
    try:
        for page in bucket.client.get_paginator("list_object_versions").paginate(Bucket=bucket.name):
            versions.update(item["Key"] for item in page.get("Versions", ()))
            found += [
                Violation(law="I12 marker", thing=item["Key"], says="a delete marker") for item in page.get("DeleteMarkers", ())
            ]
    except ClientError as error:
        if error.response["Error"]["Code"] != "NotImplemented":
            raise
    found += [Violation(law="I8 versions", thing=key, says=f"{n} versions") for key, n in versions.items() if n > 1]
    if at_rest:
        for page in bucket.client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket.name):
            found += [
                Violation(law="I18 upload", thing=item["Key"], says="an unfinished upload") for item in page.get("Uploads", ())
            ]
    return found


# -- the catalog


def _nothing_lost(rows: _Rows, truth: Truth) -> list[Violation]:
    known = {(row.source, row.recording_id) for row in rows.recordings}
    return [
        Violation(law="I1 left behind", thing="/".join(name), says="listed, and not in the catalog")
        for name in sorted(truth.listed - known)
    ]


def _ended(rows: _Rows) -> list[Violation]:
    """I16: nothing is on its way any more; only the provider can be waited for."""
    open_there = {ProviderStatus.PROCESSING, ProviderStatus.UNKNOWN}
    found = []
    for row in rows.renditions:
        state = State(row.state)
        if state not in ENDS and not (state is State.WAITING and ProviderStatus(row.status) in open_there):
            found.append(Violation(law="I16 ended", thing=_name(row), says=f"still {state} at rest ({row.error or 'no error'})"))
    return found


async def _counts(database: Any) -> dict[str, Mapping[str, Mapping[str, int]]]:
    async with database.read() as conn:
        return {"reports": await reports.state_counts(conn), "the pipeline": await work.counts(conn)}


def _reports_add_up(rows: _Rows, told: Mapping[str, Mapping[str, Mapping[str, int]]]) -> list[Violation]:
    have = Counter((row.source, row.state) for row in rows.renditions)
    found = []
    for who, counts in told.items():
        says = Counter({(source, state): n for source, states in counts.items() for state, n in states.items() if n})
        if says != have:
            found.append(Violation(law="I25 counts", thing=who, says=f"{says - have or have - says} too many or too few"))
    return found


def _deletions(truth: Truth, allowed: frozenset[str]) -> list[Violation]:
    found = []
    for world in truth.worlds:
        found += [
            Violation(law="bulk deletion", thing=what, says="many recordings deleted at once") for what in world.bulk_deletions
        ]
        wrong = [what for what in world.deletions if what not in allowed]
        found += [Violation(law="I14 deletion", thing=what, says="deleted at the provider") for what in wrong]
    return found


def _endings(rows: _Rows, endings: Iterable[Any], truth: Truth) -> list[Violation]:
    states = {(row.source, row.recording_id, row.name): row for row in rows.renditions}
    found = []
    for item in endings:
        name = (truth.names.get(str(item.source), str(item.source)), item.recording_id, item.rendition)
        row = states.get(name)
        if row is None or row.state != item.ending.value:
            says = (
                f"{'absent' if row is None else row.state}, must be {item.ending}{f' ({row.error})' if row and row.error else ''}"
            )
            found.append(Violation(law="ending", thing="/".join(name), says=says))
    return found


def _name(row: Any) -> str:
    return f"{row.source}/{row.recording_id}/{row.name}"
