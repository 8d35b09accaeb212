"""One word for one thing, one spelling, and no address that packages come from."""

import re

import pytest

from tests.docs.pages import ROOT, page, pages, rows

TERMS = {re.sub(r"\*", "", row[0]): row[1] for row in rows(page("docs/glossary.md").text) if row[0].startswith("**")}
_AMERICAN = re.compile(
    r"\b(behavior\w*|colou?red? scheme|honor\w*|favor\w*|center\w*|canceled|canceling|labeled|fulfill|gray|analyz\w+|defense|offense"
    r"|(?:organ|recogn|author|normal|initial|serial|summar|minim|maxim|util|custom|real|synchron)iz\w+)\b",
    re.IGNORECASE,
)
_ADDRESSES = re.compile(
    r"pypi|pythonhosted|docker\.io|docker\.com|ghcr\.io|quay\.io|gcr\.io|ecr\.aws|npmjs|index-url|extra-index|find-links|trusted-host|registry-",
    re.IGNORECASE,
)
OTHERS = [name for name in pages() if name != "docs/glossary.md"]


def words_elsewhere():
    texts = [page(name).text for name in OTHERS]
    texts += [path.read_text() for path in (ROOT / "archiver").rglob("*.py")]
    return re.sub(r"[\s_`*]+", " ", " ".join(texts).lower())


def test_every_term_of_the_glossary_is_in_use():
    text = words_elsewhere()
    assert len(TERMS) > 35
    assert {term for term in TERMS if term not in text} == set()


def test_terms_stand_in_order_and_once():
    names = [re.sub(r"\*", "", row[0]) for row in rows(page("docs/glossary.md").text) if row[0].startswith("**")]
    assert names == sorted(set(names))


@pytest.mark.parametrize("name", [name for name in OTHERS if "Words in *italics* are in the" in page(name).text])
def test_words_in_italics_are_in_the_glossary(name):
    marked = set(re.findall(r"(?<![*\w])\*([^*\n]+)\*(?![*\w])", page(name).prose)) - {"italics"}
    assert marked
    assert {word for word in marked if word.lower() not in TERMS and word.lower().removesuffix("s") not in TERMS} == set()


@pytest.mark.parametrize("name", pages())
def test_the_pages_are_in_british_english(name):
    assert _AMERICAN.findall(page(name).prose) == []


@pytest.mark.parametrize("name", pages())
def test_no_address_of_packages_stands_in_a_page(name):
    assert _ADDRESSES.findall(page(name).text) == []


@pytest.mark.parametrize(
    "path", [path for path in sorted((ROOT / "config").rglob("*")) if path.is_file()], ids=lambda path: path.name
)
def test_no_address_of_packages_stands_in_a_deployment_file(path):
    assert _ADDRESSES.findall(path.read_text()) == []


@pytest.mark.parametrize("name", pages())
def test_nobody_is_told_how_wonderful_it_is(name):
    praise = r"\b(powerful|seamless\w*|robust|blazing\w*|cutting.edge|world.class|enterprise.grade|effortless\w*|revolutionary|simply|best.in.class)\b"
    assert re.findall(praise, page(name).prose, re.IGNORECASE) == []
