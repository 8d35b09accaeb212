"""What file, environment and flags give, laid over one another; names that nobody knows are problems.

Nothing is interpreted here: a later layer replaces what an earlier one gives for the same key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from archiver.config.keys import GROUPS, NAME, POLICY, SECTIONS, SOURCE, Key
from archiver.config.toml_file import VARIABLE
from archiver.config.values import did_you_mean, shape

if TYPE_CHECKING:
    from archiver.config.toml_file import ConfigFile

FILE, ENVIRONMENT, FLAGS = range(1, 4)  # later ones win
LISTS = {"source": SOURCE, "policy": POLICY}
_PREFIX = "ARCHIVER_"
_TESTS = "ARCHIVER_TEST_"  # where the test suite is told of servers; the program ignores them
# Kubernetes puts these into every pod beside a Service whose name begins with `archiver`; they are nobody's mistake.
_SERVICE_LINKS = (
    (re.compile(r"ARCHIVER_([A-Z0-9_]+_)?SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)"), re.compile(r"[0-9A-Fa-f.:]+")),
    (re.compile(r"ARCHIVER_([A-Z0-9_]+_)?PORT(_[0-9]+_(TCP|UDP|SCTP))?"), re.compile(r"(tcp|udp|sctp)://\S+")),
    (re.compile(r"ARCHIVER_([A-Z0-9_]+_)?PORT_[0-9]+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR)"), re.compile(r"[0-9A-Za-z.:]+")),
)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Given:
    """A value as somebody gave it: `origin` is for `config show`, `place` for problems. `text` still has to be interpreted."""

    raw: object
    layer: int
    origin: str
    place: str
    text: bool = False


@dataclass(slots=True, kw_only=True)
class Group:
    """What is given for one section, source or policy. Problems call it by its label: `storage`, `source.calls`, `source #2`."""

    label: str
    place: str
    values: dict[str, Given] = field(default_factory=dict)

    def give(self, key: str, given: Given) -> None:
        """Lays a value over what is there; one for a key replaces an earlier layer's for its `_file` twin, and the reverse."""
        twin = key.removesuffix("_file") if key.endswith("_file") else f"{key}_file"
        if twin in self.values and self.values[twin].layer < given.layer:
            del self.values[twin]
        self.values[key] = given


@dataclass(slots=True, kw_only=True)
class Layers:
    """All that is given, and what is wrong with how it is named."""

    sections: dict[str, Group]
    lists: dict[str, list[Group]]
    problems: list[str] = field(default_factory=list)


def names_of(keys: tuple[Key, ...]) -> list[str]:
    """The names under which keys may be given, twins included."""
    return [name for key in keys for name in ((key.name, f"{key.name}_file") if key.twin else (key.name,))]


def layered(file: ConfigFile, environ: Mapping[str, str], flags: Mapping[str, str]) -> Layers:
    """Everything that is given, the file first."""
    layers = Layers(
        sections={name: Group(label=name, place="defaults") for name in SECTIONS},
        lists={name: [] for name in LISTS},
    )
    for name, value in file.document.items():
        _take_table(layers, file, name, value)
    _take_environment(layers, environ)
    for dotted, value in flags.items():
        _take_flag(layers, dotted, value)
    return layers


def _take_table(layers: Layers, file: ConfigFile, name: str, value: Any) -> None:
    place = file.place(name)
    if name in LISTS:
        if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
            layers.problems.append(
                f"{place}: {name}: found {shape(value)}; accepted: [[{name}]] with two brackets, once for each"
            )
            return
        for number, item in enumerate(value):
            named = item.get("name")
            good = isinstance(named, str) and re.fullmatch(NAME, named)
            group = Group(label=f"{name}.{named}" if good else f"{name} #{number + 1}", place=file.place(name, number))
            layers.lists[name].append(group)
            _take_items(layers, file, name, group, item, number)
    elif name not in SECTIONS:
        hint = did_you_mean(name, GROUPS)
        what = "section" if isinstance(value, Mapping | list) else "setting"
        layers.problems.append(f"{place}: unknown {what} {_shown(name)}" + (f"; {hint}" if hint else f"; {_all_sections()}"))
    elif not isinstance(value, Mapping):
        layers.problems.append(f"{place}: {name}: found {shape(value)}; accepted: [{name}] and its keys below it")
    else:
        layers.sections[name].place = place
        _take_items(layers, file, name, layers.sections[name], value, 0)


def _take_items(layers: Layers, file: ConfigFile, table: str, group: Group, items: Mapping[str, Any], number: int) -> None:
    for key, value in items.items():
        place = file.place(table, number, key)
        if key in names_of(GROUPS[table]):
            group.give(key, Given(raw=value, layer=FILE, origin=str(file.path), place=place))
        else:
            layers.problems.append(f"{place}: unknown setting {group.label}.{_shown(key)}{_suggestion(table, key)}")


def _suggestion(table: str, key: str) -> str:
    """What was probably meant by a key that its table does not have."""
    if hint := did_you_mean(key, names_of(GROUPS[table])):
        return f"; {hint}"
    elsewhere = [f"[{name}]" if name in SECTIONS else f"[[{name}]]" for name, keys in GROUPS.items() if key in names_of(keys)]
    return f"; it belongs to {' or '.join(elsewhere)}" if elsewhere else f"; known are {', '.join(names_of(GROUPS[table]))}"


def _take_environment(layers: Layers, environ: Mapping[str, str]) -> None:
    for variable in sorted(environ):
        value = environ[variable]
        if not variable.startswith(_PREFIX) or variable == VARIABLE or variable.startswith(_TESTS):
            continue
        if any(name.fullmatch(variable) and content.fullmatch(value) for name, content in _SERVICE_LINKS):
            continue
        place = f"environment {variable}"
        section, _, rest = variable.removeprefix(_PREFIX).partition("__")
        table, item, key = section.lower(), "", rest
        if table in LISTS:
            item, _, key = rest.rpartition("__")
        group = _group(layers, table, item.lower().replace("_", "-"), environ) if section.isupper() and key.isupper() else None
        if group is None or key.lower() not in _settable(table):
            hint = did_you_mean(variable, _variables(layers))
            layers.problems.append(f"environment: unknown variable {_shown(variable)}" + (f"; {hint}" if hint else ""))
        else:
            group.give(key.lower(), Given(raw=value, layer=ENVIRONMENT, origin=place, place=place, text=True))


def _settable(table: str) -> list[str]:
    """What the environment may set; the name of a list's member is part of the variable already."""
    return [name for name in names_of(GROUPS[table]) if table not in LISTS or name != "name"]


def _group(layers: Layers, table: str, item: str, environ: Mapping[str, str]) -> Group | None:
    """The section, source or policy that a variable speaks of.

    One that the file does not have comes into being when the key it cannot do without is set too; without that a
    misspelt name would silently become a source of its own.
    """
    if table in SECTIONS:
        return layers.sections[table]
    if table not in LISTS or not re.fullmatch(NAME, item):
        return None
    label = f"{table}.{item}"
    for group in layers.lists[table]:
        if group.label == label:
            return group
    start = f"{_PREFIX}{table.upper()}__{item.upper().replace('-', '_')}__"
    if start + ("PROVIDER" if table == "source" else "KEEP") not in environ:
        return None
    group = Group(label=label, place="environment")
    group.give("name", Given(raw=item, layer=ENVIRONMENT, origin="environment", place=f"environment {start}*"))
    layers.lists[table].append(group)
    return group


def _variables(layers: Layers) -> list[str]:
    """Every variable that would be understood."""
    variables = [VARIABLE]
    variables += [f"{_PREFIX}{name}__{key}".upper() for name, keys in SECTIONS.items() for key in names_of(keys)]
    for table, groups in layers.lists.items():
        for group in groups:
            item = group.label.partition(".")[2].replace("-", "_")
            variables += [f"{_PREFIX}{table}__{item}__{key}".upper() for key in _settable(table) if item]
    return variables


def _take_flag(layers: Layers, dotted: str, value: str) -> None:
    origin = f"flag --{dotted.replace('.', '-').replace('_', '-')}"
    table, _, key = dotted.partition(".")
    if table not in SECTIONS or key not in names_of(SECTIONS[table]):
        layers.problems.append(f"{origin}: unknown setting {_shown(dotted)}")
        return
    layers.sections[table].give(key, Given(raw=value, layer=FLAGS, origin=origin, place=origin, text=True))


def _shown(name: str) -> str:
    """A name that somebody made up, on one line and not too long."""
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in name[:60]) + ("…" if len(name) > 60 else "")


def _all_sections() -> str:
    return "known are " + ", ".join(f"[[{name}]]" if name in LISTS else f"[{name}]" for name in GROUPS)
