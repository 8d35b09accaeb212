"""What the security page says is nowhere in the program."""

import ast
import re
from collections import Counter

import pytest

from tests.docs.pages import ROOT

FILES = sorted((ROOT / "archiver").rglob("*.py"))
ABOVE = ("app.py", "daemon.py", "cli", "pipeline", "web")  # everything that could decide to delete something


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("name", ["tempfile", "pickle", "shelve", "marshal", "subprocess"])
def test_a_module_that_has_no_place_here_is_imported_nowhere(name):
    found = [path for path in FILES if name in {module.partition(".")[0] for module in imported(ast.parse(path.read_text()))}]
    assert found == []


@pytest.mark.parametrize("name", ["eval", "exec", "compile"])
def test_no_text_is_run_as_code(name):
    found = [
        path
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    ]
    assert found == []


def test_governance_is_never_bypassed():
    assert [path for path in FILES if re.search(r"bypass.?governance", path.read_text(), re.IGNORECASE)] == []


DELETING = {
    "expire.py": 1,  # from the archive, behind an intention that a transaction authorised
    "release.py": 1,  # at the provider, behind the same
    "canary.py": 1,  # what it made itself
    "manifests.py": 1,  # what a person's erasure rewrote
}


def test_above_the_adapters_only_these_delete_an_object_or_a_recording():
    deleting = Counter(
        path.name
        for path in FILES
        if path.relative_to(ROOT / "archiver").parts[0] in ABOVE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"delete", "delete_object"}
        if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "sa")
    )
    assert deleting == DELETING
