"""`archiver config check|show|schema`, called as the root command calls them."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result

from archiver.cli.config import config
from archiver.cli.context import Invocation
from archiver.domain.errors import ConfigurationError
from archiver.telemetry import configure_logs, redact
from tests.config.conftest import SOURCE


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "archiver.toml"
    path.write_text(SOURCE.replace("KEY0123456789", "KEY-canary-0123456789"))
    path.chmod(0o600)
    return path


def run(file: Path, *words: str, environ: dict[str, str] | None = None) -> Result:
    invocation = Invocation(config_path=file, log_format="json", verbose=0, environ=environ or {})
    return CliRunner().invoke(config, words, obj=invocation)


def test_check_says_that_all_is_fine_and_what_it_found(file: Path) -> None:
    result = run(file, "check")
    assert result.exit_code == 0
    assert result.stdout == f"configuration is fine: {file}, 1 source, 0 policies\n"


def test_check_prints_warnings(file: Path) -> None:
    result = run(file, "check", environ={"ARCHIVER_WEB__LISTEN": "0.0.0.0:80"})
    assert result.exit_code == 0
    assert "\nwarning: web.listen: 0.0.0.0:80 can be reached from other machines" in result.stdout


def test_check_as_json_is_one_document(file: Path) -> None:
    document = json.loads(run(file, "check", "--json").stdout)
    assert document == {
        "schema": "archiver.config-check/1",
        "ok": True,
        "path": str(file),
        "sources": ["rooms"],
        "problems": [],
        "warnings": [],
    }


def test_check_of_a_bad_configuration_raises_all_problems_and_tells_them_as_json_too(file: Path) -> None:
    bad = {"ARCHIVER_TRANSFER__CONCURRENCY": "0", "ARCHIVER_X": "canary"}
    plain = run(file, "check", environ=bad)
    assert isinstance(plain.exception, ConfigurationError)
    assert len(plain.exception.problems) == 2
    assert plain.stdout == ""
    as_json = run(file, "check", "--json", environ=bad)
    assert isinstance(as_json.exception, ConfigurationError)
    document = json.loads(as_json.stdout)
    assert document["ok"] is False
    assert len(document["problems"]) == 2


def test_check_needs_a_source_and_show_does_not(tmp_path: Path) -> None:
    empty = tmp_path / "archiver.toml"
    empty.write_text("")
    assert isinstance(run(empty, "check").exception, ConfigurationError)
    assert run(empty, "show").exit_code == 0


def test_show_tells_where_each_value_came_from_and_masks_secrets(file: Path) -> None:
    result = run(file, "show", environ={"ARCHIVER_STORAGE__REGION": "eu-central-1"})
    assert result.exit_code == 0
    lines = {line.split()[0]: line.split(maxsplit=2)[1:] for line in result.stdout.splitlines()}
    assert lines["storage.region"] == ["eu-central-1", "environment ARCHIVER_STORAGE__REGION"]
    assert lines["source.rooms.api_key"] == ["***", str(file)]
    assert lines["storage.verify"] == ["auto", "default"]
    assert "canary" not in result.stdout


def test_show_as_json_has_a_schema_and_no_secret(file: Path) -> None:
    result = run(file, "show", "--json")
    document = json.loads(result.stdout)
    assert document["schema"] == "archiver.config/1"
    assert document["path"] == str(file)
    assert {"key": "source.rooms.api_key", "value": "***", "origin": str(file)} in document["settings"]
    assert "canary" not in result.stdout


def test_schema_is_for_people_and_as_json_for_editors(file: Path) -> None:
    text = run(file, "schema").stdout
    assert '  part_size: a size from 5MiB to 5GiB, default "16MiB"\n' in text
    assert "[[source]]\n" in text
    assert json.loads(run(file, "schema", "--json").stdout)["schema"] == "archiver.config-schema/1"


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure_logs("json", stream=stream)
    yield stream
    logging.captureWarnings(capture=False)
    logging.getLogger().handlers = [
        handler for handler in logging.getLogger().handlers if handler.__module__ != "archiver.telemetry.logs"
    ]
    structlog.reset_defaults()


def test_an_invocation_lays_its_flags_over_everything(file: Path) -> None:
    invocation = Invocation(
        config_path=file, log_format="json", verbose=0, environ={"ARCHIVER_STORAGE__URL": "file:///environment"}
    )
    assert invocation.settings(storage_url="file:///flag", web_listen=None).storage.url == "file:///flag"
    assert invocation.settings(storage_url=None).storage.url == "file:///environment"
    with pytest.raises(ConfigurationError, match="refused on the command line"):
        invocation.settings(catalog_url="postgresql://u:canary@h/d")


def test_an_invocation_logs_warnings_and_has_secrets_taken_out_of_the_logs(file: Path, logged: io.StringIO) -> None:
    environ = {
        "ARCHIVER_WEB__LISTEN": "0.0.0.0:80",
        "ARCHIVER_CATALOG__URL": "postgresql://u:canary-of-url@h/d",
        "PGPASSWORD": "canary-of-libpq",
        "AWS_SECRET_ACCESS_KEY": "canary-of-aws",
    }
    Invocation(config_path=file, log_format="json", verbose=0, environ=environ).settings()
    event = json.loads(logged.getvalue())
    assert (event["level"], event["event"]) == ("warning", "configuration_doubted")
    assert event["about"].startswith("web.listen")
    assert redact("KEY-canary-0123456789 canary-of-url canary-of-libpq canary-of-aws") == "*** *** *** ***"
