"""One trial of the crash sweep: killed here and there, restarted until nothing is due, and held to every law."""

from dataclasses import dataclass, field
from datetime import timedelta

import sqlalchemy as sa
import structlog

from archiver.catalog.tables import recordings, renditions
from archiver.domain.errors import ArchiverError
from archiver.domain.invariants import Violation
from archiver.pipeline.sweep import sweep
from tests.faults.crash_flows import FLOWS, sync
from tests.faults.crash_place import SECRET
from tests.faults.crash_ports import MortalDatabase
from tests.faults.crash_process import Life, crash_loop
from tests.faults.crash_stage import SOURCE
from tests.faults.invariants import check_invariants
from tests.faults.virtual_time import SimClock

LEASES = 60.0  # virtual seconds that a restart on another machine may take longer: it has to wait for the leases of the dead
ROUNDS = 20  # of sync until nothing is due any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One trial: the instants at which the first process dies, then the one that recovers, …"""

    flow: str
    database: str = "sqlite"
    store: str = "memory"
    at: tuple[int, ...] = ()
    lose: bool = False
    elsewhere: bool = False  # the next process runs on another machine

    def __str__(self):
        more = f"{' --lose' if self.lose else ''}{' --elsewhere' if self.elsewhere else ''}"
        at = ",".join(map(str, self.at))
        return f"python -m tests.faults.crash {self.flow} --database {self.database} --store {self.store} --at {at}{more}"


@dataclass(slots=True, kw_only=True)
class Trial:
    """What came of it. `struck` names the instants of the kills; `instants` are those of the last process that could be killed."""

    case: Case
    struck: list[str] = field(default_factory=list)
    instants: list[str] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)

    @property
    def reached(self):
        """Whether every kill took place."""
        return len(self.struck) == len(self.case.at)

    def __str__(self):
        told = "\n".join(f"    {violation}" for violation in self.violations)
        return f"{self.case}\n  killed at: {' | '.join(self.struck)}\n{told}"


def attempt(place, case):
    """Runs one trial; its violations are empty when every law holds."""
    said = []
    before = structlog.get_config()
    structlog.configure(processors=[lambda _logger, _level, line: _keep(said, line)], cache_logger_on_first_use=False)
    try:
        with place.stage(case) as stage, crash_loop() as runner:
            trial = runner.run(_trial(stage, case))
            trial.violations += runner.run(_verdict(stage, case, "\n".join(said)))
    finally:
        structlog.configure(**before)
    return trial


def _keep(said, line):
    said.append(str(line))
    raise structlog.DropEvent


async def _trial(stage, case):
    trial = Trial(case=case)
    flow = FLOWS[case.flow]
    for number, at in enumerate(case.at or (None,)):
        life = Life(kill_at=at, lose=case.lose)

        async def run(life=life, first=number == 0):
            if not first:
                life.arm()
            async with stage.process(life) as app:
                if first:
                    await flow.before(stage, app)
                life.arm()
                await (flow.act if first else flow.again or sync)(stage, app)

        try:
            await life.run(run())
        except ArchiverError:
            if not case.lose:
                raise
        trial.instants = life.instants
        if life.struck:
            trial.struck.append(life.struck)
    trial.violations += await _recover(stage, case)
    return trial


async def _recover(stage, case):
    """A new process works until nothing is due; a day later it sweeps. Says where that took too long."""
    found = []

    async def run(life):
        async with stage.process(life, host="there" if case.elsewhere else "here") as app:
            began = app.clock.monotonic()
            for _ in range(ROUNDS):
                await (FLOWS[case.flow].again or sync)(stage, app)
                due = await app.catalog.next_due(sources=[SOURCE])
                if due is None and not (await app.catalog.counts()).get(SOURCE, {}).get("transferring"):
                    break
                await app.clock.sleep(due or 5)
            took = app.clock.monotonic() - began
            most = FLOWS[case.flow].patience + LEASES * case.elsewhere
            if took > most and not case.lose:
                found.append(
                    Violation(law="G12 restart", thing=case.flow, says=f"{took:.0f} s until all was done, at most {most:.0f}")
                )
            await app.clock.sleep(timedelta(hours=25).total_seconds())
            await sweep(storage=app.storage, catalog=app.catalog, clock=app.clock)

    life = Life()
    await life.run(run(life))
    return found


async def _verdict(stage, case, said):
    """Every law, and what this flow promises besides."""
    flow = FLOWS[case.flow]
    left = {upload.upload_id: upload.key async for upload in stage.store.uploads()}
    found = [Violation(law="I18 foreign", thing=upload, says="was aborted") for upload in stage.foreign if upload not in left]
    for upload in stage.foreign:
        await stage.store.abort(left.get(upload, "x"), upload)
    clock = SimClock("verdict")
    async with MortalDatabase(stage.driver, clock=clock.now, life=Life()) as database:
        found += await check_invariants(
            database, stage.store, stage.truth(), now=clock.now(), texts={"the log": said}, secrets=[SECRET]
        )
        found += await _endings(database, stage, flow)
    if stage.provider.gone != flow.gone:
        says = f"{sorted(stage.provider.gone)} deleted at the provider, must be {sorted(flow.gone)}"
        found.append(Violation(law="I14 deletion", thing=case.flow, says=says))
    if flow.refetched is not None and not case.lose:
        for name, served in stage.served.items():
            most = len(stage.provider.files[name].body) + flow.refetched * len(case.at)
            if served > most:
                found.append(Violation(law="refetched", thing=name[0], says=f"{served} bytes served, at most {most} needed"))
    return found


async def _endings(database, stage, flow):
    query = sa.select(recordings.c.recording_id, renditions.c.state, renditions.c.error)
    async with database.read() as conn:
        rows = (await conn.execute(query.join(renditions, renditions.c.recording_pk == recordings.c.id))).all()
    wanted = {
        name: flow.ends.get(name, "waiting" if name == "busy" and ("busy", "media") not in stage.provider.files else "verified")
        for name in stage.provider.ever
    }
    return [
        Violation(law="ending", thing=row.recording_id, says=f"{row.state}, must be {wanted[row.recording_id]} ({row.error})")
        for row in rows
        if row.state != wanted[row.recording_id]
    ]
