"""How long what is kept: policies, the instant until which they keep a recording, and the lock that follows from it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Protocol

from archiver.domain.errors import ArchiverError
from archiver.domain.ports import Lock

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SHORTEST_LOCK = timedelta(days=1)  # of what is over already when it is archived: time to look at it before it goes
LONGEST_LOCK = timedelta(days=36_500)  # S3's own limit for a default retention; a later run lengthens what is kept for longer
FOR_EVER = 100  # calendar years that something without a policy is locked for, where locks are on at all
ZONES = timedelta(days=1)  # an end this far in the future is a provider's clock or zone; further, it is no end
DOUBT = 60.0  # seconds between two clocks beyond which nothing is deleted (I13)
_LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


class RefusedByPolicy(ArchiverError):
    """A lock, a hold, a cap, a clock in doubt or a plan that is no longer true forbids what was asked for (exit code 7)."""


class Subject(Protocol):
    """What a policy looks at; an Entry is one."""

    @property
    def source(self) -> str: ...
    @property
    def provider(self) -> str: ...
    @property
    def media_type(self) -> str: ...
    @property
    def room_id(self) -> str: ...
    @property
    def room_name(self) -> str: ...
    @property
    def participant_id(self) -> str: ...
    @property
    def participant_name(self) -> str: ...
    @property
    def started_at(self) -> datetime | None: ...
    @property
    def ended_at(self) -> datetime | None: ...
    @property
    def first_seen_at(self) -> datetime | None: ...
    @property
    def archived_at(self) -> datetime | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One `[[policy]]`. `keep` is the period as it is written; `years` are calendar years, `rest` comes on top of them."""

    name: str
    keep: str
    match: Mapping[str, str] = field(default_factory=dict)
    years: int = 0
    rest: timedelta = timedelta(0)
    _fingerprint: str = field(default="", init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Made once: a plan asks for it with every rendition."""
        object.__setattr__(self, "_fingerprint", hashlib.sha256(canonical(self.document())).hexdigest())

    def document(self) -> dict[str, Any]:
        """What decisions are made by, as the catalog keeps it."""
        return {"name": self.name, "match": dict(self.match), "keep": self.keep}

    def fingerprint(self) -> str:
        """SHA-256 (hex) of the document; a policy that was changed under its old name is another one."""
        return self._fingerprint

    def applies(self, subject: Subject) -> bool:
        """Whether every pattern fits; `room` and `participant` mean the provider's id or the name."""
        found = {
            "source": (subject.source,),
            "provider": (subject.provider,),
            "type": (subject.media_type,),
            "room": (subject.room_id, subject.room_name),
            "participant": (subject.participant_id, subject.participant_name),
        }
        return all(any(fnmatchcase(text, glob) for text in found[key]) for key, glob in self.match.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Until when something is kept, None for ever; by which policy, "" for none; and why, as a sentence."""

    until: datetime | None
    policy: str
    fingerprint: str
    why: str


def canonical(document: Any) -> bytes:
    """Canonical JSON (RFC 8785) of what has texts, whole numbers, lists and ASCII keys only."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode("utf-8", "surrogatepass")


def instant(at: datetime) -> str:
    """ISO 8601 with Z, with microseconds only where there are some."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def whole_second(at: datetime) -> datetime:
    """Rounded up: S3 counts seconds, and what is kept may only be kept longer."""
    at = at.astimezone(UTC)
    return at if at.microsecond == 0 else at.replace(microsecond=0) + timedelta(seconds=1)


def first_match(policies: Iterable[Policy], subject: Subject) -> Policy | None:
    """The policy that decides: the first that applies."""
    return next((policy for policy in policies if policy.applies(subject)), None)


def counted_from(subject: Subject, *, now: datetime) -> tuple[datetime, str]:
    """The instant a period is counted from, and what it is: the end; else the start; else when we first saw it.

    An end that lay more than a day in the future when the recording was archived is none: a compliance lock until 2106,
    because a provider once wrote 2099, could never be undone. Once it is past it is believed after all, as the period only
    grows by that: the clock may have been a year behind when the recording was archived.
    """
    latest = max(subject.archived_at or now, now) + ZONES
    for at, name in ((subject.ended_at, "its end"), (subject.started_at, "its start"), (subject.first_seen_at, "first seen")):
        if at is not None and at <= latest:
            return at, name
    return subject.archived_at or now, "archived"


def add_period(at: datetime, *, years: int, rest: timedelta) -> datetime:
    """Calendar years, then the rest; 29 February counts to 1 March where there is none. Rounded up to the second."""
    try:
        try:
            later = at.replace(year=at.year + years)
        except ValueError:
            later = at.replace(year=at.year + years, month=3, day=1)
        return whole_second(later + rest)
    except (ValueError, OverflowError):
        return _LAST


def retention(subject: Subject, policies: Iterable[Policy], *, now: datetime) -> Retention:
    """What the policies say of a recording; `now` matters only to one that is not archived yet."""
    policy = first_match(policies, subject)
    if policy is None:
        return Retention(until=None, policy="", fingerprint="", why="no policy matches: kept for ever")
    start, name = counted_from(subject, now=now)
    until = add_period(start, years=policy.years, rest=policy.rest)
    why = f"{policy.name} keeps it {policy.keep} from {name} {instant(start)}"
    return Retention(until=until, policy=policy.name, fingerprint=policy.fingerprint(), why=why)


def birth_lock(kept: Retention, subject: Subject, *, mode: str, now: datetime) -> tuple[Lock, str]:
    """The lock an object is created with, and why it ends when it does; never in the past, never beyond what S3 takes."""
    until, why = kept.until, kept.why
    if until is None:
        start, _name = counted_from(subject, now=now)
        until, why = add_period(start, years=FOR_EVER, rest=timedelta(0)), f"{why}, locked for {FOR_EVER} years"
    soonest, latest = whole_second(now + SHORTEST_LOCK), whole_second(now + LONGEST_LOCK)
    if until < soonest:
        return Lock(mode=mode, retain_until=soonest), f"{why}, which was over on {instant(until)}; locked for a day"
    if until > latest:
        return Lock(mode=mode, retain_until=latest), f"{why}, until {instant(until)}; locked as long as a store takes"
    return Lock(mode=mode, retain_until=until), why


def evidence_lock(policies: Sequence[Policy], *, mode: str, now: datetime, for_ever: bool = False) -> Lock:
    """The lock of what is evidence about recordings (history, certificates): as long as anything archived now may be kept.

    `for_ever` says that something may come that no policy matches; its history is then kept with it.
    """
    ends = [add_period(now, years=policy.years, rest=policy.rest) for policy in policies]
    if for_ever:
        ends.append(add_period(now, years=FOR_EVER, rest=timedelta(0)))
    until = max([*ends, whole_second(now + SHORTEST_LOCK)])
    return Lock(mode=mode, retain_until=min(until, whole_second(now + LONGEST_LOCK)))


def lock_problem(wanted: Lock, *, mode: str, until: datetime | None) -> str | None:
    """Why what a store shows is not the lock that was wanted; compliance is more than governance."""
    if not mode or until is None:
        return f"no lock, wanted {wanted.mode} until {instant(wanted.retain_until)}"
    if mode not in (wanted.mode, "compliance"):
        return f"lock mode {mode}, wanted {wanted.mode}"
    if until < wanted.retain_until.replace(microsecond=0):
        return f"locked until {instant(until)}, wanted {instant(wanted.retain_until)}"
    return None


def clock_doubt(ahead: Mapping[str, float]) -> str | None:
    """Why the clocks cannot be trusted with a deletion; None where all agree within a minute.

    `ahead` says for each other clock by how many seconds it is ahead of this machine's.
    """
    clocks = {"this machine": 0.0, **ahead}
    first, last = min(clocks, key=clocks.__getitem__), max(clocks, key=clocks.__getitem__)
    apart = clocks[last] - clocks[first]
    if apart <= DOUBT:
        return None
    return f"the clocks of {last} and {first} are {apart:.0f} s apart, at most {DOUBT:.0f} s are believed; nothing is deleted"
