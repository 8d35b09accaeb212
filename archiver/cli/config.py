"""`archiver config check|show|schema|password`: is it usable, what is set and by whom, what could be; a hash for `web.users`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from archiver.app import SystemClock
from archiver.config import describe, schema
from archiver.domain.errors import ConfigurationError, UsageError
from archiver.web.passwords import hash_password

if TYPE_CHECKING:
    from archiver.cli.context import Invocation

CHECK_SCHEMA = "archiver.config-check/1"
SHOW_SCHEMA = "archiver.config/1"
SHORTEST_PASSWORD = 8  # characters
LONGEST_PASSWORD = 1024

_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.group()
def config() -> None:
    """Check, show and explain the configuration."""


@config.command()
@_as_json
@click.pass_obj
def check(invocation: Invocation, *, as_json: bool) -> None:
    """Read the configuration as `run` does and tell every problem at once.

    Nothing is connected to; `archiver doctor` does that. Exit code 2 when there is a problem.
    """
    try:
        settings = invocation.settings(warn=False)
    except ConfigurationError as error:
        if as_json:
            _print_json({"schema": CHECK_SCHEMA, "ok": False, "problems": error.problems, "warnings": []})
        raise
    if as_json:
        found = {"path": _path(settings.path), "sources": [source.name for source in settings.sources]}
        _print_json({"schema": CHECK_SCHEMA, "ok": True, **found, "problems": [], "warnings": settings.warnings})
        return
    sources = _counted(len(settings.sources), "source", "sources")
    policies = _counted(len(settings.policies), "policy", "policies")
    click.echo(f"configuration is fine: {settings.path or 'no file, environment and defaults'}, {sources}, {policies}")
    for warning in settings.warnings:
        click.echo(f"warning: {warning}")


@config.command()
@_as_json
@click.pass_obj
def show(invocation: Invocation, *, as_json: bool) -> None:
    """Print every setting with its value, secrets masked, and where the value came from."""
    settings = invocation.settings(need_sources=False, warn=False)
    rows = describe(settings)
    if as_json:
        listed = [{"key": row.key, "value": row.value, "origin": row.origin} for row in rows]
        _print_json({"schema": SHOW_SCHEMA, "path": _path(settings.path), "settings": listed, "warnings": settings.warnings})
        return
    _print_columns([(row.key, row.value or '""', row.origin) for row in rows])


@config.command(name="schema")
@_as_json
def show_schema(*, as_json: bool) -> None:
    """Print every key with its default, what is accepted and what it means; as JSON, a schema that editors understand."""
    document = schema()
    if as_json:
        _print_json(document)
        return
    for table, described in document["properties"].items():
        many = described["type"] == "array"
        click.echo(f"[[{table}]]" if many else f"[{table}]")
        for key, told in (described["items"] if many else described)["properties"].items():
            default = f", default {json.dumps(told['default'])}" if "default" in told else ""
            click.echo(f"  {key}: {told['x-accepted']}{default}\n      {told['description']}")
        click.echo()


@config.command()
def password() -> None:
    """Make the hash of a password, for `web.users`.

    Asks twice on a terminal, without showing it; else reads one line from standard input.
    """
    if sys.stdin.isatty():
        given = click.prompt("Password", hide_input=True, confirmation_prompt="Once more", err=True)
    else:
        try:
            given = sys.stdin.readline(2 * LONGEST_PASSWORD).removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise UsageError("password: found bytes that are not text in this locale's encoding") from None
    if not SHORTEST_PASSWORD <= len(given) <= LONGEST_PASSWORD or "\x00" in given:
        found = "a NUL in it" if "\x00" in given else f"{len(given)} characters"
        raise UsageError(f"password: found {found}, accepted: {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters on one line")
    click.echo(hash_password(given, salt=bytes.fromhex(SystemClock().token())))


def _path(path: object) -> str | None:
    return str(path) if path else None


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _print_json(document: dict[str, Any]) -> None:
    click.echo(json.dumps(document, indent=2))


def _print_columns(rows: list[tuple[str, str, str]]) -> None:
    """Two padded columns; a value that is much longer than others does not push all of them away."""
    first = max(len(key) for key, _, _ in rows)
    second = min(max(len(value) for _, value, _ in rows), 44)
    for key, value, origin in rows:
        click.echo(f"{key:<{first}}  {value:<{second}}  {origin}")
