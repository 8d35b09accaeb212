"""Decisions are numbered, say what they say, and account for every dependency."""

import re
import tomllib

import pytest

from tests.docs.pages import ROOT, page, pages, rows

DECISIONS = [name for name in pages() if name.startswith("docs/decisions/")]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_they_are_numbered_without_a_gap():
    assert [int(name.rpartition("/")[2][:4]) for name in DECISIONS] == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("name", DECISIONS)
def test_each_has_its_number_a_status_and_the_three_parts(name):
    text = page(name).text
    assert text.startswith(f"# {name.rpartition('/')[2][:4]} · ")
    assert re.search(r"^Status: (accepted|superseded by \[\d{4}\])", text, re.MULTILINE)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]


def distribution(requirement):
    return re.split(r"[<>=!~;]", requirement)[0].strip()


def test_every_dependency_has_its_reason():
    told = {cell.strip("`") for row in rows(page("docs/decisions/0001-dependencies.md").text) for cell in row[:1]}
    assert told - {"distribution"} == {distribution(each) for each in PROJECT["project"]["dependencies"]}


def test_every_tool_is_named():
    text = page("docs/decisions/0001-dependencies.md").text
    groups = PROJECT["dependency-groups"]
    names = {distribution(each).partition("[")[0] for each in [*groups["dev"], *groups["build"]]}
    assert {name for name in names if f"`{name}`" not in text} == set()


def test_the_changelog_tells_of_the_version_that_is_built():
    versions = re.findall(r"^## \[(.+?)\]", page("CHANGELOG.md").text, re.MULTILINE)
    assert versions[0] == "Unreleased"
    assert PROJECT["project"]["version"] in versions


def test_the_licence_is_the_one_that_is_declared():
    text = (ROOT / "LICENSE").read_text()
    assert PROJECT["project"]["license"] == "Apache-2.0"
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
