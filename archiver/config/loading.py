"""From what is given to settings: every key read, every rule asked, all problems told at once."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from archiver.config import toml_file
from archiver.config.doubts import doubts
from archiver.config.keys import POLICY, SECTIONS, SOURCE
from archiver.config.layers import layered
from archiver.config.reading import Findings, Read, complain, read_group
from archiver.config.rules import account, coverage_complaints, deletion_complaints, source_complaints, storage_complaints
from archiver.config.settings import (
    AttestSettings,
    CatalogSettings,
    PolicySettings,
    RetentionSettings,
    ScheduleSettings,
    Settings,
    SourceSettings,
    StorageSettings,
    TransferSettings,
    WebSettings,
)
from archiver.config.values import problem
from archiver.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from archiver.config.toml_file import ConfigFile


def load(path: Path | None, environ: Mapping[str, str], flags: Mapping[str, str], *, need_sources: bool = True) -> Settings:
    """Reads the configuration.

    `path` is the file asked for, None to look at `$ARCHIVER_CONFIG`, `./archiver.toml` and `/etc/archiver/archiver.toml`;
    `flags` are dotted keys (`storage.url`) with texts from the command line. Raises ConfigurationError with every problem found;
    without `need_sources` a configuration that has none is fine.
    """
    found = toml_file.find(path, environ)
    file = toml_file.read(found) if found else toml_file.ConfigFile()
    layers = layered(file, environ, flags)
    findings = Findings(problems=layers.problems)
    sections = {name: read_group(group, SECTIONS[name], findings) for name, group in layers.sections.items()}
    sources = [read_group(group, SOURCE, findings) for group in layers.lists["source"]]
    policies = [read_group(group, POLICY, findings) for group in layers.lists["policy"]]
    settings = Settings(
        catalog=CatalogSettings(**sections["catalog"].values),
        storage=StorageSettings(**sections["storage"].values),
        transfer=TransferSettings(**sections["transfer"].values),
        schedule=ScheduleSettings(**sections["schedule"].values),
        retention=RetentionSettings(**sections["retention"].values),
        attest=AttestSettings(**sections["attest"].values),
        web=WebSettings(**sections["web"].values),
        sources=tuple(SourceSettings(**read.values) for read in sources),
        policies=tuple(PolicySettings(**read.values) for read in policies),
        path=file.path,
        origins=MappingProxyType(findings.origins),
    )
    _examine(settings, sections["storage"], sources, findings)
    _refuse_twice("source", sources, findings)
    _refuse_twice("policy", policies, findings)
    if need_sources and not sources:
        findings.problems.append(_no_source(file))
    if findings.problems:
        raise ConfigurationError(tuple(findings.problems))
    return replace(settings, warnings=doubts(settings, file_exposed=file.exposed))


def _examine(settings: Settings, storage: Read, sources: list[Read], findings: Findings) -> None:
    """Asks the rules between settings."""
    complain(storage, storage_complaints(settings.storage), findings)
    accounts: dict[object, str] = {}
    for source, read in zip(settings.sources, sources, strict=True):
        complain(read, source_complaints(source), findings)
        if "object_lock" not in storage.bad:
            complain(read, deletion_complaints(source, settings.storage), findings)
            complain(read, coverage_complaints(source, settings.storage, settings.policies), findings)
        # Two sources over one account would archive everything twice, under two policies.
        which = account(source)
        if which and accounts.setdefault(which, read.group.label) != read.group.label:
            found = f"the same account as in {accounts[which]}"
            findings.problems.append(problem(read.group.place, read.group.label, found, "each account once for a provider"))


def _refuse_twice(what: str, reads: list[Read], findings: Findings) -> None:
    seen: dict[str, str] = {}
    for read in reads:
        name, place = read.values["name"], read.group.place
        if name and name in seen:
            found = f"a second {what} of this name, the first is at {seen[name]}"
            findings.problems.append(problem(place, f"{what}.{name}", found, "each name once"))
        seen.setdefault(name, place)


def _no_source(file: ConfigFile) -> str:
    place = str(file.path) if file.path else f"no file ({', '.join(map(str, toml_file.PLACES))})"
    hint = "config/archiver.example.toml explains how, `archiver demo` needs none"
    return problem(place, "source", "none", "at least one [[source]]", hint)
