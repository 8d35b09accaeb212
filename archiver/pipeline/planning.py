"""From policies to a plan, and from a plan to what it says: nothing else, nothing more, nothing that is no longer true."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from archiver.domain import plan as plans
from archiver.domain.errors import ObjectMissing
from archiver.domain.ledger import SEGMENTS, segment_key
from archiver.domain.plan import Action, Plan
from archiver.domain.retention import RefusedByPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from archiver.domain.keeping import Confirm, Keeping
    from archiver.domain.plan import Candidate, Item, Name, Read, ReleaseRule
    from archiver.domain.ports import Storage
    from archiver.domain.retention import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Everything that decides: policies in their order, and by source when its recordings may be deleted at the provider."""

    policies: tuple[Policy, ...]
    releases: Mapping[str, ReleaseRule]

    @property
    def decide(self) -> Confirm:
        """The decision about one rendition at one instant."""
        return partial(_decide, self)

    def sure(self, since: datetime | None) -> Rules:
        """The same rules, where the clocks are believed since an instant only."""
        return replace(self, releases={source: replace(rule, sure_since=since) for source, rule in self.releases.items()})


def _decide(rules: Rules, one: Candidate, now: datetime) -> Item:
    return plans.decide(one, policies=rules.policies, rules=rules.releases, now=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """How much one run may delete; `allowed` is an operator's own number in the place of both limits."""

    max_share: float
    max_count: int
    allowed: int | None = None


@dataclass(slots=True)
class Work:
    """What is to be done, in order: rows to expire, recordings to release."""

    expire: list[Candidate] = field(default_factory=list)
    release: dict[tuple[str, str], Candidate] = field(default_factory=dict)
    released_renditions: int = 0

    def take(self, one: Candidate, item: Item) -> None:
        """Keeps a decision that asks for something."""
        if item.action is Action.EXPIRE:
            self.expire.append(one)
        elif item.action is Action.RELEASE:
            self.release.setdefault((one.source, one.recording_id), one)
            self.released_renditions += 1


async def make(
    keeping: Keeping, rules: Rules, *, now: datetime, as_of: datetime | None = None
) -> tuple[Plan, dict[Name, Candidate]]:
    """The plan for `now`, and the candidates it was made of."""
    items, found = [], {}
    async for portion in keeping.candidates(as_of=as_of):
        for one in portion:
            items.append(rules.decide(one, now))
            found[one.name] = one
    return Plan(created_at=now, policies=rules.policies, items=tuple(items)), found


async def due(keeping: Keeping, rules: Rules, *, now: datetime) -> Work:
    """What a run at `now` has to do: the same decisions as a plan's, of which only those are kept that ask for something."""
    work = Work()
    if not rules.policies and not rules.releases and not await keeping.erasures():
        return work  # nothing can be over
    async for portion in keeping.candidates():
        for one in portion:
            work.take(one, rules.decide(one, now))
    return work


async def still_true(keeping: Keeping, rules: Rules, planned: Read, *, now: datetime) -> Work:
    """What is left to do of a plan; raises RefusedByPolicy where it is stale.

    Made again as of its own instant it has to say the same of everything, except of what it asked for and has happened.
    """
    old = plans.too_old(planned.created_at, now=now)
    if old is not None:
        raise RefusedByPolicy(old, hint="archiver retention plan -o FILE makes a new one")
    found, candidates = await make(keeping, rules, now=planned.created_at, as_of=planned.created_at)
    asked = {
        (item["source"], item["recording_id"], item["rendition"]) for item in planned.items if item["action"] != Action.KEEP.value
    }
    done = await keeping.settled(asked)
    told = plans.differences(planned, found, done=done)
    if told:
        raise RefusedByPolicy("the plan is stale: " + "; ".join(told), hint="archiver retention plan -o FILE makes a new one")
    work = Work()
    for item in found.items:
        if item.name in asked and item.name not in done:
            work.take(candidates[item.name], item)
    return work


async def refuse_over_caps(keeping: Keeping, work: Work, caps: Caps) -> list[str]:
    """Why the work is more than one run may do, a sentence for expiry and one for release; empty where it is within the caps."""
    total = await keeping.archived()
    counts = {"expiry": len(work.expire), "release": work.released_renditions}
    told = []
    for name, count in counts.items():
        over = plans.over_cap(count, of=total, max_share=caps.max_share, max_count=caps.max_count, allowed=caps.allowed)
        if over is not None:
            told.append(f"{name}: {over}")
    return told


async def older_than_its_archive(keeping: Keeping, storage: Storage) -> str | None:
    """Whether the catalog was restored from a copy: then the archive holds history that it does not know, holds perhaps."""
    last = await keeping.last_segment()
    if last:
        key = segment_key(last + 1)
        try:
            await storage.head(key)
        except ObjectMissing:
            return None
    else:
        key = await _first(storage)
        if not key:
            return None
    return f"the archive holds a piece of history ({key}) that this catalog does not know: it is older than its archive"


async def _first(storage: Storage) -> str:
    async for stored in storage.keys(SEGMENTS):
        return stored.key
    return ""
