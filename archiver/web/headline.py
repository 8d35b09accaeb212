"""The one sentence at the top: is everything archived? And the bars below it. Numbers in them add up to the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from archiver.web import measures
from archiver.web.states import Tone, ordered, word

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDE, NARROW = 0.8, 1.5  # percent that the rarest state gets, by the bar's size: one lost recording in a million must be seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of the rest: how many, and what is the matter with them."""

    count: int
    says: str
    tone: Tone


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """`sentence` answers; `rest` accounts for whatever is not verified, trouble first."""

    sentence: str
    rest: Sequence[Part]
    tone: Tone

    @property
    def spoken(self) -> str:
        """All of it on one line."""
        return "; ".join(
            [self.sentence, ", ".join(f"{measures.number(part.count)} {part.says}" for part in self.rest)]
        ).removesuffix("; ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One state of a bar: `start` and `width` in percent of it."""

    state: str
    count: int
    share: str
    start: float
    width: float


def headline(counts: Mapping[str, int], *, several: bool, ready: bool) -> Headline:
    """The sentence for counts by state.

    What the catalog counts are renditions; where a recording may have `several`, they are called media files.
    """
    total, verified = sum(counts.values()), counts.get("verified", 0)
    noun = "media file" if several else "recording"
    rest = _rest([(state, count) for state, count in ordered(counts) if state != "verified"])
    tones = {part.tone for part in rest}
    tone = Tone.BAD if Tone.BAD in tones or not ready else Tone.BUSY if Tone.BUSY in tones else Tone.GOOD
    if total == 0:
        return Headline(sentence="No recordings yet", rest=(), tone=Tone.CALM if ready else Tone.BAD)
    if verified == total:
        sentence = (
            f"The only {noun} is archived and verified" if total == 1 else f"All {_many(total, noun)} archived and verified"
        )
    else:
        sentence = f"{measures.number(verified)} of {_many(total, noun)} archived and verified"
    return Headline(sentence=sentence, rest=rest, tone=tone)


def _rest(others: Sequence[tuple[str, int]]) -> list[Part]:
    """Every kind of trouble by its name; what is on its way together, and what has ended in order together."""
    of = {tone: [(state, count) for state, count in others if word(state).tone is tone] for tone in Tone}
    parts = [Part(count=count, says=word(state).said, tone=Tone.BAD) for state, count in of[Tone.BAD]]
    together = {Tone.BUSY: lambda _: "on their way", Tone.CALM: _either}
    for tone, says in together.items():
        if of[tone]:
            words = [word(state).said for state, _ in of[tone]]
            count = sum(count for _, count in of[tone])
            parts.append(Part(count=count, says=says(words) if len(words) > 1 else words[0], tone=tone))
    return parts


def _either(words: Sequence[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]])


def _many(count: int, noun: str) -> str:
    return f"{measures.number(count)} {noun}{'' if count == 1 else 's'}"


def segments(counts: Mapping[str, int], *, least: float) -> list[Segment]:
    """A bar: every state that has any gets `least` percent, widths add up to 100."""
    shown = ordered(counts)
    total = sum(count for _, count in shown)
    if total == 0:
        return []
    widths = [max(least, 100 * count / total) for _, count in shown]
    scale = 100 / sum(widths)
    result, start = [], 0.0
    for (state, count), width in zip(shown, widths, strict=True):
        wide = width * scale
        share = measures.share(count, total)
        result.append(Segment(state=state, count=count, share=share, start=round(start, 4), width=round(wide, 4)))
        start += wide
    return result
