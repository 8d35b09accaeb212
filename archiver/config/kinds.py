"""How values of each general kind are read from TOML or from text, bounded, shown and explained."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from archiver.config.quantities import quoted
from archiver.config.secret import MASK, Secret, read_secret_file
from archiver.config.values import Unacceptable, bounded, described, did_you_mean, plain_text, shape

if TYPE_CHECKING:
    from collections.abc import Callable


def as_is(text: str) -> object:
    """Text from the environment or the command line, for kinds that are text in TOML too."""
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of value: `read` takes what TOML gives, `from_text` makes that of an environment variable.

    `accepted` and `example` are for people; `example` and `default` texts are TOML. `read` and `from_text` raise Unacceptable.
    """

    word: str
    accepted: str
    example: str
    read: Callable[[object], Any]
    json: Mapping[str, Any]
    show: Callable[[Any], str] = str
    from_text: Callable[[str], object] = as_is
    confidential: bool = False


def _from_toml(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        raise Unacceptable(f"{shape(text)} that is not valid TOML") from None


def switch() -> Kind:
    """True or false."""
    words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}

    def read(raw: object) -> bool:
        if not isinstance(raw, bool):
            raise Unacceptable(described(raw))
        return raw

    return Kind(
        word="boolean",
        accepted="true or false",
        example="true",
        json={"type": "boolean"},
        read=read,
        show=lambda value: str(value).lower(),
        from_text=lambda text: words.get(text.lower(), text),
    )


def whole(least: int, most: int, example: int) -> Kind:
    """A whole number; a boolean is none, although Python thinks so."""

    def read(raw: object) -> int:
        if isinstance(raw, bool) or not isinstance(raw, int):
            raise Unacceptable(described(raw))
        return int(bounded(raw, raw, least, most))

    return Kind(
        word="integer",
        accepted=f"a whole number from {least} to {most}",
        example=str(example),
        json={"type": "integer", "minimum": least, "maximum": most},
        read=read,
        from_text=lambda text: int(text) if re.fullmatch(r"-?[0-9]{1,15}", text) else text,
    )


def share() -> Kind:
    """A part of a whole."""

    def read(raw: object) -> float:
        if isinstance(raw, bool) or not isinstance(raw, int | float):
            raise Unacceptable(described(raw))
        return float(bounded(raw, raw, 0, 1))  # NaN fails every comparison, so it fails this one

    return Kind(
        word="number",
        accepted="a number from 0 to 1",
        example="0.10",
        json={"type": "number", "minimum": 0, "maximum": 1},
        read=read,
        from_text=lambda text: float(text) if re.fullmatch(r"-?[0-9]{0,15}\.?[0-9]{1,15}", text) else text,
    )


def choice(*words: str) -> Kind:
    """One of a few words."""

    def read(raw: object) -> str:
        word = plain_text(raw)
        if word not in words:
            raise Unacceptable(described(raw), hint=did_you_mean(word.lower(), [word for word in words if word]))
        return word

    return Kind(
        word="choice",
        accepted=" | ".join(json.dumps(word) for word in words),
        example=json.dumps(next(word for word in words if word)),
        json={"enum": list(words)},
        read=read,
    )


def text(pattern: str, accepted: str, example: str, *, shy: bool = False) -> Kind:
    """Text that matches a pattern as a whole. `shy`: a wrong one is not shown, it may be a secret in the wrong place."""
    compiled = re.compile(pattern)

    def read(raw: object) -> str:
        value = plain_text(raw)
        if not compiled.fullmatch(value):
            raise Unacceptable(shape(raw) if shy else described(raw))
        return value

    return Kind(word="text", accepted=accepted, example=f'"{example}"', json={"type": "string"}, read=read)


def path() -> Kind:
    """A file's path, empty for none; relative ones count from the working directory."""
    return Kind(
        word="path",
        accepted='a path, or "" for none',
        example='"/run/secrets/attest.key"',
        json={"type": "string"},
        read=lambda raw: Path(given) if (given := plain_text(raw)) else None,
        show=lambda value: "" if value is None else str(value),
    )


def words(each: Kind, example: str) -> Kind:
    """A list whose members are all of one kind; in the environment separated by commas, or a TOML array."""

    def read(raw: object) -> tuple[Any, ...]:
        if not isinstance(raw, list):
            raise Unacceptable(described(raw))
        return tuple(dict.fromkeys(each.read(member) for member in raw))

    def from_text(text: str) -> object:
        return _from_toml(text) if text.startswith("[") else [part.strip() for part in text.split(",") if part.strip()]

    return Kind(
        word="list",
        accepted=f"a list of {each.accepted}",
        example=example,
        json={"type": "array", "items": dict(each.json)},
        read=read,
        show=", ".join,
        from_text=from_text,
    )


def table(each: Kind, example: str, names: tuple[str, ...]) -> Kind:
    """A table of texts with these possible keys."""

    def read(raw: object) -> Mapping[str, Any]:
        if not isinstance(raw, Mapping):
            raise Unacceptable(described(raw))
        for name in raw:
            if name not in names:
                raise Unacceptable(f"the unknown key {quoted(name)}", hint=did_you_mean(name, names))
        return MappingProxyType({name: each.read(member) for name, member in raw.items()})

    return Kind(
        word="table",
        accepted=f"a table of {', '.join(names)}, each {each.accepted}",
        example=example,
        json={"type": "object", "properties": {name: dict(each.json) for name in names}, "additionalProperties": False},
        read=read,
        show=_show_table,
        from_text=_from_toml,
    )


def _show_table(value: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {member}" for name, member in value.items())


def secret(
    accepted: str = "text without spaces or line breaks",
    pattern: str = r"[\x21-\x7e]+",
    *,
    check: Callable[[str], object] | None = None,
) -> Kind:
    """Text that is never shown, fit for an HTTP header. `check` raises ValueError for one that fits and is no good."""
    compiled = re.compile(pattern)

    def read(raw: object) -> Secret:
        if not isinstance(raw, str):
            raise Unacceptable(shape(raw))
        if not compiled.fullmatch(raw):
            raise Unacceptable(
                f"{shape(raw)}{' with a space, line break or the like in it' if re.search(r'[^!-~]', raw) else ''}"
            )
        if check is not None:
            try:
                check(raw)
            except ValueError:  # its text is for those who know the value
                raise Unacceptable(shape(raw)) from None
        return Secret(raw)

    return Kind(
        word="secret",
        accepted=accepted,
        example="",
        json={"type": "string"},
        read=read,
        show=lambda value: "" if value is None else MASK,
        confidential=True,
    )


def secret_table(each: Kind) -> Kind:
    """A table of secrets by name; `<name>_file` is the path of a file that holds one."""

    def read(raw: object) -> Mapping[str, Secret]:
        if not isinstance(raw, Mapping):
            raise Unacceptable(shape(raw))
        members: dict[str, Secret] = {}
        for key, member in raw.items():
            name = key.removesuffix("_file")
            if name in members:
                raise Unacceptable(f"both {name} and {name}_file")
            if not re.fullmatch(r"[a-z0-9-]{1,40}", name):
                raise Unacceptable("a name that is not 1 to 40 of a-z 0-9 -")
            try:
                members[name] = each.read(member) if name == key else read_from_file(each, member)
            except Unacceptable as error:
                raise Unacceptable(f"{error.found} for {key}", hint=error.hint) from None
        return MappingProxyType(members)

    return Kind(
        word="table",
        accepted=f"a table of name = {each.accepted}",
        example='{ alice_file = "/run/secrets/alice" }',
        json={"type": "object", "additionalProperties": dict(each.json)},
        read=read,
        show=_show_table,
        from_text=_from_toml,
        confidential=True,
    )


def read_from_file(kind: Kind, raw: object) -> Secret:
    """A secret of this kind from the file that `raw` names; raises Unacceptable.

    Its message shows the path only where it looks like one: pasting a key where its file belongs is a common mistake.
    """
    path = plain_text(raw) if isinstance(raw, str) else ""
    if not path:
        raise Unacceptable(shape(raw), accepted="the path of a file that holds the secret")
    shown = quoted(path) if path.startswith(("/", "./", "../")) else f"{shape(path)} (not shown, it may be the secret itself)"
    try:
        held = read_secret_file(Path(path))
    except ValueError as error:
        raise Unacceptable(f"{shown}, {error}", accepted="a readable file that holds the secret and nothing else") from None
    try:
        value: Secret = kind.read(held.reveal())
    except Unacceptable as error:
        raise Unacceptable(f"{shown}, a file with {shape(held.reveal())}", accepted=kind.accepted, hint=error.hint) from None
    return Secret(value.reveal(), file=held.file, exposed=held.exposed)
