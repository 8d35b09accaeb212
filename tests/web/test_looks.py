"""How the pages look and work for people: legible, narrow and wide, light and dark, with hostile names, without scripts, on paper."""

import itertools
import re
from datetime import timedelta

from tests.web.hostile import NAMES
from tests.web.seeds import ROOMS
from tests.web.site import site_at
from tests.web.test_access import PASSWORD, USERS

SIZES = [(1280, 900), (390, 844)]
CONTRAST = """() => {
  const channel = (value) => { value /= 255; return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4; };
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const parse = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour[3] === 1) return colour;
      if (colour[3] !== 0) return null;
    }
    return [255, 255, 255, 1];
  };
  const found = [];
  let looked = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest('svg, .unseen, .skip')) continue;
    const style = getComputedStyle(element), under = ground(element);
    if (!under) { found.push('half transparent under ' + element.outerHTML.slice(0, 80)); continue; }
    const [a, b] = [luminance(parse(style.color)), luminance(under)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    looked += 1;
    if (ratio < (large ? 3 : 4.5)) found.push(ratio.toFixed(2) + ' ' + element.outerHTML.slice(0, 120));
  }
  return [looked, found];
}"""
ADDRESSES = ("/", "/recordings?state=verified&ended=30d", "/nowhere")


async def addresses(site) -> list[str]:
    (item,) = (await site.json("/api/v1/recordings?state=failed&limit=1"))["items"]
    return [*ADDRESSES, f"/recordings/{item['source']}/{item['recording_id']}"]


async def overflow(page) -> int:
    """By how many pixels the page is wider than the window."""
    return await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


async def test_every_text_has_enough_contrast_and_nothing_sticks_out(month, browser_page):
    for scheme, (width, height) in itertools.product(("light", "dark"), SIZES):
        await browser_page.emulate_media(color_scheme=scheme)
        await browser_page.set_viewport_size({"width": width, "height": height})
        for address in await addresses(month):
            await browser_page.goto(month.server.url + address)
            looked, poor = await browser_page.evaluate(CONTRAST)
            assert poor == [], (address, width)
            assert looked > 5
            assert await overflow(browser_page) <= 0, (address, width)


async def test_pages_are_built_for_who_does_not_see_them(month, browser_page):
    for address in await addresses(month):
        await browser_page.goto(month.server.url + address)
        found = await browser_page.evaluate(
            """() => ({
              lang: document.documentElement.lang,
              landmarks: ['header', 'main', 'footer', 'nav'].map((name) => document.querySelectorAll('body > ' + name + ', body > header nav').length > 0),
              h1: document.querySelectorAll('h1').length,
              levels: [...document.querySelectorAll('h1, h2, h3')].map((one) => Number(one.tagName[1])),
              tables: [...document.querySelectorAll('table')].filter((one) => !one.caption || one.querySelector('thead th:not([scope=col])') || one.querySelector('tbody tr:not(:has(th[scope=row]))')).length,
              pictures: [...document.querySelectorAll('svg')].filter((one) => one.getAttribute('role') !== 'img' || !one.getAttribute('aria-label')).length,
              images: [...document.images].filter((one) => !one.hasAttribute('alt')).length,
              named: [...document.querySelectorAll('[aria-labelledby]')].filter((one) => !document.getElementById(one.getAttribute('aria-labelledby'))?.textContent.trim()).length,
              unlabelled: [...document.querySelectorAll('input:not([type=hidden])')].filter((one) => !one.labels.length).length,
              ids: document.querySelectorAll('[id]').length - new Set([...document.querySelectorAll('[id]')].map((one) => one.id)).size,
              title: document.title,
            })"""
        )
        assert found["lang"] == "en"
        assert all(found["landmarks"])
        assert found["h1"] == 1
        assert all(after <= before + 1 for before, after in zip(found["levels"], found["levels"][1:], strict=False))
        assert [found[name] for name in ("tables", "pictures", "images", "named", "unlabelled", "ids")] == [0] * 6, (
            address,
            found,
        )
        assert found["title"].endswith("· archiver")


async def test_a_screen_reader_finds_a_table_on_a_narrow_screen_too(month, browser_page):
    await browser_page.set_viewport_size({"width": 390, "height": 844})
    await browser_page.goto(month.server.url + "/")
    tree = await browser_page.locator("table").aria_snapshot()
    assert "table" in tree
    assert 'columnheader "Verified"' in tree
    assert tree.count("rowheader") == 20


async def test_hostile_names_do_not_break_the_layout(empty, browser_page):
    at = empty.clock.now() - timedelta(hours=1)
    listed = [
        empty.seeder.listed(ROOMS, at, recording_id=f"r{n}", room_name=text, participant_name=text)
        for n, text in enumerate(NAMES.values())
    ]
    plain = empty.seeder.listed(ROOMS, at, recording_id="plain", room_name="Board", participant_name="Ana")
    await empty.seeder.bring(ROOMS, "failed", plain, *listed)
    for width, height in SIZES:
        await browser_page.set_viewport_size({"width": width, "height": height})
        for address in ("/", "/recordings"):
            await browser_page.goto(empty.server.url + address)
            assert await overflow(browser_page) <= 0
            boxes = await browser_page.eval_on_selector_all(
                "tbody tr",
                "all => all.map((row) => [row.getBoundingClientRect().height, row.querySelector('.badge').getBoundingClientRect().left])",
            )
            assert len(boxes) == len(NAMES) + 1
            heights, lefts = [round(height) for height, _ in boxes], [round(left) for _, left in boxes]
            assert max(heights) - min(heights) <= 2, (address, width, heights)
            assert max(lefts) - min(lefts) <= 1, (address, width, lefts)
        for n in range(0, len(NAMES), 3):
            await browser_page.goto(f"{empty.server.url}/recordings/{ROOMS}/r{n}")
            assert await overflow(browser_page) <= 0
            heights = await browser_page.eval_on_selector_all(
                ".about dd", "all => all.map((one) => one.getBoundingClientRect().height)"
            )
            assert max(heights) < 320, n


async def test_everything_can_be_read_without_scripts(month, browser_page):
    context = await browser_page.context.browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    for address in await addresses(month):
        await page.goto(month.server.url + address)
        assert len(await page.inner_text("main")) > 50
    await page.goto(month.server.url + "/recordings")
    await page.click("text=failed")
    assert page.url.endswith("?state=failed")
    assert await page.locator("form").is_hidden()
    await context.close()


async def test_the_search_goes_to_a_link_although_no_form_may_be_sent(month, browser_page):
    await browser_page.goto(month.server.url + "/recordings?state=verified")
    await browser_page.fill("input[name=room]", "Board*")
    await browser_page.click("text=Find")
    await browser_page.wait_for_url("**/recordings?state=verified&room=Board*")
    assert await browser_page.locator("tbody tr").count() > 0
    assert await browser_page.input_value("input[name=room]") == "Board*"


async def test_the_overview_refreshes_until_somebody_pauses_it(month, browser_page):
    loads = []
    browser_page.on("request", lambda it: loads.append(it.url) if it.is_navigation_request() else None)
    await browser_page.clock.install()
    await browser_page.goto(month.server.url + "/")
    async with browser_page.expect_navigation():
        await browser_page.clock.fast_forward(31_000)
    assert len(loads) == 2
    await browser_page.click("text=pause")
    await browser_page.clock.fast_forward(120_000)
    assert await browser_page.inner_text("#refreshing button") == "Refresh again every 30 s"
    assert len(loads) == 2


async def test_on_paper_there_is_no_navigation_and_whole_ids(month, browser_page):
    await browser_page.goto(month.server.url + "/")
    await browser_page.emulate_media(media="print")
    assert await browser_page.locator("header nav").is_hidden()
    assert await browser_page.locator("#refreshing").is_hidden()
    assert await overflow(browser_page) <= 0
    cut = await browser_page.eval_on_selector_all(
        "a.id", "all => all.filter((one) => one.scrollWidth > one.clientWidth + 1).length"
    )
    assert cut == 0


async def test_a_password_is_asked_for_by_the_browser_and_is_enough(month_url, browser_page):
    async with site_at(month_url, users=USERS) as site:
        context = await browser_page.context.browser.new_context(http_credentials={"username": "ana", "password": PASSWORD})
        page = await context.new_page()
        await page.goto(site.server.url + "/")
        assert re.match(r"\d+ of \d+ recordings archived", await page.inner_text("h1"))
        assert await page.evaluate("getComputedStyle(document.querySelector('.hero')).borderTopWidth") == "4px"
        await context.close()
