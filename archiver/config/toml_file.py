"""The configuration file: found, read, parsed, and on which line each key stands."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archiver.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "ARCHIVER_CONFIG"
PLACES = (Path("archiver.toml"), Path("/etc/archiver/archiver.toml"))
_LARGEST = 1024 * 1024  # bytes; a configuration is text that people write

_HEADER = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_-]+)\s*(?:\.\s*([A-Za-z0-9_-]+)\s*)?\]")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+)\s*(?:\.\s*([A-Za-z0-9_-]+)\s*)?=")
_WHERE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile:
    """A parsed file. `exposed`: everybody on the machine may read it. `lines` is keyed by table, its number from 0, and key."""

    path: Path | None = None
    document: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[tuple[str, int, str], int] = field(default_factory=dict)
    exposed: bool = False

    def place(self, table: str, number: int = 0, key: str = "") -> str:
        """`archiver.toml line 12`, without the line where it was not found."""
        line = self.lines.get((table, number, key)) or self.lines.get((table, number, ""))
        return f"{self.path} line {line}" if line else str(self.path)


def find(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Which file counts: the one asked for, the one of $ARCHIVER_CONFIG, the first that exists, or none."""
    if path is not None:
        return path
    named = environ.get(VARIABLE)
    if named is not None:
        if not named:
            raise ConfigurationError((f"environment {VARIABLE}: found empty text; accepted: a path; hint: unset the variable",))
        return Path(named)
    return next((place for place in PLACES if place.exists()), None)


def read(path: Path) -> ConfigFile:
    """The file at `path`; raises ConfigurationError naming file and line."""
    content, exposed = _content(path)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _unusable(path, "bytes that are not UTF-8", "UTF-8 text", line=line) from None
    if text.startswith("\ufeff"):
        raise _unusable(path, "a byte order mark", "UTF-8 text without one", line=1)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _invalid(path, text, str(error)) from None
    except ValueError:
        raise _unusable(path, "a number with thousands of digits", "TOML") from None
    except RecursionError:
        raise _unusable(path, "hundreds of brackets inside each other", "TOML") from None
    return ConfigFile(path=path, document=document, lines=_lines(text), exposed=exposed)


def _content(path: Path) -> tuple[bytes, bool]:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        exposed = bool(path.stat().st_mode & 0o004)
    except FileNotFoundError:
        raise _unusable(path, "no such file", "a readable TOML file") from None
    except IsADirectoryError:
        raise _unusable(path, "a directory", "a readable TOML file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise _unusable(path, f"a file that cannot be read ({reason})", "a readable TOML file") from None
    if len(content) > _LARGEST:
        raise _unusable(path, "more than 1 MiB", "a configuration, which is shorter")
    return content, exposed


def _invalid(path: Path, text: str, message: str) -> ConfigurationError:
    """Tomllib's own words; they quote single characters and key names of tables, never a value."""
    where = _WHERE.search(message)
    said = _WHERE.sub("", message)
    said = said[:1].lower() + said[1:]
    line = int(where[1]) if where and where[1] else text.count("\n") + (not text.endswith("\n"))
    hint = ""
    if "overwrite" in said or "twice" in said or "Duplicate" in message or "mutate" in said:
        hint = "a key or table stands there twice"
    return _unusable(path, f"invalid TOML ({said})", "TOML, see https://toml.io", line=line, hint=hint)


def _unusable(path: Path, found: str, accepted: str, *, line: int = 0, hint: str = "") -> ConfigurationError:
    place = f"{path} line {line}" if line else str(path)
    return ConfigurationError((f"{place}: found {found}; accepted: {accepted}" + (f"; hint: {hint}" if hint else ""),))


def _lines(text: str) -> dict[tuple[str, int, str], int]:
    """Where tables and keys stand. tomllib does not say, so this looks for itself; only messages depend on it."""
    found: dict[tuple[str, int, str], int] = {}
    counts: dict[str, int] = {}
    table, number = "", 0
    for line_number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = header[2]
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
            number = counts.get(table, 0)
            found.setdefault((table, number, header[3] or ""), line_number)
        elif key := _KEY.match(line):
            here = (table, number, key[1]) if table else (key[1], 0, key[2] or "")
            found.setdefault(here, line_number)
    return found
