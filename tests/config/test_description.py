"""The example, the contract's own document, `describe` and `schema` all agree with the table of keys."""

import re
import tomllib
from pathlib import Path

import pytest

from archiver.config import PolicySettings, Settings, SourceSettings, describe, load, schema
from archiver.config.keys import GROUPS, POLICY, SECTIONS, SOURCE
from archiver.config.layers import names_of
from tests.config.conftest import Load

EXAMPLE = Path(__file__).parents[2] / "config" / "archiver.example.toml"
FAKE = {"ARCHIVER_SOURCE__TELNYX_ROOMS__API_KEY": "KEYcanary0123456789"}

CONTRACT = """
[catalog]
url = "sqlite:///data/catalog.db"
auto_upgrade = true
[storage]
url = "file:///data/archive"
endpoint_url = ""
region = "us-east-1"
addressing_style = "auto"
object_lock = "off"
late_lock = false
storage_class = "STANDARD"
sse = ""
kms_key_id = ""
expected_bucket_owner = ""
part_size = "16MiB"
verify = "auto"
[transfer]
concurrency = 16
max_attempts = 8
min_rate = "32KiB"
bandwidth = ""
[schedule]
verify_every = "24h"
retention_every = "24h"
seal_every = "5m"
[retention]
max_share = 0.10
max_count = 500
[attest]
key_file = ""
[web]
listen = "127.0.0.1:8080"
[[source]]
name = "telnyx-rooms"
provider = "telnyx-rooms"
base_url = ""
api_key_file = "/run/secrets/telnyx"
poll_every = "5m"
lookback = "48h"
media_hosts = []
formats = ["mp3"]
delete_at_provider = "never"
[[policy]]
name = "calls-7y"
match = { source = "telnyx-calls" }
keep = "7y"
"""


def same_as_defaults(settings: Settings) -> bool:
    defaults = Settings()
    return all(getattr(settings, section) == getattr(defaults, section) for section in SECTIONS)


def test_the_contract_s_document_loads_and_holds_the_defaults(loaded: Load) -> None:
    settings = loaded(CONTRACT, FAKE)
    assert same_as_defaults(settings)
    assert settings.sources == (
        SourceSettings(name="telnyx-rooms", provider="telnyx-rooms", api_key=settings.sources[0].api_key),
    )
    assert settings.policies[0].keep.years == 7


def test_the_example_loads_and_holds_the_defaults_and_warns_of_nothing() -> None:
    settings = load(EXAMPLE, FAKE, {})
    assert same_as_defaults(settings)
    assert settings.sources == (
        SourceSettings(name="telnyx-rooms", provider="telnyx-rooms", api_key=settings.sources[0].api_key),
    )
    assert settings.warnings == ()


def test_the_example_explains_every_key_and_no_other() -> None:
    lines = EXAMPLE.read_text().splitlines()
    table, found = "", set()
    for line in lines:
        if header := re.match(r"(?:# )?\[\[?([a-z.]+)\]", line):
            table = header[1].partition(".")[0]
            found.add((table, header[1].partition(".")[2]))
        elif key := re.match(r"(?:# ){0,2}([a-z_]+) = ", line):
            found.add((table, key[1]))
    everything = {(table, name) for table, keys in GROUPS.items() for name in names_of(keys)}
    assert everything <= found
    assert {pair for pair in found if pair[1]} - everything == {("web", "alice_file"), ("web", "monitoring_file")}


def test_the_example_s_short_version_loads(tmp_path: Path) -> None:
    text = EXAMPLE.read_text()
    short = "\n".join(line[6:] for line in text.splitlines() if line.startswith("#     ") and "archiver " not in line)
    assert list(tomllib.loads(short)) == ["storage", "source"]
    (tmp_path / "archiver.toml").write_text(short)
    assert load(tmp_path / "archiver.toml", FAKE, {}).storage.bucket == "my-recordings"


def test_every_default_in_the_table_is_the_default_of_the_settings() -> None:
    required = SourceSettings(name="a", provider="b"), PolicySettings(name="a", keep=POLICY[2].kind.read("7y"))
    owners = {**{name: getattr(Settings(), name) for name in SECTIONS}, "source": required[0], "policy": required[1]}
    for table, keys in GROUPS.items():
        for key in keys:
            if not key.required:
                expected = None if key.default is None else key.kind.read(key.default)
                assert getattr(owners[table], key.name) == expected, (table, key.name)


def test_every_example_in_the_table_is_accepted() -> None:
    for keys in GROUPS.values():
        for key in keys:
            if key.kind.example and "file" not in key.kind.example:
                key.kind.read(tomllib.loads(f"x = {key.kind.example}")["x"])


def test_describe_gives_every_setting_with_its_origin_and_without_secrets(loaded: Load, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://archiver:canary@db/archive")
    settings = loaded(
        f'[catalog]\nurl_file = "{tmp_path}/url"\n[web.tokens]\nmonitoring = "canary-0123456789"\n[storage]\npart_size = "32MiB"\n',
        {"ARCHIVER_TRANSFER__CONCURRENCY": "4"},
    )
    rows = {row.key: row for row in describe(settings)}
    assert {key.partition(".")[2] for key in rows if key.startswith("storage.")} == {key.name for key in SECTIONS["storage"]}
    assert (rows["storage.part_size"].value, rows["storage.part_size"].origin) == ("32MiB", "archiver.toml")
    assert (rows["transfer.concurrency"].value, rows["transfer.concurrency"].origin) == (
        "4",
        "environment ARCHIVER_TRANSFER__CONCURRENCY",
    )
    assert (rows["storage.verify"].value, rows["storage.verify"].origin) == ("auto", "default")
    assert rows["catalog.url"].value == "postgresql://***@db/archive"
    assert rows["catalog.url"].origin == f"archiver.toml (url_file = {tmp_path}/url)"
    assert rows["web.tokens"].value == "monitoring = ***"
    assert rows["source.rooms.api_key"].value == "***"
    assert "source.rooms.auth_token" not in rows
    assert "canary" not in repr(rows)


def test_a_database_url_without_password_is_shown_as_it_is(loaded: Load) -> None:
    rows = {row.key: row.value for row in describe(loaded("", {"ARCHIVER_CATALOG__URL": "postgresql://archiver@db/archive"}))}
    assert rows["catalog.url"] == "postgresql://archiver@db/archive"


def test_the_schema_tells_type_default_limits_and_meaning_of_every_key() -> None:
    document = schema()
    assert document["schema"] == "archiver.config-schema/1"
    assert list(document["properties"]) == [*SECTIONS, "source", "policy"]
    part_size = document["properties"]["storage"]["properties"]["part_size"]
    assert part_size["default"] == "16MiB"
    assert part_size["x-accepted"] == "a size from 5MiB to 5GiB"
    assert part_size["x-environment"] == "ARCHIVER_STORAGE__PART_SIZE"
    source = document["properties"]["source"]["items"]
    assert source["required"] == ["name", "provider"]
    assert list(source["properties"]) == names_of(SOURCE)
    assert source["properties"]["api_key"]["x-type"] == "secret"
    assert source["properties"]["api_key_file"]["x-type"] == "path"
    for table in document["properties"].values():
        for told in (table["items"] if table["type"] == "array" else table)["properties"].values():
            assert told["description"]
            assert told["x-accepted"]


@pytest.mark.parametrize("keys", GROUPS.values(), ids=GROUPS)
def test_every_sentence_about_a_key_is_one(keys: tuple) -> None:
    for key in keys:
        assert key.says[0].isupper() or key.says.startswith(("run,", "telnyx-calls:"))
        assert key.says.endswith(".")
