"""The pages for people: the overview, the list, one recording, and what is said instead of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aiohttp import web

from archiver.web import filters, states
from archiver.web.attention import attention
from archiver.web.headline import WIDE, headline, segments
from archiver.web.one_recording import one_recording
from archiver.web.overview import cards
from archiver.web.refusals import bad_request
from archiver.web.templating import environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from archiver.web.archive import Archive, Row
    from archiver.web.filters import Filters
    from archiver.web.machines import Machines
    from archiver.web.refusals import Refusal
    from archiver.web.routes import Asked
    from archiver.web.static_files import StaticFiles
    from archiver.web.view import View

_CHOSEN_BY_LINKS = ("source", "state", "ended")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A filter that can be chosen by a link."""

    text: str
    href: str
    chosen: bool
    state: str = ""  # whose colour stands beside it


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """One line of them."""

    title: str
    choices: Sequence[Choice]


class Pages:
    """Everything that is HTML."""

    def __init__(self, view: View, archive: Archive, machines: Machines, files: StaticFiles) -> None:
        self._view = view
        self._archive = archive
        self._machines = machines
        self._files = files
        self._templates = environment()

    async def overview(self, asked: Asked) -> web.Response:
        """`/`: whether everything is archived."""
        if asked.query:
            raise bad_request(f"Unknown parameter {asked.query[0][0][:40]!r}; accepted: none.")
        live = await self._machines.problems()
        status, shelf = await self._archive.status(), await self._archive.shelf()
        counts = status["totals"]
        several = shelf.recordings != shelf.renditions
        return self._page(
            "dashboard.html",
            here="overview",
            head=headline(counts, several=several, ready=not live),
            several=several,
            recordings=shelf.recordings,
            total=sum(counts.values()),
            bar=segments(counts, least=WIDE),
            problems=attention(status, live),
            cards=cards(status, self._view.sources, self._view.clock.now()),
            rows=_linked(shelf.latest),
        )

    async def recordings(self, asked: Asked) -> web.Response:
        """`/recordings`: the list, filtered, page by page."""
        wanted = filters.of_page(asked.query, self._view.clock.now())
        if wanted.selector.timed:
            part = await self._archive.ended_last(wanted.selector, limit=wanted.limit, after=wanted.after)
        else:
            part = await self._archive.listing(wanted.selector, limit=wanted.limit, after=wanted.after, newest_first=True)
        older = None if part.after is None else filters.href("/recordings", [*wanted.given, ("after", str(part.after))])
        return self._page(
            "recordings.html",
            here="recordings",
            filters=_choices(wanted, await self._archive.sources()),
            kept=[(name, value) for name, value in wanted.given if name in (*_CHOSEN_BY_LINKS, "since", "until")],
            asked={name: dict(wanted.given).get(name, "") for name in ("id", "room", "participant")},
            described=_described(wanted),
            timed=wanted.selector.timed,
            rows=_linked(part.rows),
            more=older,
            newest=filters.href("/recordings", wanted.given) if wanted.after else None,
        )

    async def recording(self, asked: Asked) -> web.Response:
        """`/recordings/{source}/{id}`: everything about one."""
        if asked.query:
            raise bad_request(f"Unknown parameter {asked.query[0][0][:40]!r}; accepted: none.")
        shown = await self._archive.show(f"{asked.parts['source']}/{asked.parts['id']}")
        return self._page("recording.html", here="recordings", it=one_recording(shown))

    def refusal(self, refusal: Refusal) -> str:
        """The page that says why there is no page."""
        return self._rendered(
            "refusal.html",
            here="",
            status=refusal.status.value,
            title=refusal.status.phrase,
            says=refusal.says,
            hint=refusal.hint,
        )

    def _page(self, template: str, **values: Any) -> web.Response:
        return web.Response(text=self._rendered(template, **values), content_type="text/html", charset="utf-8")

    def _rendered(self, template: str, **values: Any) -> str:
        always = {"files": self._files.names, "version": self._view.version, "now": self._view.clock.now()}
        text = self._templates.get_template(template).render(**always, **values)
        return text.encode("utf-8", "replace").decode()  # half characters cannot be sent


def _linked(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [
        {
            **dataclasses.asdict(row),
            "href": f"/recordings/{quote(row.source, safe='')}/{quote(row.recording_id, safe='', errors='replace')}",
        }
        for row in rows
    ]


def _choices(wanted: Filters, sources: Sequence[str]) -> list[Choices]:
    periods = [("", "any time"), *((key, f"in {text}") for key, (_, text) in filters.ENDED.items())]
    known = [(state.value, state.value) for state in states.WORDS]
    return [
        _line(wanted, "Source", "source", [("", "all"), *((name, name) for name in sources)]),
        _line(wanted, "State", "state", [("", "all"), *known]),
        _line(wanted, "Ended", "ended", periods),
    ]


def _line(wanted: Filters, title: str, name: str, options: Sequence[tuple[str, str]]) -> Choices:
    """Links that replace this one filter and keep the others."""
    replaced = {name, "since", "until"} if name == "ended" else {name}
    others = [(key, value) for key, value in wanted.given if key not in replaced]
    chosen = [value for key, value in wanted.given if key == name] or [""]
    choices = [
        Choice(
            text=text,
            href=filters.href("/recordings", [*others, (name, value)]),
            chosen=value in chosen,
            state=value if name == "state" else "",
        )
        for value, text in options
    ]
    return Choices(title=title, choices=choices)


def _described(wanted: Filters) -> str:
    """The filter in words, empty for none."""
    says = {"ended": f"ended in {filters.ENDED[wanted.ended][1]}"} if wanted.ended else {}
    return ", ".join(says.get(name, f"{name} {value}") for name, value in wanted.given)
