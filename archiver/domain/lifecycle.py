"""The state machine of a rendition, as one table; nothing else knows which step may follow which.

`advance` decides; the catalog writes what it says, with one ledger event for each change.
"""

from __future__ import annotations

from enum import StrEnum

from archiver.domain.recording import ProviderStatus, State


class Event(StrEnum):
    """What can happen to a rendition; also the name of its ledger event."""

    DISCOVERED = "discovered"  # first seen in a list
    COMPLETED = "completed"  # the provider finished processing
    CLAIMED = "claimed"  # a worker took it
    RELEASED = "released"  # a worker gave it back untouched (drain, lease over)
    RETRY_SCHEDULED = "retry_scheduled"  # an attempt failed, another will follow
    STORED = "stored"
    VERIFIED = "verified"
    FAILED = "failed"
    LOST = "lost"
    UNAVAILABLE = "unavailable"
    EXTERNAL = "external"
    REAPPEARED = "reappeared"  # what was lost or unavailable is listed as completed again
    PROVIDER_DELETED = "provider_deleted"  # state stays: only the provider's status changes
    CONTENT_CHANGED = "content_changed"  # the provider lists other content for what was archived
    RETRIED = "retried"  # an operator asked for another round
    DAMAGED = "damaged"
    REPAIRED = "repaired"
    EXPIRING = "expiring"
    EXPIRED = "expired"
    ERASING = "erasing"  # the same intention on a person's request, from whatever state
    SPARED = "spared"  # an intention taken back: a hold, a lock or a refusal came in between; to be verified anew


S = State
TRANSITIONS: dict[Event, dict[State, State]] = {
    Event.COMPLETED: {S.WAITING: S.DUE},
    Event.CLAIMED: {S.DUE: S.TRANSFERRING, S.TRANSFERRING: S.TRANSFERRING},
    Event.RELEASED: {S.TRANSFERRING: S.DUE},
    Event.RETRY_SCHEDULED: {S.TRANSFERRING: S.DUE, S.STORED: S.STORED},
    Event.STORED: {S.TRANSFERRING: S.STORED},
    Event.VERIFIED: {S.STORED: S.VERIFIED, S.VERIFIED: S.VERIFIED, S.DAMAGED: S.VERIFIED},
    Event.FAILED: {S.TRANSFERRING: S.FAILED, S.WAITING: S.FAILED, S.DUE: S.FAILED},
    Event.LOST: {S.TRANSFERRING: S.LOST, S.WAITING: S.LOST, S.DUE: S.LOST, S.FAILED: S.LOST},
    Event.UNAVAILABLE: {S.TRANSFERRING: S.UNAVAILABLE, S.WAITING: S.UNAVAILABLE, S.DUE: S.UNAVAILABLE},
    Event.EXTERNAL: {S.TRANSFERRING: S.EXTERNAL, S.WAITING: S.EXTERNAL, S.DUE: S.EXTERNAL},
    Event.REAPPEARED: {S.LOST: S.DUE, S.UNAVAILABLE: S.DUE, S.EXTERNAL: S.DUE},
    Event.CONTENT_CHANGED: {S.STORED: S.DUE, S.VERIFIED: S.DUE, S.DAMAGED: S.DUE},
    Event.RETRIED: {S.FAILED: S.DUE, S.UNAVAILABLE: S.DUE, S.LOST: S.DUE},
    Event.DAMAGED: {S.STORED: S.DAMAGED, S.VERIFIED: S.DAMAGED, S.DAMAGED: S.DAMAGED},
    Event.REPAIRED: {S.DAMAGED: S.DUE},
    Event.EXPIRING: {S.STORED: S.EXPIRING, S.VERIFIED: S.EXPIRING},
    Event.EXPIRED: {S.EXPIRING: S.EXPIRED},
    Event.ERASING: {state: S.EXPIRING for state in S if state not in (S.TRANSFERRING, S.EXPIRING, S.EXPIRED)},
    Event.SPARED: {S.EXPIRING: S.STORED},
}

OPEN = frozenset({S.WAITING, S.DUE, S.TRANSFERRING, S.STORED, S.EXPIRING})  # something is still to be done
ARCHIVED = frozenset({S.STORED, S.VERIFIED})
UNARCHIVED = frozenset({S.WAITING, S.DUE, S.TRANSFERRING, S.FAILED})  # counts for freshness
ENDS = frozenset(State) - OPEN


class ImpossibleStep(Exception):
    """The table has no such step."""


def advance(state: State, event: Event) -> State:
    """The state after `event`; raises ImpossibleStep where the table has no such step."""
    try:
        return TRANSITIONS[event][state]
    except KeyError:
        raise ImpossibleStep(f"{event} cannot happen to a rendition that is {state}") from None


def first_state(status: ProviderStatus, *, external: bool) -> State:
    """The state in which a rendition enters the catalog."""
    if status is ProviderStatus.DELETED:
        return State.LOST
    if status is ProviderStatus.FAILED:
        return State.UNAVAILABLE
    if status is not ProviderStatus.COMPLETED:
        return State.WAITING
    return State.EXTERNAL if external else State.DUE


def on_listing(state: State, status: ProviderStatus, *, external: bool, changed: bool) -> Event | None:
    """What a fresh look at the provider's own record means for a rendition in `state`; None: nothing.

    `changed` says that the record announces other content than when the rendition was archived.
    Deletion is not decided here: a listed `deleted` still wants its second look (see `on_gone`).
    """
    if status is ProviderStatus.FAILED and state in (State.WAITING, State.DUE):
        return Event.UNAVAILABLE
    if status is not ProviderStatus.COMPLETED:
        return None
    if state is State.WAITING:
        return Event.EXTERNAL if external else Event.COMPLETED
    if state is State.LOST or (state is State.EXTERNAL and not external):
        return Event.REAPPEARED
    if changed and state is State.UNAVAILABLE:
        return Event.REAPPEARED
    if changed and state in TRANSITIONS[Event.CONTENT_CHANGED]:
        return Event.CONTENT_CHANGED
    return None


CONFIRMING_LOOKS = 2  # one look may be a replica that lags; two in a row, taken apart, are a fact


def on_gone(state: State, looks: int) -> Event | None:
    """What it means that the provider said, `looks` times in a row, that the recording is gone."""
    if looks < CONFIRMING_LOOKS:
        return None
    if state in TRANSITIONS[Event.LOST]:
        return Event.LOST
    return Event.PROVIDER_DELETED if state in (State.STORED, State.VERIFIED, State.DAMAGED, State.EXPIRING) else None
