"""The bad input table (reliability.md, section 4): every wrong value is refused by name, with what is accepted and an example."""

from pathlib import Path

import pytest

from archiver.config import load
from archiver.domain.errors import ConfigurationError
from tests.config.conftest import Load, Problems

AC, SK = "AC" + "0" * 32, "SK" + "0" * 32

WRONG = [
    # durations: wrong type, negative, zero, not finite, other spellings, too long
    ("schedule.verify_every", '"7 years"', '"7 years"'),
    ("schedule.verify_every", "300", "the number 300"),
    ("schedule.verify_every", "true", "the boolean true"),
    ("schedule.verify_every", '"0s"', '"0s"'),
    ("schedule.verify_every", '"-5m"', '"-5m"'),
    ("schedule.verify_every", '"400d"', '"400d"'),
    ("schedule.verify_every", "nan", "the number nan"),
    ("schedule.verify_every", "1e309", "the number inf"),
    ("schedule.verify_every", '"7y"', '"7y"'),
    ("schedule.seal_every", '"25h"', '"25h"'),
    ("schedule.retention_every", "2026-01-01", "a date or time"),
    # whole numbers
    ("transfer.concurrency", "0", "the number 0"),
    ("transfer.concurrency", "-1", "the number -1"),
    ("transfer.concurrency", "1025", "the number 1025"),
    ("transfer.concurrency", "true", "the boolean true"),
    ("transfer.concurrency", "4.0", "the number 4.0"),
    ("transfer.concurrency", "nan", "the number nan"),
    ("transfer.concurrency", "1e309", "the number inf"),
    ("transfer.concurrency", '"16"', '"16"'),
    ("transfer.concurrency", "[16]", "an array of 1"),
    ("transfer.max_attempts", "0", "the number 0"),
    ("retention.max_count", "-1", "the number -1"),
    ("retention.max_count", "99999999999999999999999", "a whole number"),
    ("retention.max_count", "0x" + "f" * 5000, "a whole number"),
    # shares
    ("retention.max_share", "nan", "the number nan"),
    ("retention.max_share", "inf", "the number inf"),
    ("retention.max_share", "-0.1", "the number -0.1"),
    ("retention.max_share", "1.1", "the number 1.1"),
    ("retention.max_share", "10", "the number 10"),
    ("retention.max_share", "true", "the boolean true"),
    ("retention.max_share", '"10%"', '"10%"'),
    # sizes
    ("storage.part_size", '"4MiB"', '"4MiB"'),
    ("storage.part_size", '"6GiB"', '"6GiB"'),
    ("storage.part_size", "true", "the boolean true"),
    ("storage.part_size", "1", "the number 1"),
    ("storage.part_size", '"16 MiB"', '"16 MiB"'),
    ("storage.part_size", '""', "empty text"),
    ("transfer.min_rate", '"0"', '"0"'),
    ("transfer.bandwidth", '"1B"', '"1B"'),
    ("transfer.bandwidth", '"50MiB/s"', '"50MiB/s"'),
    # booleans and words
    ("catalog.auto_upgrade", '"true"', '"true"'),
    ("catalog.auto_upgrade", "1", "the number 1"),
    ("storage.object_lock", '"on"', '"on"'),
    ("storage.object_lock", '"Governance"', '"Governance"'),
    ("storage.verify", '"readback"', '"readback"'),
    ("storage.addressing_style", "true", "the boolean true"),
    ("storage.sse", '"AES"', '"AES"'),
    ("storage.region", '""', "empty text"),
    ("storage.region", '"eu central"', '"eu central"'),
    ("storage.expected_bucket_owner", "123456789012", "the number 123456789012"),
    ("storage.expected_bucket_owner", '"1234"', '"1234"'),
    ("storage.kms_key_id", '"a b"', '"a b"'),
    # the archive
    ("storage.url", '"s3://Bucket"', '"s3://Bucket"'),
    ("storage.url", '"s3://ab"', '"s3://ab"'),
    ("storage.url", '"s3://a..b"', '"s3://a..b"'),
    ("storage.url", '"s3://-abc"', '"s3://-abc"'),
    ("storage.url", '"s3://a_b_c"', '"s3://a_b_c"'),
    ("storage.url", '"s3://192.168.0.1"', '"s3://192.168.0.1"'),
    ("storage.url", '"s3://xn--abc"', '"s3://xn--abc"'),
    ("storage.url", '"s3://abc--x-s3"', '"s3://abc--x-s3"'),
    ("storage.url", f'"s3://{"a1.b-" * 13}a"', '"s3://a1.b-a1.b-'),
    ("storage.url", '"s3://"', '"s3://"'),
    ("storage.url", '"s3://abc/a//b"', '"s3://abc/a//b"'),
    ("storage.url", '"s3://abc/../b"', '"s3://abc/../b"'),
    ("storage.url", '"s3://abc/a b"', '"s3://abc/a b"'),
    ("storage.url", '"s3://abc/ümlaut"', '"s3://abc/\\u00fcmlaut"'),
    ("storage.url", '"s3://AKIAX:canary@abc/x"', '"s3://***@abc/x"'),
    ("storage.url", '"s3://abc?token=canary"', '"s3://abc"'),
    ("storage.url", '"file://data/archive"', '"file://data/archive"'),
    ("storage.url", '"file:///"', '"file:///"'),
    ("storage.url", '"file:///a/../b"', '"file:///a/../b"'),
    ("storage.url", '"file:relative"', '"file:relative"'),
    ("storage.url", '"/data/archive"', '"/data/archive"'),
    ("storage.url", '"gs://bucket"', '"gs://bucket"'),
    ("storage.url", '"s3://[::1"', "text of 9 characters"),
    ("storage.url", '"s3://b\\tc"', "with a line break, tab or other control character"),
    ("storage.url", '"s3://b\\u0000c"', "with a line break, tab or other control character"),
    # endpoints
    ("storage.endpoint_url", '"https://host/path"', '"https://host/path"'),
    ("storage.endpoint_url", '"https://user:canary@host"', '"https://***@host"'),
    ("storage.endpoint_url", '"user:canary@host"', '"***@host"'),
    ("storage.endpoint_url", '"https://host?canary=1"', '"https://host"'),
    ("storage.endpoint_url", '"ftp://host"', '"ftp://host"'),
    ("storage.endpoint_url", '"host:9000"', '"host:9000"'),
    ("storage.endpoint_url", '"https://host:99999"', "text of"),
    ("storage.endpoint_url", '"https://"', '"https://"'),
    ("storage.endpoint_url", '"https://höst"', '"https://h\\u00f6st"'),
    ("storage.endpoint_url", '"http://10.0.0.1:9000"', "http:// to another machine"),
    ("storage.endpoint_url", '"http://127.0.0.1.example.com"', "http:// to another machine"),
    # the catalog
    ("catalog.url", '"mysql://root:canary@host/db"', '"mysql://***@host/db"'),
    ("catalog.url", '"postgres://host/db"', "hint: write postgresql://"),
    ("catalog.url", '"sqlite://data.db"', "three slashes"),
    ("catalog.url", '"sqlite:///:memory:"', "has to be a file"),
    ("catalog.url", '"sqlite:///"', "has to be a file"),
    ("catalog.url", '"postgresql://user:canary@ho st/db"', "percent-encode"),
    ("catalog.url", '"postgresql://user:can?ary@host:x/db"', "text of"),
    ("catalog.url", "5", "a whole number"),
    ("catalog.url", '"canary"', "text of 6 characters"),
    # web
    ("web.listen", '"8080"', "the port is missing"),
    ("web.listen", '":8080"', "the host is missing"),
    ("web.listen", '"127.0.0.1"', "the port is missing"),
    ("web.listen", '"127.0.0.1:65536"', '"127.0.0.1:65536"'),
    ("web.listen", '"http://127.0.0.1:8080"', '"http://127.0.0.1:8080"'),
    ("web.listen", '"::1:8080"', '"::1:8080"'),
    ("web.tokens", '{ a = "canary-short" }', "text of 12 characters for a"),
    ("web.tokens", '{ A = "canary-0123456789" }', "a name that is not"),
    ("web.tokens", '{ a = "canary-0123456789", a_file = "/x" }', "both a and a_file"),
    ("web.tokens", '{ a_file = "/nowhere" }', '"/nowhere", a file that does not exist for a_file'),
    ("web.tokens", '"canary-0123456789"', "text of 17 characters"),
    ("web.users", '{ alice = "canary-plain-password" }', "accepted: a table of name = a hash scrypt$n$r$p$salt$hash"),
    # sources
    ("source.name", '"Rooms"', '"Rooms"'),
    ("source.name", '"a_b"', '"a_b"'),
    ("source.name", '""', "empty text"),
    ("source.name", f'"{"a" * 41}"', "text of 41 characters"),
    ("source.name", "1", "the number 1"),
    ("source.provider", '"telnyx-room"', "did you mean telnyx-rooms?"),
    ("source.provider", '"zoom"', "telnyx-calls | telnyx-rooms | twilio-video"),
    ("source.base_url", '"http://api.example.com"', "http:// to another machine"),
    ("source.base_url", '"https://user:canary@host"', '"https://***@host"'),
    ("source.api_key", '"canary with spaces"', "text of 18 characters with a space"),
    ("source.api_key", '"canary\\n"', "with a space, line break"),
    ("source.api_key", '""', "empty text"),
    ("source.api_key", "5", "a whole number"),
    ("source.poll_every", '"0s"', '"0s"'),
    ("source.poll_every", '"8d"', '"8d"'),
    ("source.lookback", '"31d"', '"31d"'),
    ("source.media_hosts", '["https://host"]', '"https://host"'),
    ("source.media_hosts", '["*.example.com"]', '"*.example.com"'),
    ("source.media_hosts", '["host/path"]', '"host/path"'),
    ("source.media_hosts", '["host:0"]', '"host:0"'),
    ("source.media_hosts", '["user@host"]', '"***@host"'),
    ("source.media_hosts", '"host"', '"host"'),
    ("source.media_hosts", "[5]", "the number 5"),
    ("source.formats", '["ogg"]', '"ogg"'),
    ("source.formats", "[]", "an empty list"),
    ("source.delete_at_provider", '"always"', '"always"'),
    ("source.delete_at_provider", '"after:"', '"after:"'),
    ("source.delete_at_provider", '"after:1y"', "write days here"),
    ("source.delete_at_provider", '"after:0s"', '"after:0s"'),
    ("source.delete_at_provider", '"30d"', '"30d"'),
    ("source.delete_at_provider", "true", "the boolean true"),
    ("source.account_sid", f'"{AC}"', "telnyx-rooms has no use for it"),
    ("source.auth_token", '"canary"', "telnyx-rooms has no use for it"),
    ("source.webhook_public_key", '"abc"', '"abc"'),
    # policies
    ("policy.keep", '"0d"', '"0d"'),
    ("policy.keep", '"0y"', '"0y"'),
    ("policy.keep", '"101y"', '"101y"'),
    ("policy.keep", '"36501d"', '"36501d"'),
    ("policy.keep", '"7 years"', '"7 years"'),
    ("policy.keep", "7", "the number 7"),
    ("policy.match", '{ sorce = "x" }', "did you mean source?"),
    ("policy.match", "{ source = 5 }", "the number 5"),
    ("policy.match", '{ source = "" }', "empty text"),
    ("policy.match", '"x"', '"x"'),
]

GOOD = {
    "source": {"name": '"rooms"', "provider": '"telnyx-rooms"', "api_key": '"KEY0123456789"'},
    "policy": {"name": '"p"', "keep": '"7y"'},
}


def document(dotted: str, value: str) -> str:
    table, _, key = dotted.partition(".")
    if table not in GOOD:
        return f"[{table}]\n{key} = {value}\n"
    return f"[[{table}]]\n" + "".join(f"{name} = {given}\n" for name, given in {**GOOD[table], key: value}.items())


@pytest.mark.parametrize(("dotted", "value", "found"), WRONG, ids=[f"{key}={value[:40]}" for key, value, _ in WRONG])
def test_a_wrong_value_is_refused_by_name_with_what_was_found_and_what_is_accepted(
    problems: Problems, dotted: str, value: str, found: str
) -> None:
    (line,) = problems(document(dotted, value))
    table, _, key = dotted.partition(".")
    assert line.startswith("archiver.toml line ")
    assert f"{table}." in line or f"{table} #1." in line
    assert f".{key}: found " in line
    assert "; accepted: " in line
    assert found in line
    assert "canary" not in line
    assert line.isprintable()


@pytest.mark.parametrize(
    ("variable", "value", "found"),
    [
        ("ARCHIVER_TRANSFER__CONCURRENCY", "", "empty text"),
        ("ARCHIVER_TRANSFER__CONCURRENCY", "lots", '"lots"'),
        ("ARCHIVER_TRANSFER__CONCURRENCY", "1e309", '"1e309"'),
        ("ARCHIVER_TRANSFER__CONCURRENCY", "9" * 40, "text of 40 characters"),
        ("ARCHIVER_TRANSFER__CONCURRENCY", "16\n", "with a line break"),
        ("ARCHIVER_RETENTION__MAX_SHARE", "nan", '"nan"'),
        ("ARCHIVER_RETENTION__MAX_SHARE", "1e309", '"1e309"'),
        ("ARCHIVER_CATALOG__AUTO_UPGRADE", "maybe", '"maybe"'),
        ("ARCHIVER_CATALOG__AUTO_UPGRADE", "", "empty text"),
        ("ARCHIVER_STORAGE__URL", "", "empty text"),
        ("ARCHIVER_STORAGE__URL", "s3://abc\nx", "with a line break"),
        ("ARCHIVER_STORAGE__REGION", "\udcff", "control character"),
        ("ARCHIVER_SOURCE__ROOMS__FORMATS", "mp3,ogg", '"ogg"'),
        ("ARCHIVER_SOURCE__ROOMS__FORMATS", "", "an empty list"),
        ("ARCHIVER_SOURCE__ROOMS__FORMATS", '["mp3"', "not valid TOML"),
        ("ARCHIVER_SOURCE__ROOMS__FORMATS", "[" * 5000, "not valid TOML"),
        ("ARCHIVER_SOURCE__ROOMS__API_KEY", "", "empty text"),
        ("ARCHIVER_SOURCE__ROOMS__API_KEY", "canary\n", "with a line break"),
        ("ARCHIVER_SOURCE__ROOMS__API_KEY_FILE", "", "empty text"),
        ("ARCHIVER_WEB__TOKENS", "canary", "not valid TOML"),
    ],
)
def test_a_wrong_variable_is_refused_by_name(problems: Problems, variable: str, value: str, found: str) -> None:
    (line,) = problems("", {variable: value})
    assert line.startswith(f"environment {variable}: ")
    assert found in line
    assert "; accepted: " in line
    assert "canary" not in line
    assert line.isprintable()


def test_an_empty_variable_is_told_to_be_unset(problems: Problems) -> None:
    (line,) = problems("", {"ARCHIVER_STORAGE__REGION": ""})
    assert line.endswith("hint: unset it to use the default")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"\xef\xbb\xbf[storage]\n", "archiver.toml line 1: found a byte order mark; accepted: UTF-8 text without one"),
        ("[storage]\nregion = 'a'\n# ü".encode("latin-1"), "archiver.toml line 3: found bytes that are not UTF-8"),
        ("[storage]\n".encode("utf-16"), "archiver.toml line 1: found bytes that are not UTF-8"),
        (b"[storage]\nregion = 'a'\nregion = 'b'\n", "archiver.toml line 3: found invalid TOML (cannot overwrite a value)"),
        (b"[storage]\n[storage]\n", "archiver.toml line 2: found invalid TOML (cannot declare ('storage',) twice)"),
        (b"[storage]\nregion = eu\n", "archiver.toml line 2: found invalid TOML (invalid value)"),
        (b"[storage\n", "archiver.toml line 1: found invalid TOML"),
        (b"[storage]\nregion: eu\n", "archiver.toml line 2: found invalid TOML"),
        (b"[storage]\nregion = 'a", "archiver.toml line 2: found invalid TOML"),
        (b"x = !!python/object:os.system\n", "archiver.toml line 1: found invalid TOML"),
        (b"a = 2021-02-30\n", "archiver.toml line 1: found invalid TOML (invalid date or datetime)"),
        (b"a = '\x00'\n", "archiver.toml line 1: found invalid TOML"),
        (b"a = " + b"9" * 5000, "archiver.toml: found a number with thousands of digits"),
        (b"a = " + b"[" * 5000, "archiver.toml: found hundreds of brackets inside each other"),
        (b"#" * (1024 * 1024 + 1), "archiver.toml: found more than 1 MiB"),
    ],
)
def test_a_file_that_is_not_toml_is_refused_with_the_line(problems: Problems, content: bytes, found: str) -> None:
    (line,) = problems(content)
    assert line.startswith(found)
    assert line.isprintable()


def test_a_file_that_is_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="found a directory; accepted: a readable TOML file"):
        load(tmp_path, {}, {})


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda path: None, "a file that does not exist"),
        (lambda path: path.mkdir(), "a directory"),
        (lambda path: path.write_text(""), "an empty file"),
        (lambda path: path.write_text("\n"), "an empty file"),
        (lambda path: path.write_text("canary one\n"), "a file with text of 10 characters"),
        (lambda path: path.write_text("canary\n\n"), "a file with text of 7 characters"),
        (lambda path: path.write_bytes(b"\xff"), "a file that is not UTF-8 text"),
    ],
)
def test_an_unusable_secret_file_is_refused_with_its_path(problems: Problems, tmp_path: Path, make: object, found: str) -> None:
    make(tmp_path / "key")  # type: ignore[operator]
    (line,) = problems(f'[[source]]\nname = "rooms"\nprovider = "telnyx-rooms"\napi_key_file = "{tmp_path}/key"\n')
    assert line.startswith("archiver.toml line 4: source.rooms.api_key_file: found ")
    assert "key" in line
    assert found in line
    assert "canary" not in line


def test_a_key_pasted_where_its_file_belongs_is_not_shown(problems: Problems) -> None:
    (line,) = problems('[[source]]\nname = "rooms"\nprovider = "telnyx-rooms"\napi_key_file = "KEYcanary0123456789"\n')
    assert "text of 19 characters (not shown, it may be the secret itself)" in line
    assert "canary" not in line


def test_a_secret_and_its_file_together_are_refused(problems: Problems) -> None:
    text = '[[source]]\nname = "rooms"\nprovider = "telnyx-rooms"\napi_key = "canary"\napi_key_file = "/x"\n'
    (line,) = problems(text)
    assert line == "archiver.toml line 5: source.rooms.api_key_file: found both api_key and api_key_file; accepted: one of them"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:canary@host/db",
        "postgresql://user:@host/db",
        "postgresql://host/db?user=u&password=canary",
        "postgresql://host/db?sslpassword=canary",
    ],
)
def test_a_database_password_on_the_command_line_is_refused(problems: Problems, url: str) -> None:
    (line,) = problems("", {}, {"catalog.url": url})
    assert line.startswith("flag --catalog-url: catalog.url: found a password, which is refused on the command line")
    assert line.endswith("hint: use url_file, PGPASSWORD or a passfile")
    assert "canary" not in line


def test_a_database_url_without_password_may_stand_on_the_command_line(loaded: Load) -> None:
    settings = loaded("", {}, {"catalog.url": "postgresql://user@db.internal/archive?passfile=/run/pgpass"})
    assert settings.catalog.url.reveal() == "postgresql://user@db.internal/archive?passfile=/run/pgpass"


def test_a_token_on_the_command_line_is_refused(problems: Problems) -> None:
    (line,) = problems("", {}, {"web.tokens": '{ a = "canary-0123456789" }'})
    assert "refused on the command line" in line
    assert "canary" not in line
