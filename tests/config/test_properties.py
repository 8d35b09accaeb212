"""Laws over any configuration: settings or a ConfigurationError, never anything else, and never a secret."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.config import Settings, describe, load
from archiver.config.keys import GROUPS, SECTIONS
from archiver.domain.errors import ConfigurationError

CANARY = "cAnaRy7"
NAMES = [key.name for keys in GROUPS.values() for key in keys]
LIMIT = settings(max_examples=300, deadline=None)

scalars = st.one_of(
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from(
        ["16MiB", "5m", "30d", "7y", "after:30d", "s3://abc/x", "file:///a", "https://h", "h:1", "auto", "off", "mp3", "true", ""]
    ),
)
values = st.one_of(scalars, st.lists(scalars, max_size=3), st.dictionaries(st.sampled_from([*NAMES, "x"]), scalars, max_size=2))
keys = st.one_of(st.sampled_from(NAMES), st.from_regex(r"[a-z_]{1,12}", fullmatch=True))
tables = st.dictionaries(keys, values, max_size=4)
documents = st.dictionaries(
    st.one_of(st.sampled_from([*GROUPS]), st.from_regex(r"[a-z]{1,8}", fullmatch=True)),
    st.one_of(tables, st.lists(tables, max_size=3), scalars),
    max_size=4,
)


def toml(value: Any) -> str:
    """A value in TOML's inline notation."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return (
                json.dumps(value, ensure_ascii=True).replace("\x7f", "\\u007f")
                if value.isascii()
                else json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
            )
        case Mapping():
            return "{ " + ", ".join(f"{key} = {toml(member)}" for key, member in value.items()) + " }"
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
        case _:
            return str(value)


@pytest.fixture(scope="module")
def folder() -> Any:
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


def problems_of(folder: Path, content: bytes, environ: Mapping[str, str]) -> tuple[str, ...]:
    """What loading tells; nothing else than settings or a ConfigurationError may come of it."""
    file = folder / "archiver.toml"
    file.write_bytes(content)
    try:
        found = load(file, environ, {})
    except ConfigurationError as refused:
        return refused.problems
    assert isinstance(found, Settings)
    assert CANARY not in repr(found)
    assert CANARY not in repr(describe(found))
    assert CANARY not in repr(found.warnings)
    return ()


@LIMIT
@given(document=documents)
def test_any_document_gives_settings_or_problems_of_one_printable_line_each(folder: Path, document: dict[str, Any]) -> None:
    content = "".join(f"{name} = {toml(value)}\n" for name, value in document.items()).encode("utf-8", "surrogatepass")
    for line in problems_of(folder, content, {}):
        assert line.isprintable()
        assert line.startswith((str(folder), "defaults"))
        assert "found " in line or "unknown " in line


@LIMIT
@given(section=st.sampled_from([*SECTIONS]), key=keys, value=values)
def test_a_problem_names_the_key_that_caused_it(folder: Path, section: str, key: str, value: Any) -> None:
    content = f"{section} = {{ {key} = {toml(value)} }}\n".encode()
    told = problems_of(folder, content, {})
    assert len(told) >= 1  # there is no source
    for line in told[:-1]:
        assert f"{section}.{key}" in line or "i_understand_irreversible" in line


@LIMIT
@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_bytes_give_settings_or_problems(folder: Path, content: bytes) -> None:
    assert problems_of(folder, content, {})


@LIMIT
@given(
    environ=st.dictionaries(
        st.one_of(
            st.builds(
                "ARCHIVER_{}__{}".format,
                st.sampled_from([name.upper() for name in SECTIONS]),
                st.sampled_from([n.upper() for n in NAMES]),
            ),
            st.builds(
                "ARCHIVER_SOURCE__{}__{}".format,
                st.sampled_from(["A", "A_B", "", "_"]),
                st.sampled_from([n.upper() for n in NAMES]),
            ),
            st.text(max_size=12).map("ARCHIVER_".__add__),
        ),
        st.text(st.characters(exclude_characters="\0"), max_size=30),
        max_size=4,
    )
)
def test_any_environment_gives_settings_or_problems(folder: Path, environ: dict[str, str]) -> None:
    for line in problems_of(folder, b"", environ):
        assert line.isprintable()


WRAPPERS = [
    "{}",
    " {} ",
    "{}\n",
    "{}\x00",
    "sk {} x",
    "postgresql://user:{}@host:bad/db",
    "postgresql://user:a?{}@/#@ho st/db",
    "mysql://u:{}@h/d",
]
WHERE = [
    "catalog.url",
    "storage.url",
    "storage.endpoint_url",
    "source.api_key",
    "source.api_key_file",
    "source.auth_token",
    "source.api_key_secret",
    "source.account_sid",
    "source.api_key_sid",
    "source.base_url",
    "web.tokens",
    "web.users",
    "catalog.pasword",
]


@LIMIT
@given(
    where=st.sampled_from(WHERE),
    wrapper=st.sampled_from(WRAPPERS),
    provider=st.sampled_from(["telnyx-rooms", "twilio-video"]),
    data=st.data(),
)
def test_a_secret_never_shows_wherever_it_was_put_and_however_it_is_wrong(
    folder: Path, where: str, wrapper: str, provider: str, data: st.DataObject
) -> None:
    table, key = where.split(".")
    secret = data.draw(st.sampled_from([wrapper.format(CANARY), wrapper.format(CANARY * 6)]))
    wrong_url = table in {"storage", "source"} and key.endswith("url")
    given_value: Any = f"https://user:{secret}@host/x" if wrong_url else {"alice": secret} if table == "web" else secret
    source = {"name": "a", "provider": provider} | ({key: given_value} if table == "source" else {})
    document = {"source": [source]} | ({} if table == "source" else {table: {key: given_value}})
    content = "".join(f"{name} = {toml(value)}\n" for name, value in document.items()).encode()
    in_file = problems_of(folder, content, {})
    variable = f"ARCHIVER_SOURCE__A__{key}".upper() if table == "source" else f"ARCHIVER_{table}__{key}".upper()
    in_environment = problems_of(
        folder, f"source = [{toml({'name': 'a', 'provider': provider})}]".encode(), {variable: str(given_value)}
    )
    assert CANARY not in "\n".join((*in_file, *in_environment))
