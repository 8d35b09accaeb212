"""A thousand recordings of three sources with every fate there is, on both databases and both kinds of store."""

import hashlib
import re
from collections import Counter
from datetime import timedelta

import pytest

from archiver.simulator.behaviour import Behaviour
from archiver.simulator.expectation import Ending, expectations
from archiver.simulator.population import Fate, Mix, populate
from archiver.simulator.recordings import Phase
from archiver.simulator.server import serve
from archiver.simulator.world import World
from tests.acceptance.stage import configuration, opened, real_start, s3_storage

COUNT = 1000
FORMATS = ("mp3", "wav")
DAY = timedelta(hours=25)


# Of the session, as the servers are: what starts inside a test would look like a leak of that test.
@pytest.fixture(scope="session", params=["file", "s3"])
def stores(request):
    return None if request.param == "file" else request.getfixturevalue("localstack")


@pytest.fixture
def storage(stores, tmp_path):
    """The lines of [storage]."""
    if stores is None:
        yield f'url = "file://{tmp_path}/archive"'
        return
    yield s3_storage(stores.new_bucket())
    stores.client.close()


def key(expected):
    return str(expected.source), expected.recording_id, expected.rendition


async def test_every_rendition_of_a_thousand_recordings_ends_where_it_belongs(database_url, storage, tmp_path):
    clock = real_start()
    world = World(clock=clock, seed=11)
    populate(world, COUNT, mix=Mix(sizes=(1_000, 8_000)))
    async with serve(world, behaviour=Behaviour(rooms_url_ttl=3600)) as simulation:
        text = configuration(simulation, folder=tmp_path, catalog=database_url, storage=storage)
        async with opened(text, tmp_path, clock) as archive:
            met = {key(each): each for each in expectations(world, formats=FORMATS)}
            first = await archive.sync()
            before = await archive.renditions()
            assert {name: row.state for name, row in before.items()} == {name: str(each.ending) for name, each in met.items()}

            clock.advance(seconds=DAY.total_seconds())
            second = await archive.sync()
            rows = await archive.renditions()
            assert {name: row.state for name, row in rows.items()} == ends(world, before)

            await holds_the_true_bytes(archive, world, rows)
            await counts_add_up(archive, rows, [first, second])
            await metrics_agree(archive, rows, [first, second], simulation)
            await keeps_secrets(archive, simulation, world)
    provider_was_treated_well(simulation, world)
    every_fate_was_there(world, before, rows)


def ends(world, before):
    """Where everything has to be a day later: what was archived stays, what vanished before it was is lost."""
    later = {key(each): str(each.ending) for each in expectations(world, formats=FORMATS)}
    archived = {name for name, row in before.items() if row.state == Ending.VERIFIED}
    vanished = {name: str(Ending.LOST) for name in before if name not in later}
    return {**later, **vanished, **dict.fromkeys(archived, str(Ending.VERIFIED))}


async def holds_the_true_bytes(archive, world, rows):
    archived = [row for row in rows.values() if row.state == "verified"]
    assert len(archived) > COUNT * 0.85
    for row in archived:
        body = await archive.content(row)
        assert hashlib.sha256(body).hexdigest() == row.sha256 == world.recordings[row.recording_id].media[row.name].sha256
        assert len(body) == row.size
    keys = await archive.keys()
    assert sorted(keys) == sorted(row.key for row in archived)
    assert all(re.fullmatch(r"[A-Za-z0-9._/-]+", each) for each in keys)
    assert all(
        each.split("/")[4] == row.recording_id for each, row in zip(sorted(keys), sorted(archived, key=by_key), strict=True)
    )


def by_key(row):
    return row.key


async def counts_add_up(archive, rows, tallies):
    counts = await archive.app.catalog.counts()
    assert counts == {source: dict(Counter(row.state for row in rows.values() if row.source == source)) for source in counts}
    assert sum(sum(states.values()) for states in counts.values()) == len(rows)
    for source, states in counts.items():
        assert sum(tally.sources[source].stored for tally in tallies) == states["verified"]
        assert sum(tally.sources[source].verified for tally in tallies) == states["verified"]
        assert sum(tally.sources[source].bytes for tally in tallies) == sum(
            row.size for row in rows.values() if row.source == source and row.state == "verified"
        )
        assert sum(tally.sources[source].new for tally in tallies) == len({name[1] for name in rows if name[0] == source})
    assert all(not each.problems and each.failure is None for tally in tallies for each in tally.sources.values())


async def metrics_agree(archive, rows, tallies, simulation):
    for source in archive.app.providers:
        mine = [row for row in rows.values() if row.source == source]
        assert archive.metric("archiver_transfers_total", source=source, result="stored") == sum(
            t.sources[source].stored for t in tallies
        )
        assert archive.metric("archiver_transfer_bytes_total", source=source) == sum(row.size or 0 for row in mine)
    verified = sum(row.state == "verified" for row in rows.values())
    assert archive.metric("archiver_fixity_checked_total", result="ok") == verified
    assert archive.metric("archiver_lateness_seconds_count") == verified
    asked = sum(line.host != "media" for line in simulation.audit)
    assert archive.metric("archiver_provider_requests_total") == asked
    said = Counter(line["event"] for line in archive.lines)
    assert said["transferred"] == verified
    assert said["verified"] in (0, verified)  # where the store's word is enough, one line tells of both


async def keeps_secrets(archive, simulation, world):
    given = world.credentials
    secrets = [given.api_key, given.auth_token, given.api_key_secret, "X-Amz-Signature", "X-Amz-Credential"]
    signature = re.compile(r"X-Amz-Signature=([0-9a-f]{64})")
    signed = {signature.search(line.target)[1] for line in simulation.requests(host="media")}
    assert len(signed) > COUNT / 2  # the needles are there to be found
    places = {"log": archive.log.getvalue(), "metrics": archive.app.metrics.exposition().decode()}
    places |= {place: text async for place, text in archive.every_text()}
    for row in list((await archive.renditions()).values())[:50]:
        if row.key:
            places[row.key] = str((await archive.app.storage.head(row.key)).metadata)
    for place, text in places.items():
        assert not [secret for secret in secrets if secret in text], place
        assert not signed & set(re.findall(r"[0-9a-f]{64}", text)), place
    assert {"recordings.raw", "renditions.error", "ledger.reason"} <= places.keys()


def provider_was_treated_well(simulation, world):
    assert not [line for line in simulation.requests(host="media") if line.authorized]
    assert (world.deletions, world.bulk_deletions) == ([], [])
    assert not simulation.requests(method="DELETE")
    rooms = Counter(line.path for line in simulation.requests(path=r"^/v[12]/[Rr]ooms/"))
    assert len(rooms) > 20
    assert max(rooms.values()) <= 2  # once a day


def every_fate_was_there(world, before, after):
    now = world.now()
    fates = {
        Fate.LATE: any(each.listed_at is not None for each in world.recordings.values()),
        Fate.DELETED: any(row.state == "lost" for row in before.values()),
        Fate.DOOMED: any(row.state == "verified" and row.status == "deleted" for row in after.values()),
        Fate.ODD: any(each.status == "archiving" for each in world.recordings.values()),
        Fate.MUTED: any(each.muted for each in world.recordings.values()),
        Fate.EXTERNAL: any(row.state == "external" for row in before.values()),
        Fate.ENCRYPTED: any(row.metadata for row in before.values()),
        Fate.FAILED: any(each.failed for each in world.recordings.values()),
    }
    assert all(fates.values()), fates
    assert any(row.state == "waiting" and after[name].state == "verified" for name, row in before.items())
    assert any(name not in before for name in after)
    assert any(each.phase(now) is Phase.GONE for each in world.recordings.values())
