"""What retention means to do, rendition by rendition and with a reason, before it does it; pure, so that it can be made again."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from archiver.domain.recording import ProviderStatus, State
from archiver.domain.retention import Policy, RefusedByPolicy, canonical, instant, retention

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

SCHEMA = "archiver.plan/1"
STALE = timedelta(days=7)  # a plan older than this is made anew
COOL_OFF = timedelta(hours=24)  # between verification and the end of the provider's copy (I14)
_SHOWN = 5  # differences named when a plan is refused

Name = tuple[str, str, str]


class Action(StrEnum):
    """What is to happen to one rendition."""

    EXPIRE = "expire"  # its objects are deleted from the archive
    RELEASE = "release"  # its recording is deleted at the provider
    KEEP = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRule:
    """When a source's recordings may be deleted at the provider; `unlocked` accepts a copy here that is not locked.

    `sure_since` is when the clocks were first believed again after a doubt: what was verified before counts from then.
    """

    after: timedelta
    unlocked: bool = False
    sure_since: datetime | None = None

    @property
    def age(self) -> timedelta:
        """How long after its verification: a day at least, unless somebody said that he knows what he does."""
        return self.after if self.unlocked else max(self.after, COOL_OFF)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A stored or verified rendition with everything a decision looks at.

    `whole`: every rendition of its recording is verified. `holds` are the cases that hold it. `erasure` names a request that
    waits, "" for none. `release` is "", intended or deleted: our own deletion at the provider.
    """

    pk: int
    recording_pk: int
    source: str
    provider: str
    recording_id: str
    rendition: str
    state: State
    status: ProviderStatus = ProviderStatus.COMPLETED
    media_type: str = ""
    room_id: str = ""
    room_name: str = ""
    participant_id: str = ""
    participant_name: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    first_seen_at: datetime | None = None
    archived_at: datetime | None = None
    verified_at: datetime | None = None
    retain_until: datetime | None = None
    lock_mode: str = ""
    policy: str = ""
    policy_fingerprint: str = ""
    release: str = ""
    size: int = 0
    whole: bool = True
    holds: tuple[str, ...] = ()
    erasure: str = ""

    @property
    def name(self) -> Name:
        """What people call it."""
        return self.source, self.recording_id, self.rendition

    @property
    def locked_until(self) -> datetime | None:
        """When the store's lock ends, as far as the catalog knows."""
        return self.retain_until if self.lock_mode else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One line of a plan."""

    source: str
    recording_id: str
    rendition: str
    action: Action
    reason: str
    policy: str | None
    retain_until: datetime | None
    holds: tuple[str, ...]

    @property
    def name(self) -> Name:
        """What people call it."""
        return self.source, self.recording_id, self.rendition

    def document(self) -> dict[str, Any]:
        """The line as JSON."""
        until = instant(self.retain_until) if self.retain_until else None
        return {**asdict(self), "action": self.action.value, "retain_until": until, "holds": list(self.holds)}


def decide(one: Candidate, *, policies: Iterable[Policy], rules: Mapping[str, ReleaseRule], now: datetime) -> Item:
    """What is to happen to one rendition at `now`, and why. Says nothing that depends on `now` except by the action itself."""
    kept = retention(one, policies, now=now)
    recorded = one.retain_until
    until = max(kept.until, recorded) if kept.until and recorded else kept.until or one.locked_until
    action, reason = _action(one, kept.why, kept.until, until, rules.get(one.source), now)
    return Item(
        source=one.source,
        recording_id=one.recording_id,
        rendition=one.rendition,
        action=action,
        reason=reason,
        policy=kept.policy or None,
        retain_until=until,
        holds=one.holds,
    )


def _action(
    one: Candidate, why: str, asked: datetime | None, until: datetime | None, rule: ReleaseRule | None, now: datetime
) -> tuple[Action, str]:
    if one.holds:
        return Action.KEEP, f"held by {', '.join(one.holds)}"
    if one.erasure:
        return _erase(one, now)
    releasable = release_reason(one, rule, now=now) if rule else None
    if releasable and (until is None or until > now):
        return Action.RELEASE, releasable
    if asked is None or until is None:
        return Action.KEEP, why
    if until > now:
        longer = f", and its retention was set to {instant(until)}" if until > asked else f", until {instant(until)}"
        return Action.KEEP, why + longer
    return Action.EXPIRE, f"{why}, which was over on {instant(until)}"


def _erase(one: Candidate, now: datetime) -> tuple[Action, str]:
    locked = one.locked_until
    if locked is not None and locked > now:
        return Action.KEEP, f"erasure {one.erasure} is lawful when its lock ends, on {instant(locked)}"
    return Action.EXPIRE, f"erasure {one.erasure}: no lock and no hold stands against it"


def release_reason(one: Candidate, rule: ReleaseRule, *, now: datetime) -> str | None:
    """Why the provider's copy may go as far as the catalog knows; None where it may not. The rest of I14 is looked at afresh."""
    if one.state is not State.VERIFIED or not one.whole or one.verified_at is None or one.release == "deleted":
        return None
    locked = one.locked_until is not None and one.locked_until > now
    if one.status is not ProviderStatus.COMPLETED or not (locked or rule.unlocked):
        return None
    counted = max(one.verified_at, rule.sure_since) if rule.sure_since else one.verified_at
    ripe = counted + rule.age
    return f"verified {instant(one.verified_at)}, may go at the provider since {instant(ripe)}" if ripe <= now else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole plan: each stored or verified rendition exactly once."""

    created_at: datetime
    policies: tuple[Policy, ...]
    items: tuple[Item, ...]

    def counts(self) -> dict[str, int]:
        """Items by action, every action named."""
        return {action.value: 0 for action in Action} | Counter(item.action.value for item in self.items)

    def of(self, action: Action) -> list[Item]:
        """The items with an action."""
        return [item for item in self.items if item.action is action]

    def fingerprint(self) -> str:
        """SHA-256 (hex) of the decisions and the policies they were made by: two plans that mean the same have the same."""
        digest = hashlib.sha256(canonical(_policies(self.policies)) + b"\n")
        for item in self.items:
            digest.update(canonical(item.document()) + b"\n")
        return digest.hexdigest()

    def document(self) -> dict[str, Any]:
        """`archiver.plan/1`. `checksum` covers the instant too, so that an edit anywhere shows."""
        body = {
            "schema": SCHEMA,
            "fingerprint": self.fingerprint(),
            "created_at": instant(self.created_at),
            "policies": _policies(self.policies),
            "counts": self.counts(),
            "items": [item.document() for item in self.items],
        }
        return {**body, "checksum": hashlib.sha256(canonical(body)).hexdigest()}


def _policies(policies: Sequence[Policy]) -> list[dict[str, Any]]:
    return [{**policy.document(), "fingerprint": policy.fingerprint()} for policy in policies]


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A plan as it is read from a file: its instant, its fingerprint, and its lines as they stand there."""

    created_at: datetime
    fingerprint: str
    items: tuple[Mapping[str, Any], ...]


def read(document: Any) -> Read:
    """The plan in a file; raises RefusedByPolicy where it is none, or was edited."""
    try:
        body = {name: value for name, value in document.items() if name != "checksum"}
        edited = document["checksum"] != hashlib.sha256(canonical(body)).hexdigest()
        created = datetime.fromisoformat(document["created_at"])
        found = Read(created_at=created.astimezone(UTC), fingerprint=document["fingerprint"], items=tuple(document["items"]))
        named = all(
            isinstance(item[key], str) for item in found.items for key in ("source", "recording_id", "rendition", "action")
        )
        other = document["schema"] != SCHEMA or created.tzinfo is None or not named
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RefusedByPolicy(f"this is no plan ({type(error).__name__})", hint="archiver retention plan -o FILE") from None
    if other:
        raise RefusedByPolicy(f"this is no {SCHEMA}", hint="archiver retention plan -o FILE")
    digest = hashlib.sha256(canonical(document["policies"]) + b"\n")
    for item in found.items:
        digest.update(canonical(item) + b"\n")
    if edited or digest.hexdigest() != found.fingerprint:
        raise RefusedByPolicy("the plan was edited: its fingerprint is not that of its content", hint="make a new one")
    return found


def too_old(created_at: datetime, *, now: datetime) -> str | None:
    """Why a plan of that instant is not applied now."""
    if created_at > now + timedelta(minutes=1):
        return f"the plan was made on {instant(created_at)}, which is in the future"
    if now - created_at > STALE:
        return f"the plan was made on {instant(created_at)}, more than {STALE.days} days ago"
    return None


def differences(planned: Read, found: Plan, *, done: Collection[Name]) -> list[str]:
    """How what would be planned now, as of the plan's own instant, differs from the plan; empty where it is still true.

    `done` are renditions with which what was planned has happened already: a plan may be applied again.
    """
    was = {(str(item["source"]), str(item["recording_id"]), str(item["rendition"])): item for item in planned.items}
    now = {item.name: item.document() for item in found.items}
    told = []
    for name in sorted(was.keys() | now.keys()):
        if name in done or was.get(name) == now.get(name):
            continue
        told.append(f"{'/'.join(name)}: {_said(was.get(name))}, now {_said(now.get(name))}")
    return [*told[:_SHOWN], *([f"and {len(told) - _SHOWN} more"] if len(told) > _SHOWN else [])]


def _said(item: Mapping[str, Any] | None) -> str:
    return f"{item['action']} ({item['reason']})" if item else "not in the plan"


def over_cap(count: int, *, of: int, max_share: float, max_count: int, allowed: int | None) -> str | None:
    """Why a run may not delete `count` of `of` renditions; `allowed` is an operator's own number, in the place of both caps."""
    if allowed is not None:
        return f"{count:,} would be deleted, --max-count allows {allowed:,}" if count > allowed else None
    by_share = int(max_share * of)
    if count <= min(by_share, max_count):
        return None
    share = f"retention.max_share ({max_share:g} of {of:,}) allows {by_share:,}"
    return (
        f"{count:,} would be deleted, {share} and retention.max_count {max_count:,} in one run; --max-count {count} allows them"
    )
