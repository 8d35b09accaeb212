"""One fixity run over an opened App: objects against the catalog, and what was found into the history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from archiver.app import App, Counting
from archiver.catalog import fixity as facts
from archiver.domain.recording import State
from archiver.pipeline.fixity import KINDS, Fixity, Result, damaged

if TYPE_CHECKING:
    from datetime import datetime

    from archiver.domain.recording import Entry

log = structlog.get_logger()


async def check(app: App, *, sample: int | None, part: tuple[int, int] | None, read_back: bool) -> Result:
    """One run: objects against the catalog, and for whole runs and slices also objects nobody knows."""
    actor = app.catalog.worker.name
    run = Fixity(storage=app.storage, observer=Counting(app.metrics), read_back=read_back, now=await app.database.now())
    result = Result()
    async for entries in facts.batches(app.database, sample=sample, part=part):
        result.passed.clear()
        before = len(result.findings)
        await run.check(entries, result)
        damage = [(finding.entry, f"{finding.kind}: {finding.says}") for finding in result.findings[before:] if damaged(finding)]
        await _note(app, actor, result.passed, [item for item in damage if item[0] is not None])
    if sample is None:
        await run.untracked(lambda keys: facts.known_keys(app.database, keys), result)
    counts = {kind: result.count(kind) for kind in KINDS}
    data: dict[str, Any] = {"checked": result.checked, "ok": result.ok, **counts, "read_back": read_back}
    data |= {"slice": f"{part[0]}/{part[1]}"} if part else {"sample": sample} if sample else {}
    await app.database.write(lambda tx: facts.ran(tx, actor, data))
    return result


async def _note(app: App, actor: str, passed: list[Entry], damage: list[Any]) -> None:
    fine = [item for item in passed if item.state is not State.DAMAGED]
    back = [item for item in passed if item.state is State.DAMAGED]

    async def unit(tx: Any) -> None:
        await facts.passed(tx, fine)
        await facts.intact_again(tx, actor, back)
        await facts.found_damaged(tx, actor, damage)

    await app.database.write(unit)


async def daily(app: App, now: datetime) -> None:
    """The slice of the day: as many runs as the period has days look at every object once (G19)."""
    days = facts.PERIOD.days
    runs = max(1, round(facts.PERIOD / app.settings.schedule.verify_every))
    turn = int(now.timestamp() // app.settings.schedule.verify_every.total_seconds()) % runs + 1
    result = await check(app, sample=None, part=(turn, runs), read_back=app.settings.storage.verify == "read-back")
    say = log.error if result.findings else log.info
    counts = {kind: result.count(kind) for kind in KINDS}
    say("fixity_checked", checked=result.checked, ok=result.ok, **counts, slice=f"{turn}/{runs}", period_days=days)
