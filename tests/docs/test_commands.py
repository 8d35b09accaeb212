"""Whoever types a command from the documentation finds that it exists, with its options."""

import re
import shlex

import click
import pytest

from archiver.cli.root import cli
from tests.docs.pages import ROOT, page, pages, section

FREE = {"simulate"}  # hands its words on to a parser of its own
_COMMAND = re.compile(r"(?:^|[\s(])(?:\.venv/bin/|/opt/archiver/bin/)?archiver (?P<words>[a-z-][^\n#|&·;]*)")


def commands_in(page):
    """The words after `archiver` of every command on a page."""
    return [shlex.split(found["words"]) for code in page.code() for found in _COMMAND.finditer(code)]


def problem(words):
    """Why nobody can type this; None where somebody can."""
    here, context = cli, click.Context(cli)
    for at, word in enumerate(words):
        if word.startswith("-"):
            name = word.partition("=")[0]
            known = {option for parameter in here.get_params(context) for option in (*parameter.opts, *parameter.secondary_opts)}
            if name not in known:
                return f"{' '.join(words[:at])}: no option {name}"
        elif isinstance(here, click.Group):
            values = {
                option for parameter in here.params if not getattr(parameter, "is_flag", False) for option in parameter.opts
            }
            if at and words[at - 1] in values:
                continue  # the value of an option before the command
            found = here.get_command(context, word)
            if found is None:
                return f"no command {' '.join(words[: at + 1])}"
            if found.name in FREE:
                return None
            here, context = found, click.Context(found, parent=context)
    return None


@pytest.mark.parametrize("name", pages())
def test_every_command_that_is_named_exists_with_its_options(name):
    found = [each for words in commands_in(page(name)) if (each := problem(words)) is not None]
    assert found == []


def test_the_pages_name_commands_at_all():
    assert sum(len(commands_in(each)) for each in pages().values()) > 40
    assert problem(["no-such-command"]) == "no command no-such-command"
    assert problem(["sync", "--nonsense"]) == "sync: no option --nonsense"
    assert problem(["config", "chek"]) == "no command config chek"
    assert problem(["--config", "x.toml", "status"]) is None


def test_the_readme_names_every_command_there_is():
    text = page("README.md").text
    for name in cli.list_commands(None):
        command = cli.get_command(None, name)
        assert f"`archiver {name}" in text
        for below in getattr(command, "commands", {}):
            assert re.search(rf"`archiver {name} {below}|· `{below}`", text), f"{name} {below}"


def test_what_is_said_not_to_be_built_is_not_there():
    text = section(page("README.md").text, "Not built yet")
    assert len(text.split()) > 10
    for name in re.findall(r"`([a-z ]+)`", text):
        assert problem(name.split()) is not None, f"{name} is built: take it off the list and describe it"
    formats = [option for option in cli.get_command(None, "catalog").commands["export"].params if "parquet" in str(option.help).lower()]
    assert ("Parquet" in text) == (formats == [])


def test_nothing_that_is_built_is_called_not_built():
    told = [name for name in pages() if re.search(r"not built yet", page(name).outside) and name != "README.md"]
    assert told == []


def test_every_make_target_that_is_named_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for each in pages().values() for code in each.code() for name in re.findall(r"(?:^|\n)make ([a-z-]+)", code)}
    assert {"demo", "test", "install"} <= named <= targets
