"""When a recording may be deleted at the provider: every condition of I14, looked at in the run that deletes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from archiver.domain.plan import ReleaseRule, release_reason
from archiver.domain.recording import ProviderStatus
from archiver.domain.retention import instant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from archiver.domain.plan import Candidate
    from archiver.domain.ports import StoredObject
    from archiver.domain.recording import Listed

_CHANGED = ("updated_at", "date_updated", "dateUpdated")  # how providers call the instant of a record's last change


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBack:
    """What was read back of one rendition in this run: the object as the store shows it, and the SHA-256 of its bytes."""

    stored: StoredObject
    sha256: str
    expected_sha256: str
    expected_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that was looked at afresh for one recording. `provider` is its record by a GET, `known` as the catalog has it."""

    provider: Listed
    known: Listed
    read_back: Mapping[str, ReadBack] = field(default_factory=dict)  # by rendition


def refusal(
    renditions: Sequence[Candidate], evidence: Evidence, rule: ReleaseRule, *, now: datetime, store: datetime
) -> str | None:
    """Why the provider's copy of a recording may not be deleted now; None where nothing speaks against it.

    `renditions` are all of the recording's, as the transaction that records the intention reads them; `now` is the catalog's
    instant, `store` the store's, against which its locks are held.
    """
    if not renditions:
        return "nothing of it is archived"
    for one in renditions:
        if one.holds:
            return f"{one.rendition} is held by {', '.join(one.holds)}"
        if one.erasure:
            return f"erasure {one.erasure} waits for it"
        if release_reason(one, rule, now=now) is None:
            return f"{one.rendition} is {one.state.value}, and not verified, locked and cooled off"
        problem = _unproved(one, evidence.read_back.get(one.rendition), rule, max(now, store))
        if problem is not None:
            return f"{one.rendition}: {problem}"
    return changed(evidence.known, evidence.provider)


def _unproved(one: Candidate, found: ReadBack | None, rule: ReleaseRule, now: datetime) -> str | None:
    if found is None:
        return "not read back in this run"
    if found.stored.size != found.expected_size or found.sha256 != found.expected_sha256:
        return f"read back {found.stored.size} bytes, SHA-256 {found.sha256}, and the catalog has others"
    until = found.stored.retain_until
    if rule.unlocked:
        return None
    if not found.stored.lock_mode or until is None or until <= now:
        return f"the store shows no lock on it (until {instant(until) if until else 'never'}, {one.lock_mode} in the catalog)"
    return None


def changed(known: Listed, now: Listed) -> str | None:
    """How the provider's record differs from the one that was archived; None where it is the same completed recording."""
    if now.recording_id != known.recording_id:
        return f"the provider answers with {now.recording_id}"
    if now.status is not ProviderStatus.COMPLETED:
        return f"the provider says {now.status_raw or now.status.value}"
    for name in ("size", "duration", "codec", "ended_at"):
        was, found = getattr(known, name), getattr(now, name)
        if was != found:
            return f"the provider's {name} is {found}, was {was}"
    for name in _CHANGED:
        if known.raw.get(name) != now.raw.get(name):
            return f"the provider changed it on {now.raw.get(name)}, known is {known.raw.get(name)}"
    return None
