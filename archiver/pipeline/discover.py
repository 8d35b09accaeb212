"""From a provider's lists to the catalog: walks, passes, watermark, and what has vanished."""

from __future__ import annotations

import dataclasses
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from archiver.domain import errors, windows
from archiver.domain.recording import ProviderStatus, RecordingRef
from archiver.domain.windows import Walk
from archiver.domain.work import PRIORITY_LIVE, Gone, PassResult
from archiver.pipeline.side_by_side import side_by_side

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from archiver.domain.ports import Clock, Listing, Provider
    from archiver.domain.recording import Listed, Room
    from archiver.domain.windows import Window
    from archiver.domain.work import Catalog, Known

log = structlog.get_logger()

ZONES = timedelta(hours=14)  # a provider's day may begin this much earlier or later than ours
OPEN_A_POLL = 200  # open recordings, rooms and suspects asked for by id in one poll
ROOMS_A_POLL = 100
SUSPECTS_A_POLL = 100
MOSTLY_GONE = 0.5  # a listing that misses more than this share of what ended in it is a suspect itself …
FEW = 10  # … unless there were hardly any
SICK_A_POLL = 3  # records or rooms that may fail by themselves in one poll; more, and it is the provider that fails
LOOKS_APART = timedelta(hours=1)  # then each single recording has to be gone at two looks this far apart


@dataclass(slots=True)
class Pass:
    """What a poll or a backfill of one source saw so far; filled as it goes."""

    results: list[PassResult] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    suspects: dict[str, RecordingRef] = field(default_factory=dict)  # listed as deleted
    gone: set[str] = field(default_factory=set)  # asked for by id, and not there
    listed: int = 0
    new: int = 0
    rejected: int = 0
    problems: list[str] = field(default_factory=list)
    lost: int = 0
    sick: int = 0

    @property
    def complete(self) -> bool:
        """Whether every window of it was walked to the end and is believed."""
        return all(result.complete for result in self.results)


class Discovery:
    """Discovers one source; holds no state between polls, all of it is in the catalog."""

    def __init__(self, *, provider: Provider, catalog: Catalog, clock: Clock, lookback: timedelta) -> None:
        self._provider = provider
        self._catalog = catalog
        self._clock = clock
        self._lookback = lookback
        self._source = provider.source
        self._log = log.bind(source=provider.source)

    @property
    def kind(self) -> str:
        """The provider's name in the configuration."""
        return self._provider.kind

    async def poll(self) -> Pass:
        """One poll: every list, then what is open, then what has vanished, then rooms.

        The watermark moves only when every list was walked completely. Raises the errors of `Provider.pages`; whatever was
        listed before is in the catalog then, the watermark is where it was.
        """
        started = self._clock.now()
        state = await self._catalog.source_state(self._source)
        window = windows.live_window(now=started, watermark=state.watermark, lookback=self._lookback)
        seen = Pass()
        try:
            for listing in self._provider.listings:
                await self._window(seen, listing, window if listing.windowed else None, PRIORITY_LIVE)
        except errors.ProviderError as error:
            await self._finish(seen, problem=str(error))
            raise
        missing = await self._missing(seen, window) if seen.complete else []
        odd = mostly_gone(missing=sum(item.ref.recording_id not in seen.ids for item in missing), known=len(missing))
        if odd is not None:
            self._log.error("listing_mostly_gone", problem=odd)
            seen.results = [dataclasses.replace(result, complete=False, problem=odd) for result in seen.results]
        seen.problems += dict.fromkeys(result.problem for result in seen.results if result.problem)
        await self._finish(seen, problem="; ".join(seen.problems), watermark=started if seen.complete else None)
        await self._ask_again(seen)
        await self._vanished(seen, missing, odd=odd is not None)
        await self._rooms(seen)
        return seen

    async def day(self, day: Window, *, priority: int) -> Pass:
        """One day of history: the windowed lists only. Raises the errors of `Provider.pages`."""
        seen = Pass()
        for listing in self._provider.listings:
            if listing.windowed:
                await self._window(seen, listing, day, priority)
        await self._rooms(seen)
        return seen

    async def look(self, ids: Sequence[str], *, spared: Collection[str] = ()) -> Pass:
        """Asks for recordings that a webhook named: what is there is catalogued, known or not; an absence counts as one look.

        The absence of those `spared` does not count. The watermark stays where it is. Raises the errors of `Provider.get` that
        concern the whole source.
        """
        seen = Pass()
        await side_by_side(ids, lambda each: self._look(seen, self._ref(each), looks=0 if each in spared else 1))
        return seen

    async def _finish(self, seen: Pass, *, problem: str, watermark: datetime | None = None) -> None:
        await self._catalog.finish_pass(self._source, self._provider.kind, seen.results, watermark=watermark)
        if problem:
            await self._catalog.record_problem(self._source, self._provider.kind, problem)

    # -- walks -----------------------------------------------------------------------------------------------------

    async def _window(self, seen: Pass, listing: Listing, window: Window | None, priority: int) -> None:
        """Lists a window in one page if it fits, else day by day, so that pages have as little time as possible to shift."""
        started = self._clock.now()
        divisible = window is not None and window.first != window.last
        walks: list[Walk] = []
        confirmed = await self._catalog.confirmed_ids(self._source, listing.name, window)
        while windows.walk_again(walks, confirmed=confirmed) and len(walks) < windows.MOST_WALKS:
            walk = await self._walk(seen, listing, window, backward=len(walks) % 2 == 1, whole=not divisible, priority=priority)
            if walk is None and window is not None:
                for day in window.days():
                    await self._window(seen, listing, day, priority)
                return
            if walk is not None:
                walks.append(walk)
        complete = not windows.walk_again(walks, confirmed=confirmed) and not nothing_usable(walks[-1])
        ids = frozenset().union(*(walk.ids for walk in walks))
        problem = "" if complete else _incomplete(listing, window, walks)
        result = PassResult(
            listing=listing.name,
            window=window,
            started_at=started,
            complete=complete,
            listed=len(ids),
            new=sum(walk.new for walk in walks),
            requests=sum(walk.pages for walk in walks),
            ids_sha256=windows.ids_sha256(ids),
            problem=problem,
        )
        seen.results.append(result)

    async def _walk(
        self, seen: Pass, listing: Listing, window: Window | None, *, backward: bool, whole: bool, priority: int
    ) -> Walk | None:
        """One walk over all pages; None when the window has more than one page and may still be divided (`whole` False)."""
        ids: set[str] = set()
        pages = new = rejected = 0
        total: int | None = None
        async with aclosing(self._provider.pages(listing, window, backward=backward)) as found:
            async for page in found:
                added = await self._catalog.add_page(
                    self._source, self._provider.kind, page.recordings, rejected=page.rejected, priority=priority
                )
                self._note(seen, page.recordings, added.new)
                seen.lost += added.lost
                ids |= added.ids
                pages += 1
                new += added.new
                rejected += len(page.rejected)
                total = page.total
                if not whole and not page.last:
                    return None
        seen.rejected += rejected
        return Walk(ids=frozenset(ids), pages=pages, new=new, rejected=rejected, total=total)

    def _note(self, seen: Pass, listed: Sequence[Listed], new: int) -> None:
        for item in listed:
            if item.status is ProviderStatus.DELETED:
                seen.suspects[item.recording_id] = self._ref(item.recording_id, item.room_id)
        seen.listed += len({item.recording_id for item in listed} - seen.ids)
        seen.ids |= {item.recording_id for item in listed}
        seen.new += new

    def _ref(self, recording_id: str, room_id: str = "") -> RecordingRef:
        return RecordingRef(source=self._source, recording_id=recording_id, room_id=room_id)

    # -- by id -----------------------------------------------------------------------------------------------------

    async def _ask_again(self, seen: Pass) -> None:
        """Asks by id for what the provider was still working on and no list showed: an ended-at filter cannot see it."""
        refs = await self._catalog.open_recordings(self._source, limit=OPEN_A_POLL)
        unseen = [ref for ref in refs if ref.recording_id not in seen.ids]
        await side_by_side(unseen, lambda ref: self._look(seen, ref, looks=1))
        listed_as_deleted = [ref for ref in refs if ref.recording_id in seen.suspects]
        await side_by_side(listed_as_deleted, lambda ref: self._look(seen, ref, looks=2))

    async def _look(self, seen: Pass, ref: RecordingRef, *, looks: int) -> None:
        """One look at one recording: its record into the catalog, or its absence, counted as `looks` (0: not at all)."""
        try:
            item = await self._provider.get(ref)
        except errors.RecordingGone:
            item = None
        except errors.ContractBroken as error:
            self._log.warning("record_refused", recording_id=ref.recording_id, error=str(error))
            return
        except errors.ProviderUnavailable as error:
            self._bear(seen, error, recording_id=ref.recording_id)
            return
        if item is not None and item.status is not ProviderStatus.DELETED:
            seen.new += (await self._catalog.add_page(self._source, self._provider.kind, [item])).new
            return
        seen.gone.add(ref.recording_id)
        gone = await self._catalog.record_gone(self._source, ref.recording_id, looks=looks) if looks else Gone.COUNTED
        if gone:
            seen.lost += gone is Gone.LOST  # what is archived here may well be deleted there
            self._log.warning("recording_gone", recording_id=ref.recording_id)

    def _bear(self, seen: Pass, error: errors.ProviderUnavailable, **what: str) -> None:
        """One record that always fails must not keep the others from being asked for (I19); raises where many fail."""
        seen.sick += 1
        if seen.sick > SICK_A_POLL:
            raise error
        self._log.warning("record_unavailable", **what, error=str(error))

    async def _missing(self, seen: Pass, window: Window) -> Sequence[Known]:
        """What the catalog says ended in the window, where at least one of it was not listed or was listed as deleted."""
        known = await self._catalog.ended_between(self._source, window.start + ZONES, window.end - ZONES)
        alive = seen.ids - set(seen.suspects)
        return known if any(item.ref.recording_id not in alive for item in known) else []

    async def _vanished(self, seen: Pass, known: Sequence[Known], *, odd: bool) -> None:
        """Looks by id at what a complete pass should have listed and did not, and at what it listed as deleted.

        The list is one look, the recording's own address the second. Where the list misses most of what it should show (`odd`),
        the list is not believed: then each recording has to be gone at its own address twice, an hour apart.
        """
        if not seen.complete and not odd:
            return
        ripe_before = self._clock.now() - LOOKS_APART
        missing = [item for item in known if item.ref.recording_id not in seen.ids]
        ripe = [item for item in missing if not odd or item.gone_at is None or item.gone_at <= ripe_before]
        await side_by_side(ripe[:SUSPECTS_A_POLL], lambda item: self._look(seen, item.ref, looks=1 if odd else 2))
        listed_as_deleted = [item.ref for item in known if item.ref.recording_id in seen.suspects]
        await side_by_side(listed_as_deleted[:SUSPECTS_A_POLL], lambda ref: self._look(seen, ref, looks=2))

    async def _rooms(self, seen: Pass) -> None:
        """Asks for rooms that recordings name; each is asked for once, whatever the number of recordings in it.

        Where rooms are refused to credentials that may list recordings, there are no names, and nothing else is wrong.
        """
        missing = await self._catalog.rooms_missing(self._source, limit=ROOMS_A_POLL)
        found: dict[str, Room | None] = {}

        async def ask(room_id: str) -> None:
            try:
                found[room_id] = await self._provider.room(room_id)
            except (errors.ContractBroken, errors.CredentialsRefused) as error:
                found[room_id] = None
                self._log.warning("room_refused", room_id=room_id, error=str(error))
            except errors.ProviderUnavailable as error:
                self._bear(seen, error, room_id=room_id)

        try:
            await side_by_side(missing, ask)
        finally:
            if found:
                await self._catalog.save_rooms(self._source, found)


def mostly_gone(*, missing: int, known: int) -> str | None:
    """Why a listing is not believed: it misses most of what the catalog knows to have ended in it; None where it does not."""
    if missing <= FEW or missing <= MOSTLY_GONE * known:
        return None
    return f"the list misses {missing} of {known} recordings that ended in it; nothing is marked for that alone"


def nothing_usable(walk: Walk) -> bool:
    """Whether every row of a list was refused, and more than a few: then it is not the rows that are odd, it is the list."""
    return not walk.ids and walk.rejected > FEW


def _incomplete(listing: Listing, window: Window | None, walks: Sequence[Walk]) -> str:
    last = walks[-1]
    where = f"{listing.name} {window or ''}".strip()
    if nothing_usable(last):
        return f"{where}: every one of {last.rejected} listed rows was refused, they are kept in quarantine"
    if not windows.covers_total(last):
        return f"{where}: the provider announces {last.total}, its pages list {len(last.ids) + last.rejected}"
    return f"{where}: after {len(walks)} walks the pages still brought something new"
