"""The catalog as CSV."""

import csv
import io

import pytest

from archiver.cli.export import COLUMNS, cell


@pytest.mark.parametrize("text", ["=1+1", "+49 30 1", "-1", "@SUM(A1)", "\tx", "\rx", "=cmd|' /C calc'!A0"])
def test_a_cell_that_a_spreadsheet_would_run_is_neutralised(text):
    assert cell(text) == f"'{text}"


def test_numbers_lists_and_nothing_are_written_as_they_are():
    assert [cell(value) for value in (5, -5, None, ["case-1", "case-2"], "plain")] == ["5", "-5", "", "case-1 case-2", "plain"]


def test_whatever_a_cell_holds_reads_back_as_one_cell():
    hostile = ['a"b', "a,b", "a\nb", "a\r\nb", "\u202e", ""]
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow([cell(text) for text in hostile])
    assert next(csv.reader(io.StringIO(out.getvalue(), newline=""))) == hostile
    assert len(set(COLUMNS)) == len(COLUMNS)
