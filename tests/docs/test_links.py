"""Links lead somewhere, and files that are named are there."""

import re
from urllib.parse import urlsplit

import pytest

from tests.docs.pages import ROOT, Page, page, pages

ELSEWHERE = {"keepachangelog.com", "semver.org"}
_PATH = re.compile(
    r"(?:archiver|tests|config|docs|migrations|benchmarks|scripts|\.ci)/[\w./-]*|[A-Z]+\.md|pyproject\.toml|requirements[\w-]*\.lock"
)


@pytest.mark.parametrize("name", pages())
def test_every_link_resolves_its_anchor_too(name):
    here = page(name)
    for target in here.links():
        if urlsplit(target).scheme:
            continue
        path, _, anchor = target.partition("#")
        there = (here.path.parent / path).resolve() if path else here.path
        assert there.exists(), target
        assert there.is_relative_to(ROOT), target
        if anchor:
            assert anchor in Page(there, there.read_text()).anchors(), target


@pytest.mark.parametrize("name", pages())
def test_links_to_elsewhere_are_few_and_known(name):
    hosts = {urlsplit(target).hostname for target in page(name).links() if urlsplit(target).scheme}
    assert hosts <= ELSEWHERE


@pytest.mark.parametrize("name", pages())
def test_every_file_that_is_named_is_there(name):
    named = {span for span in page(name).spans() if _PATH.fullmatch(span) and "<" not in span}
    assert {path for path in named if not (ROOT / path).exists()} == set()


def test_every_test_that_the_security_page_counts_on_is_there():
    named = re.findall(r"`(tests/[\w/.]+)`", page("docs/security.md").text)
    assert len(named) > 20
    for path in named:
        place = ROOT / path
        files = [place] if place.is_file() else list(place.glob("test_*.py"))
        assert any(re.search(r"^(async )?def test_", file.read_text(), re.MULTILINE) for file in files), path


def test_every_requirement_of_security_is_accounted_for():
    numbers = re.findall(r"^\| S(\d+) \|", page("docs/security.md").text, re.MULTILINE)
    assert [int(number) for number in numbers] == list(range(1, 26))


def test_every_page_can_be_reached_from_the_readme():
    seen, todo = set(), ["README.md"]
    while todo:
        name = todo.pop()
        if name in seen or name not in pages():
            continue
        seen.add(name)
        for target in page(name).links():
            there = (page(name).path.parent / target.partition("#")[0]).resolve()
            if there.is_dir():
                todo += [str(path.relative_to(ROOT)) for path in there.glob("*.md")]
            elif there.is_relative_to(ROOT):
                todo.append(str(there.relative_to(ROOT)))
    assert set(pages()) - seen == set()
