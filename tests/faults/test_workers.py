"""Several processes share one PostgreSQL without a word between them; one SQLite file has one daemon, and commands beside it."""

import asyncio
import signal

import pytest

from archiver.domain.work import HEARTBEAT, LEASE
from archiver.pipeline.pump import LONGEST_NAP
from tests.faults.arena import Arena, Store, migrated, steady_world
from tests.faults.reach import Reach, Row
from tests.faults.workers import TAKEN_OVER, campaign, overlapping
from tests.faults.zygote import Zygote


def judged(tally, name):
    assert tally.violations == []
    assert tally.refused, "no zombie tried to write: the campaign proves nothing"
    reach = Reach(name)
    reach.hit(Row.ZOMBIES, tally.refused.total())
    reach.hit(Row.KILL, tally.kills)
    reach.save()
    print(f"\n{name}: {tally}")


@pytest.mark.timeout(240)
async def test_three_processes_share_the_work_and_refuse_what_zombies_write(tmp_path, postgres):
    """Three stops in eight seconds may all find a process that just had nothing to write: then it is played again."""
    for seed in (1, 2, 3):
        store = Store(url=f"file://{tmp_path}/archive-{seed}")
        with postgres.database() as url:
            crew = tmp_path / f"crew-{seed}"
            tally = await campaign(crew, seed, database_url=url, store=store, workers=3, seconds=8.0, recordings=120)
        assert tally.violations == []
        assert len(tally.transferred) >= 3, "one process did all the work"
        if tally.refused:
            break
    judged(tally, "workers, 3 of them")


@pytest.mark.faults
@pytest.mark.timeout(900)
@pytest.mark.parametrize("workers", [2, 5, 8])
async def test_many_processes_on_a_bucket_leave_one_version_of_everything(tmp_path, postgres_url, s3_bucket, workers):
    store = Store(url=f"{s3_bucket.url}/archive", endpoint=s3_bucket.endpoint_url, bucket=s3_bucket)
    tally = await campaign(
        tmp_path / "crew", workers, database_url=postgres_url, store=store, workers=workers, seconds=60.0, recordings=300
    )
    judged(tally, f"workers, {workers} of them")


def test_a_dead_worker_is_replaced_within_a_minute():
    assert LEASE.total_seconds() + LONGEST_NAP <= 60
    assert LEASE.total_seconds() > HEARTBEAT * 2  # one renewal may fail
    assert TAKEN_OVER < 60


def test_polls_of_one_source_at_the_same_time_are_seen():
    def line(source, end, seconds):
        return {"source": source, "timestamp": f"2027-03-01T12:00:{end:02}Z", "seconds": seconds}

    assert overlapping([line("a", 10, 5.0), line("b", 12, 5.0), line("a", 16, 5.0)]) == []
    assert len(overlapping([line("a", 10, 5.0), line("a", 13, 5.0)])) == 1


async def test_a_second_daemon_on_sqlite_is_refused_with_the_holders_name_and_commands_work_beside_the_first(tmp_path):
    reach = Reach("two daemons")
    opened = {
        "catalog": migrated(f"sqlite:///{tmp_path}/catalog.db"),
        "store": Store(url=f"file://{tmp_path}/archive"),
        "world": steady_world(5, 20),
    }
    async with Zygote.opened() as zygote, Arena.opened(tmp_path / "arena", **opened, zygote=zygote) as arena:

        async def command(*words):
            log = tmp_path / f"{'-'.join(words)}.log"
            run = await zygote.start("--config", arena.folder / "archiver.toml", "--log-format", "json", *words, log=log)
            return await run.ended(), log.read_text()

        first = await arena.start("run")
        await worked(arena, "verified", 15)
        code, said = await command("run")
        assert code == 5
        assert "is worked on by another daemon: run@" in said
        assert f":{first.pid}:" in said
        assert "Traceback" not in said
        reach.hit(Row.TWO_DAEMONS)
        for words in (
            ["status", "--json"],
            ["list", "--json"],
            ["sync", "--json"],
            ["retry", "--all-failed"],
            ["catalog", "check"],
        ):
            code, said = await command(*words)
            assert code == 0, said
        assert not first.over
        assert await first.kill(signal.SIGTERM) == 0
        assert await arena.verdict() == []
    reach.save()


async def worked(arena, event, count):
    async with asyncio.timeout(60):
        while not arena.log.exists() or len(arena.said(event)) < count:  # noqa: ASYNC110 -- said by another process
            await asyncio.sleep(0.05)
