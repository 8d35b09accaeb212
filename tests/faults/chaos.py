"""Everything at once (G1): a fault on every tenth request, to providers, store and database alike, and kills all the while.

    python -m tests.faults.chaos --seed 3 --recordings 2000 --kills 100 --database postgresql --store localstack

In the end, with the faults gone and what was parked retried, nothing may be lost, doubled, wrong or left over. Retries come sooner
than they would for users (zygote.py, `--hurry`); everything else is the program as it is.
"""

import argparse
import asyncio
import contextlib
import random
import signal
import sys
from dataclasses import dataclass, field

from archiver.domain.errors import CatalogUnavailable
from archiver.simulator import actions, body_actions, page_actions
from archiver.simulator.behaviour import Behaviour
from archiver.simulator.faults import Faults, Rule
from tests.faults.arena import Arena, Store, steady_world
from tests.faults.found import tried
from tests.faults.jobs import spread
from tests.faults.kills import DATABASES, STORES, Servers, either, requests
from tests.faults.reach import Reach, Row
from tests.faults.zygote import Zygote
from tests.testbed.faults import Cut, DropReply, Refuse
from tests.testbed.proxy import proxy
from tests.testbed.scratch import scratch

SHARE = 0.10  # of all requests
BATTERED = 0.09  # of the requests to the store: answers dropped, connections cut, connections refused
COMMITS = 0.002  # of the pieces that go to the database: then the answer to the next commit is lost
UNDER_FIRE = 0.9  # of all renditions have to come to their ends while the faults last
LISTS = r"/(room_recordings|recordings|Recordings)\?"  # for faults that need a list to spoil
MANY = 2_000  # recordings, whose requests meet faults of every kind
PATIENCE = 20  # runs of some seconds, one after the other, that bring nothing to its end
METADATA_ADDRESS = "http://169.254.169.254/latest/meta-data/"

# name: (row of the matrix, weight, action)
API = {
    "api 429": (Row.RATE_LIMIT, 3, actions.status(429, retry_after="0")),
    "api 429 bare": (Row.RATE_LIMIT, 1, actions.status(429)),
    "api 500": (Row.SERVER_ERRORS, 3, actions.status(500)),
    "api 502 html": (Row.SERVER_ERRORS, 2, actions.status(502, body="html")),
    "api 503 empty": (Row.SERVER_ERRORS, 2, actions.status(503, body="empty")),
    "api no answer": (Row.NO_CONNECTION, 3, actions.no_answer(ending="rst")),
    "api cut": (Row.CUT_BODY, 2, actions.cut(0.5)),
    "api late": (Row.SLOW_PROVIDER, 2, actions.delay(0.2)),
    "api truncated": (Row.MALFORMED_BODY, 1, page_actions.garbled("truncated")),
    "api not json": (Row.MALFORMED_BODY, 1, page_actions.garbled("not json")),
    "api no list": (Row.MALFORMED_BODY, 1, page_actions.garbled("no list")),
    "api doubled": (Row.LISTED_TWICE, 2, page_actions.doubled()),
}
MEDIA = {
    "media 403": (Row.EXPIRED_LINK, 2, actions.status(403)),
    "media 404": (Row.MEDIA_REFUSED, 1, actions.status(404)),
    "media 500": (Row.SERVER_ERRORS, 2, actions.status(500)),
    "media 503": (Row.SERVER_ERRORS, 1, actions.status(503)),
    "media no answer": (Row.NO_CONNECTION, 1, actions.no_answer(ending="rst", done=False)),
    "media cut early": (Row.CUT_BODY, 2, actions.cut(1)),
    "media cut": (Row.CUT_BODY, 3, actions.cut(0.6, ending="rst")),
    "media cut at the end": (Row.CUT_BODY, 2, actions.cut(-1)),
    "media clean chunked cut": (Row.CLEAN_CUT, 2, actions.chunked(0.5)),
    "media cut until close": (Row.CLEAN_CUT, 1, actions.until_close(0.5)),
    "media cut http/1.0": (Row.CLEAN_CUT, 1, actions.until_close(0.9, version="1.0")),
    "media unterminated": (Row.CLEAN_CUT, 1, actions.chunked(0.7, terminated=False)),
    "media announces more": (Row.WRONG_LENGTH, 1, actions.announced(10)),
    "media announces less": (Row.WRONG_LENGTH, 1, actions.announced(-10)),
    "media gzip": (Row.ENCODED_BODY, 1, body_actions.gzipped()),
    "media gzip cut": (Row.ENCODED_BODY, 1, body_actions.gzipped("truncated")),
    "media html": (Row.NOT_MEDIA, 1, body_actions.instead("html")),
    "media noise": (Row.NOT_MEDIA, 1, body_actions.instead("noise")),
    "media empty": (Row.NOT_MEDIA, 1, body_actions.instead("empty")),
    "media 206": (Row.ODD_RANGES, 1, body_actions.partial()),
    "media 204": (Row.ODD_RANGES, 1, actions.status(204)),
    "media redirects": (Row.REDIRECTS, 1, actions.redirect(METADATA_ADDRESS)),
}
# Only a request with a Range can meet these, which are few: each of them does, then.
RESUMED = {
    "media ignores range": (Row.ODD_RANGES, 0.3, body_actions.range_ignored()),
    "media wrong range": (Row.ODD_RANGES, 0.2, body_actions.wrong_range()),
    "media new etag": (Row.ODD_RANGES, 0.2, body_actions.new_etag()),
}
ROWS = {name: row for table in (API, MEDIA, RESUMED) for name, (row, _weight, _action) in table.items()}
PROXY_ROWS = {"DropReply": Row.S3_LOST_REPLY, "Cut": Row.S3_ERRORS, "Refuse": Row.S3_ERRORS}
DATABASE_ROWS = {"DropReply": Row.DB_COMMIT, "Cut": Row.DB_DOWN}


class Script(Faults):
    """Faults, and others for requests with a Range."""

    def deliver(self, request, answer, world):
        rules = self.rules
        if "range" in request.headers and rules:
            self.rules = [
                Rule(name=name, action=action, host="media", probability=share) for name, (_row, share, action) in RESUMED.items()
            ]
        try:
            return super().deliver(request, answer, world)
        finally:
            self.rules = rules


def script(seed):
    """The fault script: a tenth of all requests, in shares by weight."""
    faults = Script(seed=seed)
    for host, table in (("telnyx", API), ("twilio", API), ("media", MEDIA)):
        whole = sum(weight for _row, weight, _action in table.values())
        left = 1.0
        for name, (_row, weight, action) in table.items():
            share = SHARE * weight / whole  # of all requests; the rule sees only those that the rules before it let pass
            path = LISTS if name in ("api doubled", "api no list") else ""
            faults.add(Rule(name=name, action=action, host=host, path=path, probability=share / left))
            left -= share
    return faults


def batter(store, chance):
    """Faults of the store's connections."""
    share = BATTERED / 3
    store.add(DropReply(request=rb"(?:PUT|POST|DELETE) /"), when=lambda _flow: chance() < share)
    store.add(Cut(after=0), when=lambda _flow: chance() < share)
    store.add(Refuse(), when=lambda _flow: chance() < share)


def batter_database(database, chance):
    """Commits whose answer is lost, and connections that break."""
    database.add(DropReply(request=rb"COMMIT"), when=lambda _flow: chance() < COMMITS)
    database.add(Cut(after=0), when=lambda _flow: chance() < COMMITS / 10)


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What one storm tried and found."""

    recordings: int = 0
    requests: int = 0
    faults: int = 0
    battered: int = 0  # connections of store and catalog that a fault touched
    kills: int = 0
    retried: int = 0
    under_fire: float = 0.0
    violations: list[str] = field(default_factory=list)

    def add(self, other):
        """Takes in what another storm tried."""
        self.under_fire = min(other.under_fire, self.under_fire) if self.recordings else other.under_fire
        for name in ("recordings", "requests", "faults", "battered", "kills", "retried", "violations"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def __str__(self):
        tried = f"{self.recordings:,} recordings, {self.requests:,} requests, {self.faults:,} faults, {self.kills} kills"
        done = f"{self.under_fire:.0%} done under fire, {self.retried} lines of what was parked"
        return f"{tried}, {done}: {len(self.violations)} violations"


async def storm(folder, seed, *, recordings, kills, database, store, servers, reach):
    """One catalog and one archive through it all, to the verdict."""
    rng = random.Random(f"chaos {seed} {database} {store}")
    world = steady_world(seed, recordings, large=max(3, recordings // 200))
    folder.mkdir(parents=True)
    outcome = Outcome(recordings=recordings)
    async with contextlib.AsyncExitStack() as stack:
        zygote = await stack.enter_async_context(Zygote.opened(hurry=True))
        place, behind = await _behind_a_proxy(stack, servers.store(store, folder))
        url, base = await _catalog_behind_a_proxy(stack, servers.catalog(database, folder))
        opened = Arena.opened(
            folder, catalog=url, store=place, world=world, zygote=zygote, faults=script(seed), behaviour=Behaviour()
        )
        arena = await stack.enter_async_context(opened)
        if behind:
            batter(behind, rng.random)
        if base:
            batter_database(base, rng.random)
        outcome.kills = await _kill(arena, rng, kills)
        outcome.under_fire = await _until_most_is_done(arena)
        faults = arena.simulation.faults
        faults.clear()
        for each in filter(None, (behind, base)):
            each.clear()
        outcome.retried = await _retry(arena)
        codes = await arena.finish()
        outcome.requests, outcome.faults = len(arena.simulation.audit), sum(faults.fired.values())
        reach.faults(faults, ROWS)
        reach.hit(Row.KILL, outcome.kills)
        for each, rows in ((behind, PROXY_ROWS), (base, DATABASE_ROWS)):
            if each:
                reach.proxy(each, rows)
                outcome.battered += each.fired.total()
        found = [str(violation) for violation in await arena.verdict()]
        found += [] if codes[-1] == 0 else [f"the last sync ended with {codes}"]
        found += (
            [] if outcome.under_fire >= UNDER_FIRE else [f"only {outcome.under_fire:.0%} came to an end while the faults lasted"]
        )
    numbers = f"--seed {seed} --recordings {recordings} --kills {kills}"
    command = f"python -m tests.faults.chaos {numbers} --database {database} --store {store}"
    outcome.violations = [f"{command}\n    {text}" for text in found]
    return outcome


async def _behind_a_proxy(stack, place):
    """The store's endpoint through a fault proxy, None for a folder."""
    if not place.endpoint:
        return place, None
    host, _, port = place.endpoint.partition("//")[2].partition(":")
    between = await stack.enter_async_context(proxy(host, int(port)))
    return Store(url=place.url, endpoint=between.url_for(place.endpoint), bucket=place.bucket), between


async def _catalog_behind_a_proxy(stack, url):
    if url.startswith("sqlite"):
        return url, None
    host, _, port = url.partition("@")[2].partition("/")[0].partition(":")
    between = await stack.enter_async_context(proxy(host, int(port)))
    return between.url_for(url), between


async def _kill(arena, rng, kills):
    """Starts the program and kills it, again and again; how many were killed and had not ended before."""
    done = 0
    share = 3 * len(arena.simulation.world.recordings) // max(1, kills)  # requests until the next one, so that all meet some work
    for _ in range(3 * kills):
        run = await arena.start(rng.choice(["sync", "run", "run"]))
        await either(run, requests(arena.simulation, rng.randint(1, 2 * share)))
        done += await run.kill() == -9
        if done == kills:
            break
    return done


async def _until_most_is_done(arena):
    """Works on under faults; which share of the renditions came to their ends meanwhile."""
    share, idle = 0.0, 0
    while share < UNDER_FIRE and idle < PATIENCE:
        run = await arena.start("run")
        await either(run, asyncio.sleep(4.0 + idle))
        await run.kill(signal.SIGTERM)
        before = share
        with contextlib.suppress(CatalogUnavailable):  # it is under fire, too
            share = await arena.done()
        idle = 0 if share > before else idle + 1
    return share


async def _retry(arena):
    """What used its attempts up, or was refused at once, is put back by its operator; how many lines he saw."""
    before = arena.log.stat().st_size
    await (await arena.start("retry", "--all-failed")).ended()
    with arena.log.open("rb") as file:
        file.seek(before)
        return sum(b"/" in line for line in file.read().splitlines())


def _part(task):
    """One pair of catalog and store, in a process of its own; what it tried, and what it reached."""
    (database, store), seed, recordings, kills = task
    reach = Reach("chaos")
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(scratch("chaos", in_memory=True))
        where = {"database": database, "store": store, "servers": Servers(stack), "reach": reach}
        outcome = asyncio.run(storm(folder / "storm", seed, recordings=recordings, kills=kills, **where))
    print(f"{database}, {store}: {outcome}", flush=True)
    return outcome, reach


def main(words=None):
    """Exit code 1 where a law broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--recordings", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--database", action="append", choices=DATABASES, help="may be repeated; both where not given")
    parser.add_argument("--store", action="append", choices=STORES, help="may be repeated; all where not given")
    parser.add_argument("--parts", type=int, default=1, help="storms over each pair of catalog and store, which share the work")
    parser.add_argument("--jobs", type=int, help="storms at once; as many as there are cores")
    given = parser.parse_args(words)
    pairs = [(d, s) for d in given.database or DATABASES for s in given.store or STORES for _ in range(given.parts)]
    share = (-(-given.recordings // len(pairs)), -(-given.kills // len(pairs)))
    total, reach = Outcome(), Reach("chaos")
    for outcome, reached in spread(_part, [(pair, given.seed + n, *share) for n, pair in enumerate(pairs)], jobs=given.jobs):
        total.add(outcome)
        reach.counts += reached.counts
    reach.save()
    missed = reach.missing(set(ROWS.values())) if given.recordings >= MANY else []
    print(*total.violations, *(["not reached:", *missed] if missed else []), f"chaos: {total}", sep="\n")
    what = f"{total.recordings:,} recordings, {total.requests:,} requests, {total.faults:,} faults at providers"
    print(tried(f"{what}, {total.battered:,} at store and catalog, {total.kills} kills", total.violations))
    return 1 if total.violations or missed else 0


if __name__ == "__main__":
    sys.exit(main())
