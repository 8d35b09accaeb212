"""What a failed attempt means for a rendition: another try, an end, and why."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from archiver.domain import errors, lifecycle, retry
from archiver.domain.lifecycle import Event
from archiver.domain.recording import State
from archiver.domain.work import Outcome

if TYPE_CHECKING:
    from archiver.domain.recording import Entry

_NOT_ITS_FAULT = (errors.CredentialsRefused, errors.StorageRefused, errors.StorageFull, errors.CatalogUnavailable)
SECOND_LOOK = timedelta(seconds=5)  # apart enough for a lagging replica, soon enough for a one-shot run to see both


def after_error(entry: Entry, error: Exception, *, max_attempts: int, down: bool, chance: float) -> Outcome:
    """The outcome of an attempt that ended with `error`; decides between another try and an end.

    `down` says that not this recording but its whole source or the store is in trouble: such attempts use nothing up, or an
    hour's outage would park every recording. `chance` is a random number in [0, 1).
    """
    kind = type(error).__name__
    reason = str(error) if isinstance(error, errors.ArchiverError) else f"unexpected {kind}: {error}"
    last = entry.attempts + 1 >= max_attempts
    wait = retry.backoff(entry.attempts + 1, chance=chance)
    if entry.state is not State.TRANSFERRING:  # a check that could not be made says nothing about what is stored
        return Outcome(entry=entry, event=Event.RETRY_SCHEDULED, reason=reason, kind=kind, delay=wait)
    if isinstance(error, errors.RecordingGone):
        event = lifecycle.on_gone(entry.state, entry.gone_looks + 1)
        if event is Event.LOST:
            why = "the provider deleted it before it was archived: gone at two looks"
            return Outcome(entry=entry, event=event, reason=why, kind=kind, gone=True)
        delay = SECOND_LOOK * (1 + chance)
        return Outcome(entry=entry, event=Event.RETRY_SCHEDULED, reason=reason, kind=kind, delay=delay, counts=False, gone=True)
    if isinstance(error, errors.UrlRefused):
        return Outcome(entry=entry, event=Event.FAILED, reason=f"url_refused: {reason}", kind=kind)
    if isinstance(error, errors.RateLimited):
        asked = retry.wait_asked(error.wait, chance=chance)
        delay = wait if asked is None else timedelta(seconds=asked)
        return Outcome(entry=entry, event=Event.RETRY_SCHEDULED, reason=reason, kind=kind, delay=delay, counts=False)
    if down or isinstance(error, _NOT_ITS_FAULT):
        return Outcome(entry=entry, event=Event.RETRY_SCHEDULED, reason=reason, kind=kind, delay=wait, counts=False)
    if last and isinstance(error, errors.MediaUnavailable):
        why = f"the provider has had no media for it at {entry.attempts + 1} attempts: {reason}"
        return Outcome(entry=entry, event=Event.UNAVAILABLE, reason=why, kind=kind)
    if last or isinstance(error, errors.ObjectExists):
        return Outcome(entry=entry, event=Event.FAILED, reason=reason, kind=kind)
    return Outcome(entry=entry, event=Event.RETRY_SCHEDULED, reason=reason, kind=kind, delay=wait)
