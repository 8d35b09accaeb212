"""Nothing that a provider, a caller or an address says becomes markup or script, in a real browser."""

import re
from urllib.parse import quote

import pytest
import sqlalchemy as sa

from archiver.catalog.tables import recordings, renditions
from archiver.domain.lifecycle import Event
from archiver.domain.work import Outcome
from archiver.web import visible
from archiver.web.templating import environment
from tests.web.hostile import PAYLOADS, groups
from tests.web.seeds import ROOMS, Source
from tests.web.site import site_at

AUDIT = """() => {
  const tags = new Set(('HTML HEAD META TITLE LINK SCRIPT BODY A HEADER DIV IMG SPAN NAV MAIN SECTION H1 H2 H3 P UL LI B I DL DT DD ABBR TIME '
    + 'ARTICLE FOOTER TABLE CAPTION THEAD TBODY TR TH TD BDI CODE PRE FORM INPUT LABEL BUTTON svg rect title').split(' '));
  const local = /^(\\/(?!\\/)|#main$)/;
  const found = [];
  for (const element of document.querySelectorAll('*')) {
    if (!tags.has(element.tagName)) found.push('<' + element.tagName + '>');
    for (const {name, value} of element.attributes) {
      if (/^on|^style$|^http-equiv$|^srcdoc$|^(form)?action$|autofocus/i.test(name)) found.push(element.tagName + ' ' + name);
      if (/^(href|src|xlink:href|data|poster|ping)$/i.test(name) && !local.test(value)) found.push(name + '=' + value);
    }
  }
  const scripts = [...document.scripts].filter((script) => script.text || !script.getAttribute('src').startsWith('/static/page.'));
  if (document.scripts.length !== 1 || scripts.length) found.push('a script');
  if (document.querySelectorAll('meta').length !== 3 || 'pwned' in window) found.push('pwned');
  return found;
}"""


def test_there_are_enough_of_them():
    assert len(set(PAYLOADS)) >= 40


def test_whatever_a_template_shows_is_escaped():
    template = environment().from_string('<p title="{{ text }}">{{ text }}</p>')
    assert template.render(text="<script>") == '<p title="&lt;script&gt;">&lt;script&gt;</p>'


GROUPS = groups()


async def filled(site) -> None:
    """A failed recording for each group of payloads, with the group in every text that a page shows."""
    catalog = site.seeder.catalog
    now = site.clock.now()
    every = (
        "status_raw",
        "media_type",
        "codec",
        "container",
        "room_id",
        "room_name",
        "session_id",
        "participant_id",
        "participant_name",
    )
    listed = [
        site.seeder.listed(
            ROOMS,
            now,
            recording_id=f"{text}#{n}",
            raw={text: [text, {"x": text}]},
            flags=(text,),
            **dict.fromkeys(every, text),
            renditions=(f"{text}",),
        )
        for n, text in enumerate(GROUPS)
    ]
    await catalog.add_page(ROOMS, "telnyx-rooms", listed)
    outcomes = []
    for entry in await catalog.claim(1000, sources=[ROOMS]):
        text = entry.rendition
        facts = dict.fromkeys(("key", "version_id", "sha256", "content_type", "token"), text)
        outcomes.append(Outcome(entry=entry, event=Event.FAILED, reason=text, kind=text, facts={**facts, "lock_mode": text}))
    assert await catalog.save(outcomes) == []
    same = sa.select(recordings.c.room_id).where(recordings.c.id == renditions.c.recording_pk).scalar_subquery()
    await catalog.database.write(
        lambda tx: tx.execute(sa.update(recordings).values(external_url=recordings.c.room_id, provider=recordings.c.room_id))
    )
    await catalog.database.write(lambda tx: tx.execute(sa.update(renditions).values(worker=same)))


@pytest.fixture
async def hostile(empty_url):
    """A server where everything that is shown is hostile: the catalog, problems, configured names, keys, the version."""

    async def problems() -> list[str]:
        return list(PAYLOADS)

    everything = " ".join(PAYLOADS)
    sources = (Source(name=ROOMS, provider=PAYLOADS[0]), *(Source(name=text, provider=text) for text in PAYLOADS))
    changes = {"problems": problems, "version": everything, "full_key": lambda key: key + everything, "sources": sources}
    async with site_at(empty_url, **changes) as site:
        await filled(site)
        yield site


@pytest.fixture
def watched(browser_page):
    """The browser's page, with a list of everything that should not have happened on it."""
    happened: list[str] = []

    async def dialog(it) -> None:
        happened.append(f"dialog {it.message}")
        await it.dismiss()

    browser_page.on("dialog", dialog)
    browser_page.on("pageerror", lambda error: happened.append(f"error {error}"))
    browser_page.on("console", lambda it: happened.append(it.text) if "Failed to load resource" not in it.text else None)
    browser_page.on(
        "request",
        lambda it: None if re.match(r"http://127\.0\.0\.1:\d+/", it.url) and ":9/" not in it.url else happened.append(it.url),
    )
    browser_page.happened = happened
    return browser_page


async def assert_harmless(page, address: str) -> None:
    await page.goto(address)
    assert await page.evaluate(AUDIT) == [], address
    assert page.happened == [], address


async def test_no_name_becomes_markup_on_overview_and_list(hostile, watched):
    for address in ("/", "/recordings"):
        await assert_harmless(watched, hostile.server.url + address)
        assert await watched.locator("a.id").count() == len(GROUPS)
        shown = await watched.inner_text("tbody")
        for text in GROUPS:
            assert shown.count(visible.line(text)) == 4, "as id, rendition, room and participant, letter by letter"
    for text in PAYLOADS:
        assert visible.line(text) in await watched.inner_text(".filters")


async def test_no_text_of_a_recording_becomes_markup_on_its_page(hostile, watched):
    for n, text in enumerate(GROUPS):
        if "\\" in text:  # no address has one in it; there is a page for everything else
            continue
        await assert_harmless(watched, f"{hostile.server.url}/recordings/{ROOMS}/{quote(f'{text}#{n}', safe='')}")
        assert (await watched.inner_text("main")).count(visible.line(text)) >= 15, text


async def test_nothing_in_an_address_becomes_markup(hostile, watched):
    for text in GROUPS:
        key = quote(text, safe="")
        await assert_harmless(watched, f"{hostile.server.url}/recordings?room={key}&participant={key}&id={key}")
        assert await watched.input_value("input[name=room]") == text
    for text in GROUPS[::3]:
        key = quote(text, safe="")
        for address in (f"/recordings?state={key}", f"/recordings?{key}=1", f"/recordings/{key}/{key}"):
            await assert_harmless(watched, hostile.server.url + address)


async def test_this_audit_would_notice(browser_page, empty):
    await browser_page.goto(empty.server.url + "/")
    for bad in (
        "<img src=x onerror=alert(1)>",
        "<a href='javascript:alert(1)'>x</a>",
        "<style></style>",
        "<p style='color:red'>",
        "<iframe></iframe>",
    ):
        await browser_page.evaluate("(html) => { document.querySelector('main').innerHTML = html }", bad)
        assert await browser_page.evaluate(AUDIT) != [], bad
