"""Policies, rules of release and caps as the configuration gives them, in the words of the domain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archiver.config.rules import covered
from archiver.domain.plan import ReleaseRule
from archiver.domain.retention import Policy, evidence_lock
from archiver.pipeline.locking import Locking
from archiver.pipeline.planning import Caps, Rules

if TYPE_CHECKING:
    from datetime import datetime

    from archiver.config import Settings
    from archiver.domain.ports import Clock, Lock, Storage


def policies(settings: Settings) -> tuple[Policy, ...]:
    """The configured policies in their order."""
    return tuple(
        Policy(name=item.name, keep=str(item.keep), match=dict(item.match), years=item.keep.years, rest=item.keep.rest)
        for item in settings.policies
    )


def rules(settings: Settings) -> Rules:
    """Everything that decides about deletion."""
    releases = {
        item.name: ReleaseRule(after=item.delete_at_provider, unlocked=item.allow_unlocked_source_deletion)
        for item in settings.sources
        if item.delete_at_provider is not None
    }
    return Rules(policies=policies(settings), releases=releases)


def caps(settings: Settings, *, allowed: int | None = None) -> Caps:
    """How much one run may delete; `allowed` is an operator's own number."""
    return Caps(max_share=settings.retention.max_share, max_count=settings.retention.max_count, allowed=allowed)


def lock_mode(settings: Settings) -> str:
    """The mode that objects are locked in, "" where locks are off."""
    return settings.storage.object_lock if settings.storage.locks else ""


def lock_for_evidence(settings: Settings, now: datetime) -> Lock | None:
    """The lock of a piece of history, a certificate or a statement written at `now`; None where locks are off."""
    mode = lock_mode(settings)
    # By source and not by policy: `compliance` refuses a source of which anything might be kept for ever, and must not lock
    # the history of one that is covered for a hundred years.
    for_ever = not all(covered(source, settings.policies) for source in settings.sources)
    return evidence_lock(policies(settings), mode=mode, now=now, for_ever=for_ever) if mode else None


def locking(settings: Settings, storage: Storage, clock: Clock) -> Locking:
    """What gives new objects their locks and proves them."""
    late = settings.storage.late_lock
    return Locking(storage=storage, policies=policies(settings), mode=lock_mode(settings), late=late, clock=clock)
