"""Fixity runs and lock repairs over an opened App: objects against the catalog, and what was found into the history."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from archiver.app import App, Counting
from archiver.catalog import evidence_locks, findings
from archiver.catalog import fixity as facts
from archiver.domain.fixity import KINDS, SEGMENT, STATEMENT
from archiver.domain.recording import State
from archiver.pipeline.fixity import Fixity, Result, damaged
from archiver.pipeline.relock import relock
from archiver.policies import lock_mode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime

    from archiver.domain.fixity import Evidence, Finding, Held

log = structlog.get_logger()


async def check(app: App, *, sample: int | None, part: tuple[int, int] | None, read_back: bool) -> Result:
    """One run: objects against the catalog; for whole runs and slices also evidence, and objects nobody knows."""
    actor = app.catalog.worker.name
    run = Fixity(storage=app.storage, observer=Counting(app.metrics), read_back=read_back, now=await app.database.now())
    result = Result()
    async for objects in facts.batches(app.database, sample=sample, part=part):
        result.passed.clear()
        before = len(result.findings)
        await run.check(objects, result)
        await _note(app, actor, objects, result.passed, result.findings[before:])
    if sample is None:
        await _check_evidence(app, actor, run, result, part)
        await run.untracked(lambda keys: facts.known_keys(app.database, keys), result)
    counts = {kind: result.count(kind) for kind in KINDS}
    data: dict[str, Any] = {"checked": result.checked, "ok": result.ok, "evidence": result.evidence, **counts}
    data |= {"read_back": read_back}
    data |= {"slice": f"{part[0]}/{part[1]}"} if part else {"sample": sample} if sample else {}
    await app.database.write(lambda tx: facts.ran(tx, actor, data))
    return result


async def _note(app: App, actor: str, objects: Sequence[Held], passed: Sequence[Held], found: Sequence[Finding]) -> None:
    back = [held.entry for held in passed if held.told_by_state and held.entry.state is State.DAMAGED]
    damage = [(finding.entry, f"{finding.kind}: {finding.says}") for finding in found if damaged(finding) and finding.entry]

    async def unit(tx: Any) -> None:
        await facts.looked_at(tx, objects)
        await facts.intact_again(tx, actor, back)
        await facts.found_damaged(tx, actor, damage)
        await findings.note(tx, actor, found, objects=objects)

    await app.database.write(unit)


async def _check_evidence(app: App, actor: str, run: Fixity, result: Result, part: tuple[int, int] | None) -> None:
    mode = lock_mode(app.settings)
    if not mode:
        return  # nothing is locked, and `ledger verify` reads what is there
    async for items in _evidence(app, part):
        before = len(result.findings)
        await run.check_evidence(items, result, mode=mode)
        note = partial(findings.note, actor=actor, found=result.findings[before:], objects=(), evidence=items)
        await app.database.write(note)


async def _evidence(app: App, part: tuple[int, int] | None) -> AsyncIterator[list[Evidence]]:
    for kind in (SEGMENT, STATEMENT):
        after = 0
        while True:
            async with app.database.read() as conn:
                items = await evidence_locks.page(conn, kind, after=after, part=part)
            if not items:
                break
            after = items[-1].number
            yield items


@dataclass(slots=True)
class Restored:
    """How many locks were put back, and why some could not be."""

    locked: int = 0
    problems: list[str] = field(default_factory=list)


async def restore_locks(app: App) -> Restored:
    """Puts back every lock that the last runs of fixity found too short, each with a line in the history.

    What is no longer locked as the catalog says, because its time is over, is left alone. Raises StorageUnavailable.
    """
    done = Restored()
    actor, now = app.catalog.worker.name, await app.database.now()
    mode = lock_mode(app.settings)
    for item in await app.database.ask(lambda conn: findings.unlocked(conn, mode=mode)):
        if item.until <= now:
            await app.database.write(partial(findings.over, actor=actor, item=item))
            continue
        end = await relock(app.storage, item)
        if end.problem:
            done.problems.append(f"{item.name}: not locked again: {end.problem}")
            log.error("lock_not_restored", key=item.key, problem=end.problem)
            continue
        await app.database.write(partial(findings.locked_again, actor=actor, item=item, before=end.before, after=end.after))
        done.locked += 1
        log.info("lock_restored", key=item.key, before=end.before, after=end.after)
    return done


async def daily(app: App, now: datetime) -> None:
    """The slice of the day: as many runs as the period has days look at every object once (G19)."""
    days = facts.PERIOD.days
    runs = max(1, round(facts.PERIOD / app.settings.schedule.verify_every))
    turn = int(now.timestamp() // app.settings.schedule.verify_every.total_seconds()) % runs + 1
    result = await check(app, sample=None, part=(turn, runs), read_back=app.settings.storage.verify == "read-back")
    say = log.error if result.findings else log.info
    counts = {kind: result.count(kind) for kind in KINDS}
    say("fixity_checked", checked=result.checked, ok=result.ok, **counts, slice=f"{turn}/{runs}", period_days=days)
