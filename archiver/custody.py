"""Retention, holds in the store, releases and erasures over an opened App: what the daemon's jobs and the commands run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import structlog

from archiver.app import elapsed
from archiver.catalog.alarms import CANARY
from archiver.catalog.alarms import RETENTION as NOTE
from archiver.catalog.catalog import SqlCatalog
from archiver.catalog.keeping import SqlKeeping
from archiver.catalog.ledger import SqlHistory
from archiver.catalog.manifests import SqlFacts
from archiver.domain import errors
from archiver.domain.retention import RefusedByPolicy
from archiver.pipeline.canary import sing
from archiver.pipeline.clocks import Clocks
from archiver.pipeline.cycle import holding
from archiver.pipeline.erase import Eraser
from archiver.pipeline.evidence_locks import EvidenceLocks
from archiver.pipeline.expire import Ended, Expiry
from archiver.pipeline.hold import Held, StoreHolds
from archiver.pipeline.lengthen import Lengthening
from archiver.pipeline.planning import Work, due, older_than_its_archive, refuse_over_caps, still_true
from archiver.pipeline.release import Release, Releaser
from archiver.pipeline.seal import Sealer
from archiver.pipeline.side_by_side import side_by_side
from archiver.policies import caps, lock_mode, rules

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from archiver.app import App
    from archiver.domain.plan import Candidate, Read
    from archiver.pipeline.clocks import Time

log = structlog.get_logger()

LEASE = "retention"  # one run at a time, whoever asks for it


@dataclass(slots=True)
class Applied:
    """What a run did, and what it was kept from doing."""

    expired: list[Ended] = field(default_factory=list)
    released: list[Release] = field(default_factory=list)
    extended: int = 0
    guarded: int = 0  # segments and attestations with a longer lock now
    erased: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def refused(self) -> list[str]:
        """What was to be deleted and was not, with the reason."""
        kept = [f"{'/'.join(item.name)}: {item.reason}" for item in self.expired if not item.deleted]
        return kept + [f"{item.source}/{item.recording_id}: {item.reason}" for item in self.released if not item.deleted]


class Custody:
    """`actor` is who the history names. Made once by the daemon, so that a clock that is set while it runs is noticed."""

    def __init__(self, app: App, *, actor: str, elapsed: Callable[[], float] = elapsed) -> None:
        self._app = app
        self._rules = rules(app.settings)
        self.keeping = SqlKeeping(app.database, actor)
        # A worker of its own: to this process's polls its leases are somebody else's, so that they stay out of the way (F7).
        self._leases = SqlCatalog(app.database, replace(app.catalog.worker, name=f"{app.catalog.worker.name}+custody"))
        self._clocks = Clocks(clock=app.clock, keeping=self.keeping, storage=app.storage, elapsed=elapsed)

    # -- plans carried out

    async def apply(self, planned: Read, *, allowed: int | None) -> Applied:
        """Does exactly what a plan says; raises RefusedByPolicy where it is stale, over the caps, or the time is in doubt."""
        app = self._app
        async with holding(self._leases, app.clock, LEASE, wait=True):
            at = await self._certain()
            await self.keeping.sweep_holds()
            work = await still_true(self.keeping, self._rules.sure(at.sure_since), planned, now=at.now)
            over = await refuse_over_caps(self.keeping, work, caps(app.settings, allowed=allowed))
            if over:
                raise RefusedByPolicy("; ".join(over))
            applied = Applied()
            data = {"plan": planned.fingerprint}
            await self._carry_out(work, at, applied, data=data)
            return applied

    async def job(self) -> Applied | None:
        """The daemon's run: lengthens, then deletes within the caps what is over; None where another process is at it."""
        app = self._app
        async with holding(self._leases, app.clock, LEASE, wait=False) as ours:
            if not ours:
                return None
            applied = Applied()
            try:
                at = await self._certain()
                await self._lengthen(at, applied)
                await self._delete_what_is_due(at, applied)
            except RefusedByPolicy as refused:
                applied.problems.append(str(refused))
            except errors.StorageRefused as error:
                applied.problems.append(f"the store does not let this process delete: {error}")
            await self._tell(applied)
            return applied

    async def _lengthen(self, at: Time, applied: Applied) -> None:
        app, policies = self._app, self._rules.policies
        await self.keeping.remember(policies)
        mode = lock_mode(app.settings)
        lengthening = Lengthening(storage=app.storage, keeping=self.keeping, policies=policies, mode=mode)
        grown = await lengthening.run(at.now)
        evidence = await EvidenceLocks(storage=app.storage, keeping=self.keeping, mode=mode).run(at.now)
        applied.extended, applied.guarded = grown.extended, evidence.extended
        applied.problems += grown.problems + evidence.problems

    async def _delete_what_is_due(self, at: Time, applied: Applied) -> None:
        await self.keeping.sweep_holds()
        work = await due(self.keeping, self._rules.sure(at.sure_since), now=at.now)
        limits = caps(self._app.settings)
        expiring = Work(expire=work.expire)
        releasing = Work(release=work.release, released_renditions=work.released_renditions)
        for part in (expiring, releasing):
            over = await refuse_over_caps(self.keeping, part, limits)
            applied.problems += over
            await self._carry_out(Work() if over else part, at, applied, data={})
        applied.problems += applied.refused

    async def _certain(self) -> Time:
        """The time, where nothing speaks against deleting by it; raises RefusedByPolicy."""
        at = await self._clocks.look()
        doubt = at.doubt or await older_than_its_archive(self.keeping, self._app.storage)
        if doubt is not None:
            raise RefusedByPolicy(doubt)
        return at

    async def _carry_out(self, work: Work, at: Time, applied: Applied, *, data: Mapping[str, Any]) -> None:
        app = self._app
        confirm = self._rules.decide
        expiry = Expiry(storage=app.storage, keeping=self.keeping, clock=app.clock, confirm=confirm, time=at)
        begun = [found.one for found in await self.keeping.unfinished()]

        async def expire(one: Candidate) -> None:
            ended = await expiry.one(one.pk, data=data)
            if ended is not None:
                applied.expired.append(ended)

        await side_by_side([*begun, *work.expire], expire)
        lock = app.lock_for_ledger(at.now)
        rewrite = self._sealer().rewrite_without
        eraser = Eraser(storage=app.storage, keeping=self.keeping, expiry=expiry, rewrite=rewrite, lock=lock)
        applied.erased += (await eraser.run(delete=True)).executed
        for source in dict.fromkeys(source for source, _recording_id in work.release):
            await self._release(source, [name[1] for name in work.release if name[0] == source], at, applied)

    def _sealer(self) -> Sealer:
        app = self._app
        return Sealer(
            history=SqlHistory(app.database),
            facts=SqlFacts(app.database, app.catalog.worker.name),
            catalog=self._leases,
            storage=app.storage,
            clock=app.clock,
            lock_for_ledger=app.lock_for_ledger,
        )

    async def _release(self, source: str, ids: list[str], at: Time, applied: Applied) -> None:
        """Deletions at one provider, while nobody lists it: a list that shifts under its reader loses recordings (F7)."""
        app = self._app
        provider = app.providers.get(source)
        if provider is None:
            applied.problems.append(f"{source}: not opened here, nothing was deleted there")
            return
        rule = self._rules.sure(at.sure_since).releases[source]
        releaser = Releaser(provider=provider, storage=app.storage, keeping=self.keeping, rule=rule, time=at)
        async with (
            holding(self._leases, app.clock, f"poll:{source}", wait=True),
            holding(self._leases, app.clock, f"backfill:{source}", wait=True),
        ):
            for recording_id in ids:
                try:
                    applied.released.append(await releaser.one(recording_id))
                except errors.ProviderError as error:
                    applied.problems.append(f"{source}: {error}")
                    return

    async def _tell(self, applied: Applied) -> None:
        done = {
            "expired": sum(item.deleted for item in applied.expired),
            "released": sum(item.deleted for item in applied.released),
            "extended": applied.extended,
            "guarded": applied.guarded,
            "erased": applied.erased,
        }
        await self.keeping.note(NOTE, {**done, "problems": applied.problems[:20]})
        log.info("retention_applied", **done)
        for problem in applied.problems:
            log.warning("retention_refused", problem=problem)

    # -- the daemon's jobs

    async def daily(self) -> None:
        """The retention run, unless one ended lately: a daemon that is started again and again must not delete every time."""
        last = await self.keeping.noted(NOTE)
        every = self._app.settings.schedule.retention_every
        if last is None or await self.keeping.now() - last[1] >= every / 2:
            await self.job()

    async def holds(self) -> Held:
        """Brings the store's legal holds in line with the catalog's; every five minutes, so the clock is glanced at here."""
        self._clocks.glance()
        return await StoreHolds(storage=self._app.storage, keeping=self.keeping).run()

    async def canary(self) -> None:
        """Asks whether locks still hold, and notes the answer for status and readiness."""
        app, mode = self._app, lock_mode(self._app.settings)
        if not mode:
            if await self.keeping.noted(CANARY):
                await self.keeping.note(CANARY, {"ok": True, "off": True, "says": "locks are off"})
            return
        sung = await sing(app.storage, app.clock, mode=mode, late=app.settings.storage.late_lock)
        await self.keeping.note(CANARY, {"ok": sung.ok, "says": sung.says})
        if sung.ok:
            log.info("locks_proved", says=sung.says)
        else:
            log.error("locks_not_enforced", says=sung.says)
