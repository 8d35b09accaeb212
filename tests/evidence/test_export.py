"""The catalog as CSV, and as Parquet."""

import csv
import io
import json
import sys

import pytest

from archiver.cli import parquet
from archiver.cli.export import COLUMNS, cell
from archiver.cli.root import main


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


# -- Parquet. pyarrow is an extra that is not installed here: what is handed to it is what is held.


class Arrow:
    """The few names of pyarrow that are used, each as what it was called with."""

    class Table:
        @staticmethod
        def from_pylist(rows, *, schema):
            assert all([*row] == [name for name, _kind in schema] for row in rows)
            return [dict(row) for row in rows]

    schema = staticmethod(list)
    string = staticmethod(lambda: "string")
    int64 = staticmethod(lambda: "int64")
    list_ = staticmethod(lambda of: f"list<{of}>")
    timestamp = staticmethod(lambda unit, tz: f"timestamp[{unit}, {tz}]")

    class ParquetWriter:
        def __init__(self, file, schema, compression):
            self._file, self.schema, self._groups = file, schema, []

        def __enter__(self):
            return self

        def write_table(self, table):
            self._groups.append(len(table))
            self._file.write(json.dumps([self._groups[-1], table[0]], default=str).encode() + b"\n")

        def __exit__(self, *_exc):
            self._file.write(b"whole\n")  # whatever happened, as pyarrow's does


@pytest.fixture
def arrow(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", Arrow)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", Arrow)
    return Arrow


DOCUMENT = dict.fromkeys(COLUMNS, "x") | {"size": 2**40, "attempts": 0, "holds": ["A", "B"], "error": "a lone \ud83d"}
DOCUMENT |= dict.fromkeys(parquet.INSTANTS, "2026-03-10T12:00:00.5Z") | {"verified_at": None}


def test_parquet_columns_are_those_of_csv_with_numbers_instants_and_lists_as_such(arrow):
    kinds = dict(parquet.schema(arrow, COLUMNS))
    assert tuple(kinds) == COLUMNS
    assert {kinds["size"], kinds["attempts"]} == {"int64"}
    assert {kinds[name] for name in parquet.INSTANTS} == {"timestamp[us, UTC]"}
    assert (kinds["holds"], kinds["key"], kinds["error"]) == ("list<string>", "string", "string")
    assert kinds.keys() >= parquet.WHOLE_NUMBERS | parquet.INSTANTS | parquet.LISTS


def test_parquet_takes_values_as_what_they_are_and_text_that_is_none_escaped(arrow):
    out = io.BytesIO()
    with parquet.writing(out, COLUMNS) as take:
        take(DOCUMENT)
    (count, row), whole = json.loads(out.getvalue().splitlines()[0]), out.getvalue().splitlines()[1]
    assert (count, whole) == (1, b"whole")
    assert (row["size"], row["holds"], row["verified_at"], row["error"]) == (2**40, ["A", "B"], None, "a lone \\ud83d")
    assert row["ended_at"] == "2026-03-10 12:00:00.500000+00:00"


def test_parquet_comes_in_groups(arrow, monkeypatch):
    monkeypatch.setattr(parquet, "ROWS", 2)
    out = io.BytesIO()
    with parquet.writing(out, COLUMNS) as take:
        for _row in range(5):
            take(DOCUMENT)
    assert [json.loads(line)[0] for line in out.getvalue().splitlines()[:-1]] == [2, 2, 1]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_an_export_that_fails_leaves_no_file_and_one_that_is_there_is_left_alone(arrow, form, tmp_path):
    (tmp_path / "archiver.toml").write_text(f'[catalog]\nurl = "sqlite:///{tmp_path}/catalog.db"\n')
    words = ["--config", str(tmp_path / "archiver.toml"), "catalog", "export", "--format", form, "-o", str(tmp_path / "out")]
    assert main(words) == 5  # there is no catalog
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").write_text("mine")
    assert main(words) == 2
    assert (tmp_path / "out").read_text() == "mine"


def test_without_pyarrow_parquet_is_refused_with_what_to_do_and_no_file_is_made(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "archiver.toml").write_text(f'[catalog]\nurl = "sqlite:///{tmp_path}/catalog.db"\n')
    out = tmp_path / "out.parquet"
    words = ["--config", str(tmp_path / "archiver.toml"), "catalog", "export", "--format", "parquet"]
    assert main([*words, "-o", str(out)]) == 2
    assert "pip install 'recording-archiver[parquet]'" in capsys.readouterr().err
    assert not out.exists()
    assert main(words) == 2
    assert "needs -o FILE" in capsys.readouterr().err
