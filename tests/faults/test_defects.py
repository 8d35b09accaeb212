"""The list of planted defects is long, fits the code as it stands, and every defect of it is caught for its own reason (G10)."""

import subprocess
import sys

import pytest

from tests.faults.defects import ROOT, Defect, Run, listed

DEFECTS = listed()
SOUND = "def is_over(now, until):\n    return now >= until\n"


def a_defect(**changes):
    facts = {
        "number": 1,
        "name": "what is over at noon is not over at noon",
        "file": "code.py",
        "text": "now >= until",
        "replacement": "now > until",
        "test": "test_code.py::test_noon",
        "because": "assert not",
    }
    return Defect(**{**facts, **changes})


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "code.py").write_text(SOUND)
    (tmp_path / "test_code.py").write_text("def test_noon():\n    assert True\n")
    return tmp_path


def test_there_are_as_many_as_the_goal_asks_for_each_in_another_place():
    assert len(DEFECTS) >= 60
    assert len({item.name for item in DEFECTS}) == len({(item.file, item.text) for item in DEFECTS}) == len(DEFECTS)
    assert len({item.file for item in DEFECTS}) >= 40


@pytest.mark.parametrize("defect", DEFECTS, ids=[item.name for item in DEFECTS])
def test_each_still_fits_the_code_and_names_a_test_that_is_there(defect):
    assert defect.misfit(ROOT) is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"text": "until"}, "stands 2 times"),
        ({"text": "never"}, "stands 0 times"),
        ({"file": "gone.py"}, "stands 0 times"),
        ({"replacement": "now >= until"}, "changes nothing"),
        ({"replacement": "now >="}, "is no Python"),
        ({"test": "test_code.py::test_midnight"}, "has no test test_midnight"),
        ({"test": "test_gone.py::test_noon"}, "does not exist"),
    ],
)
def test_a_defect_that_cannot_be_planted_says_why(tree, changes, says):
    assert a_defect().misfit(tree) is None
    assert says in a_defect(**changes).misfit(tree)


@pytest.mark.parametrize(
    ("run", "says"),
    [
        (Run(passed=["t"]), "NOT CAUGHT"),
        (Run(), "no such test ran"),
        (Run(skipped=["t"]), "no such test ran"),
        (Run(errors=["ended without an answer after 90 s"]), "the test did not run: ended without an answer"),
        (Run(failed={"t": ">   assert not is_over\nE   NameError: is_over"}), "failed for another reason"),
        (Run(failed={"t": "E   Failed: Timeout (>30.0s) from pytest-timeout."}), "failed for another reason"),
    ],
)
def test_only_a_failure_with_the_right_error_counts(run, says):
    assert says in run.verdict(a_defect())


def test_the_right_error_is_one_that_the_test_raised_and_not_one_that_it_quotes():
    assert Run(failed={"t": ">   assert not is_over()\nE   assert not True"}).verdict(a_defect()) is None


def test_a_baseline_is_sound_only_when_every_named_test_ran_and_passed():
    assert Run(passed=["t.py::a[x]", "t.py::a[y]", "t.py::b"]).unsound(["t.py::a", "t.py::b"]) == []
    assert Run(passed=["t.py::a"]).unsound(["t.py::a", "t.py::b"]) == ["t.py::b did not run"]
    assert Run(passed=["t.py::a"], skipped=["t.py::b"]).unsound(["t.py::a", "t.py::b"]) == ["t.py::b did not run"]
    assert Run(passed=["t.py::a"], failed={"t.py::b": "E  no"}).unsound(["t.py::a", "t.py::b"]) == ["t.py::b fails: no"]


def planted(*words):
    """The check as a person runs it: a process of its own, since only one without threads may fork."""
    command = [sys.executable, "-m", "tests.faults.defects", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900)


def test_two_defects_are_caught_on_copies_and_the_tree_stays_as_it_was():
    names = ["one look is enough to call a recording deleted", "a retry comes without jitter"]
    before = {item.file: (ROOT / item.file).read_bytes() for item in DEFECTS}
    ran = planted("--only", names[0], "--only", names[1])
    assert (ran.returncode, ran.stdout.count("caught  ")) == (0, 2), ran.stdout + ran.stderr
    assert {item.file: (ROOT / item.file).read_bytes() for item in DEFECTS} == before


@pytest.mark.faults
@pytest.mark.timeout(960)
def test_every_planted_defect_is_caught_by_its_test_and_for_its_reason():
    ran = planted()
    assert ran.returncode == 0, ran.stdout + ran.stderr
