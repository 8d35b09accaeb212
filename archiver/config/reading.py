"""One section, source or policy: the values of its keys, read from what is given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from archiver.config.addresses import catalog_url_holds_password
from archiver.config.kinds import read_from_file
from archiver.config.layers import FLAGS
from archiver.config.quantities import Period
from archiver.config.values import Unacceptable, plain_text, problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from archiver.config.keys import Key
    from archiver.config.layers import Given, Group
    from archiver.config.rules import Complaint
    from archiver.config.secret import Secret

# What stands in for a required value that is missing or wrong, so that the rest can still be examined.
_STAND_INS = {"name": "", "provider": "", "keep": Period(years=1)}


@dataclass(slots=True, kw_only=True)
class Findings:
    """What comes to light while reading: problems, and where each value came from."""

    problems: list[str]
    origins: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Read:
    """The values of one group; `bad` are the keys about which something was said already."""

    group: Group
    values: dict[str, Any] = field(default_factory=dict)
    bad: set[str] = field(default_factory=set)


def read_group(group: Group, keys: tuple[Key, ...], findings: Findings) -> Read:
    """Every key's value: given, default, or a stand-in where there is something wrong."""
    read = Read(group=group)
    for key in keys:
        read.values[key.name] = _STAND_INS.get(key.name) if key.default is None else key.kind.read(key.default)
        findings.origins[f"{group.label}.{key.name}"] = "default"
        given = group.values.get(key.name)
        twin = group.values.get(f"{key.name}_file") if key.twin else None
        try:
            _take(read, key, given, twin, findings)
        except Unacceptable as error:
            read.bad.add(key.name)
            name = f"{key.name}_file" if twin else key.name
            place = (twin or given or group).place
            findings.problems.append(problem(place, f"{group.label}.{name}", error.found, _accepted(key, error), error.hint))
    return read


def _accepted(key: Key, error: Unacceptable) -> str:
    if error.accepted:
        return error.accepted
    return f"{key.kind.accepted}, e.g. {key.kind.example}" if key.kind.example else key.kind.accepted


def _take(read: Read, key: Key, given: Given | None, twin: Given | None, findings: Findings) -> None:
    dotted = f"{read.group.label}.{key.name}"
    if given and twin:
        raise Unacceptable(f"both {key.name} and {key.name}_file", accepted="one of them")
    if twin:
        secret: Secret = read_from_file(key.kind, twin.raw)
        read.values[key.name] = secret
        findings.origins[dotted] = f"{twin.origin} ({key.name}_file = {secret.file})"
    elif given:
        read.values[key.name] = _value(key, given)
        findings.origins[dotted] = given.origin
    elif key.required:
        raise Unacceptable("nothing")


def _value(key: Key, given: Given) -> Any:
    if not given.text:
        return key.kind.read(given.raw)
    text = plain_text(given.raw)
    if given.layer == FLAGS:
        _refuse_on_command_line(key, text)
    try:
        return key.kind.read(key.kind.from_text(text))
    except Unacceptable as error:
        if not text:
            error.hint = error.hint or "unset it to use the default"
        raise


def _refuse_on_command_line(key: Key, text: str) -> None:
    """Everybody on a machine can read the arguments of every process."""
    if key.kind.confidential or (key.twin and catalog_url_holds_password(text)):
        raise Unacceptable(
            "a password, which is refused on the command line",
            accepted="secrets from a file or the environment",
            hint=f"use {key.name}_file" + (", PGPASSWORD or a passfile" if key.name == "url" else ""),
        )


def complain(read: Read, complaints: Iterable[Complaint], findings: Findings) -> None:
    """Tells the complaints about a group, without those that only follow from something told already."""
    for complaint in complaints:
        if read.bad.isdisjoint({complaint.key, *complaint.besides}):
            given = read.group.values.get(complaint.key) or read.group.values.get(f"{complaint.key}_file")
            dotted = f"{read.group.label}.{complaint.key}"
            findings.problems.append(
                problem((given or read.group).place, dotted, complaint.found, complaint.accepted, complaint.hint)
            )
