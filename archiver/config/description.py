"""The configuration explained: what is set and by whom, and what could be set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from archiver.config.keys import GROUPS, SECTIONS
from archiver.config.layers import LISTS, names_of
from archiver.config.providers import CREDENTIALS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from archiver.config.keys import Key
    from archiver.config.settings import Settings

SCHEMA = "archiver.config-schema/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One setting for people: dotted key, value with secrets masked, and where it came from."""

    key: str
    value: str
    origin: str


def describe(settings: Settings) -> tuple[Row, ...]:
    """Every setting, in the order of the table of keys; credentials that a source does not have are left out."""
    return tuple(_rows(settings))


def _rows(settings: Settings) -> Iterator[Row]:
    groups = [(name, SECTIONS[name], getattr(settings, name)) for name in SECTIONS]
    groups += [(f"source.{source.name}", GROUPS["source"], source) for source in settings.sources]
    groups += [(f"policy.{policy.name}", GROUPS["policy"], policy) for policy in settings.policies]
    for label, keys, values in groups:
        for key in keys:
            value = getattr(values, key.name)
            if key.name == "name" or (key.name in CREDENTIALS and not value):
                continue
            dotted = f"{label}.{key.name}"
            yield Row(key=dotted, value=key.kind.show(value), origin=settings.origins.get(dotted, "default"))


def schema() -> dict[str, Any]:
    """Every key with type, default, what is accepted and what it means: a JSON Schema that editors can use for the TOML file.

    `x-accepted` and `x-environment` are ours: the limits in words, and the variable that sets the key.
    """
    properties: dict[str, Any] = {}
    for name, keys in GROUPS.items():
        table = {
            "type": "object",
            "additionalProperties": False,
            "properties": {option: described for key in keys for option, described in _options(name, key)},
            "required": [key.name for key in keys if key.required],
        }
        properties[name] = {"type": "array", "items": table} if name in LISTS else table
    return {
        "schema": SCHEMA,
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "archiver.toml",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }


def _options(group: str, key: Key) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in names_of((key,)):
        variable = f"ARCHIVER_{group}__{'<NAME>__' if group in LISTS else ''}{name}".upper()
        if name == key.name:
            told = {
                **key.kind.json,
                "description": key.says,
                "x-type": key.kind.word,
                "x-accepted": key.kind.accepted,
                "x-example": key.kind.example,
            }
            yield name, told if key.default is None else {**told, "default": key.default, "x-environment": variable}
        else:
            told = {"type": "string", "description": f"Path of a file that holds {key.name}; one newline at its end is cut."}
            yield name, {**told, "x-type": "path", "x-accepted": "a path", "x-environment": variable}
