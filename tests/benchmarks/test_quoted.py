"""Pages quote what the benchmarks measured, and nothing else."""

import json
import re
from xml.etree import ElementTree as ET

import pytest

from benchmarks import __main__ as bench
from benchmarks import pages, plot, tables
from benchmarks.headline import headline

RESULTS = json.loads(pages.RESULTS.read_text())
PAGES = [path for path in pages.PAGES if pages.markers(path.read_text())]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_quotes_what_was_measured_last(path):
    text = path.read_text()
    assert text == pages.quoted(text, RESULTS)


def test_the_picture_shows_what_was_measured_last():
    text = pages.PICTURE.read_text()
    assert text == plot.picture(RESULTS)
    assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"


def test_the_page_has_a_table_and_a_command_for_every_workload():
    text = (pages.ROOT / "docs" / "performance.md").read_text()
    assert sorted(pages.markers(text)) == sorted(["headline", *bench.WORKLOADS])
    assert set(re.findall(r"^`make bench ARGS=\"--only (\w+)\"`", text, re.MULTILINE)) == set(bench.WORKLOADS)


def test_every_workload_has_a_table():
    assert tables.OF.keys() == bench.WORKLOADS.keys()


def test_every_figure_says_when_where_and_of_what_it_is():
    for found in RESULTS["workloads"].values():
        assert {"at", "machine", "commit", "changed", "load_before", "quick"} <= found.keys()


def test_text_round_the_markers_is_left_as_it_is():
    text = "before\n<!-- benchmarks: headline -->\nold\n<!-- end of benchmarks -->\nafter\n"
    nothing = {"workloads": {}}
    assert pages.quoted(text, nothing) == (
        "before\n<!-- benchmarks: headline -->\n\nNot measured yet.\n\n<!-- end of benchmarks -->\nafter\n"
    )
    assert pages.quoted(pages.quoted(text, RESULTS), nothing) == pages.quoted(text, nothing)


def test_a_marker_that_names_no_workload_is_refused():
    with pytest.raises(KeyError, match="no workload is called 'large-ish'"):
        pages.quoted("<!-- benchmarks: large-ish -->\n<!-- end of benchmarks -->", RESULTS)


@pytest.mark.parametrize("name", tables.OF)
def test_rows_are_as_wide_as_their_head(name):
    for table in tables.of(RESULTS, [name]).values():
        assert {len(row) for row in table.rows} == {len(table.head)}


def test_the_headline_has_a_line_for_every_workload_measured():
    whole = headline(RESULTS).rows
    for name in RESULTS["workloads"]:
        rest = {key: value for key, value in RESULTS["workloads"].items() if key != name}
        assert len(headline({"workloads": rest}).rows) < len(whole)
