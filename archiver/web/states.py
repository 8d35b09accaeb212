"""The states in plain words: how each is called on a page, how good or bad it is, and in which order they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from archiver.domain.recording import State

if TYPE_CHECKING:
    from collections.abc import Mapping


class Tone(StrEnum):
    """How a fact is to be taken; also the name of its colour in the style sheet."""

    GOOD = "good"  # as it should be
    BUSY = "busy"  # on its way, nothing to do
    CALM = "calm"  # at an end that is in order
    BAD = "bad"  # somebody has to look


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """`said` finishes a sentence ("2 …"), `means` explains the state to somebody who has never heard of it."""

    said: str
    means: str
    tone: Tone


# In the order of the bar: what is safe first, what is on its way, what ended, and trouble at the right end.
WORDS: Mapping[State, Word] = {
    State.VERIFIED: Word(said="verified", means="archived; the stored bytes are proved to be the ones received", tone=Tone.GOOD),
    State.STORED: Word(said="stored, not yet verified", means="archived; the proof is outstanding", tone=Tone.BUSY),
    State.TRANSFERRING: Word(said="being transferred", means="on its way into the archive", tone=Tone.BUSY),
    State.DUE: Word(said="due", means="queued for transfer, or for another attempt", tone=Tone.BUSY),
    State.WAITING: Word(said="waiting", means="the provider is still processing it", tone=Tone.BUSY),
    State.EXTERNAL: Word(said="in your own bucket", means="the provider delivers it to your storage itself", tone=Tone.CALM),
    State.UNAVAILABLE: Word(said="without media", means="the provider has no media for it", tone=Tone.CALM),
    State.EXPIRING: Word(said="expiring", means="deletion by policy has begun", tone=Tone.CALM),
    State.EXPIRED: Word(said="expired by policy", means="deleted from the archive at the end of its retention", tone=Tone.CALM),
    State.FAILED: Word(said="failed", means="attempts are used up; an operator can retry it", tone=Tone.BAD),
    State.DAMAGED: Word(said="damaged", means="read back from the archive and not the same", tone=Tone.BAD),
    State.LOST: Word(said="lost", means="the provider deleted it before it was archived", tone=Tone.BAD),
}


_BY_NAME = {state.value: word for state, word in WORDS.items()}


def word(state: str) -> Word:
    """The words for a state; for one of a newer program, its own name."""
    return _BY_NAME.get(state) or Word(said=state, means="a state that this version does not know", tone=Tone.BAD)


def ordered(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """The states that have any, in the order of the table, those of a newer program last."""
    known = [(name, counts[name]) for name in _BY_NAME if counts.get(name)]
    return known + sorted((name, count) for name, count in counts.items() if count and name not in _BY_NAME)
