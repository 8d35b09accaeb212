"""Where values come from, and which of them wins."""

from datetime import timedelta
from pathlib import Path

import pytest

from archiver.config import Settings, load
from archiver.domain.errors import ConfigurationError
from tests.config.conftest import Load, Problems


def test_without_anything_every_setting_has_its_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load(None, {}, {}, need_sources=False)
    defaults = Settings()
    for section in ("catalog", "storage", "transfer", "schedule", "retention", "attest", "web", "sources", "policies"):
        assert getattr(settings, section) == getattr(defaults, section)
    assert settings.path is None
    assert settings.warnings == ()
    assert set(settings.origins.values()) == {"default"}


def test_flags_beat_the_environment_which_beats_the_file_which_beats_the_default(loaded: Load) -> None:
    file = '[storage]\nurl = "file:///from/file"\nregion = "from-file"\npart_size = "32MiB"\n'
    environ = {"ARCHIVER_STORAGE__URL": "file:///from/environment", "ARCHIVER_STORAGE__REGION": "from-environment"}
    settings = loaded(file, environ, {"storage.url": "file:///from/flag"})
    assert settings.storage.url == "file:///from/flag"
    assert settings.storage.region == "from-environment"
    assert settings.storage.part_size == 32 << 20
    assert settings.storage.storage_class == "STANDARD"
    assert settings.origins["storage.url"] == "flag --storage-url"
    assert settings.origins["storage.region"] == "environment ARCHIVER_STORAGE__REGION"
    assert settings.origins["storage.part_size"] == "archiver.toml"
    assert settings.origins["storage.storage_class"] == "default"


def test_the_environment_sets_values_of_every_kind(loaded: Load) -> None:
    settings = loaded(
        "",
        {
            "ARCHIVER_CATALOG__AUTO_UPGRADE": "false",
            "ARCHIVER_TRANSFER__CONCURRENCY": "4",
            "ARCHIVER_RETENTION__MAX_SHARE": "0.25",
            "ARCHIVER_SCHEDULE__SEAL_EVERY": "30s",
            "ARCHIVER_TRANSFER__BANDWIDTH": "50MiB",
            "ARCHIVER_WEB__LISTEN": "",
            "ARCHIVER_WEB__TOKENS": '{ monitoring = "0123456789abcdef" }',
            "ARCHIVER_SOURCE__ROOMS__MEDIA_HOSTS": "Media.Example.com, 10.0.0.1:8443",
            "ARCHIVER_SOURCE__ROOMS__FORMATS": '["mp3", "wav"]',
        },
    )
    assert settings.catalog.auto_upgrade is False
    assert settings.transfer.concurrency == 4
    assert settings.retention.max_share == 0.25
    assert settings.schedule.seal_every == timedelta(seconds=30)
    assert settings.transfer.bandwidth == 50 << 20
    assert settings.web.listen == ""
    assert settings.web.tokens["monitoring"].reveal() == "0123456789abcdef"
    assert settings.sources[0].media_hosts == ("media.example.com", "10.0.0.1:8443")
    assert settings.sources[0].formats == ("mp3", "wav")


def test_a_source_is_named_in_the_environment_in_upper_case_with_underscores(loaded: Load) -> None:
    source = '[[source]]\nname = "calls-2-b"\nprovider = "telnyx-calls"\n'
    settings = loaded(source, {"ARCHIVER_SOURCE__CALLS_2_B__API_KEY": "KEY0123456789"})
    assert settings.sources[0].api_key is not None
    assert settings.sources[0].api_key.reveal() == "KEY0123456789"
    assert settings.origins["source.calls-2-b.api_key"] == "environment ARCHIVER_SOURCE__CALLS_2_B__API_KEY"


def test_the_environment_alone_can_make_a_source_and_a_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load(
        None,
        {
            "ARCHIVER_SOURCE__MY_CALLS__PROVIDER": "telnyx-calls",
            "ARCHIVER_SOURCE__MY_CALLS__API_KEY": "KEY0123456789",
            "ARCHIVER_POLICY__ALL__KEEP": "7y",
            "ARCHIVER_POLICY__ALL__MATCH": '{ source = "my-*" }',
        },
        {},
    )
    assert settings.sources[0].name == "my-calls"
    assert settings.policies[0].name == "all"
    assert settings.policies[0].match == {"source": "my-*"}
    assert settings.policies[0].keep.years == 7


def test_a_secret_from_the_environment_replaces_the_file_key_of_the_configuration_file(loaded: Load) -> None:
    source = '[[source]]\nname = "rooms"\nprovider = "telnyx-rooms"\napi_key_file = "/nowhere"\n'
    settings = loaded(source, {"ARCHIVER_SOURCE__ROOMS__API_KEY": "KEY0123456789"})
    assert settings.sources[0].api_key is not None


def test_a_secret_file_from_the_environment_replaces_the_secret_of_the_configuration_file(loaded: Load, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-the-file\n")
    settings = loaded("", {"ARCHIVER_SOURCE__ROOMS__API_KEY_FILE": f"{tmp_path}/key"})
    assert settings.sources[0].api_key is not None
    assert settings.sources[0].api_key.reveal() == "from-the-file"
    origin = settings.origins["source.rooms.api_key"]
    assert origin == f"environment ARCHIVER_SOURCE__ROOMS__API_KEY_FILE (api_key_file = {tmp_path}/key)"


def test_the_catalog_url_may_come_from_a_file(loaded: Load, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://user:s3cr%2Ft-pw@db.internal/archive\n")
    settings = loaded(f'[catalog]\nurl_file = "{tmp_path}/url"\n')
    assert settings.catalog.url.reveal() == "postgresql://user:s3cr%2Ft-pw@db.internal/archive"
    assert settings.catalog.password is not None
    assert settings.catalog.password.reveal() == "s3cr/t-pw"
    assert settings.catalog.password in settings.secrets


def test_the_file_asked_for_beats_the_variable_which_beats_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("archiver", "variable", "flag"):
        (tmp_path / f"{name}.toml").write_text(f'[storage]\nregion = "{name}"\n')
    environ = {"ARCHIVER_CONFIG": "variable.toml"}
    assert load(None, {}, {}, need_sources=False).storage.region == "archiver"
    assert load(None, environ, {}, need_sources=False).storage.region == "variable"
    assert load(Path("flag.toml"), environ, {}, need_sources=False).storage.region == "flag"


@pytest.mark.parametrize("environ", [{"ARCHIVER_CONFIG": "nowhere.toml"}, {"ARCHIVER_CONFIG": ""}])
def test_a_file_that_was_named_and_is_not_there_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml: found no such file|ARCHIVER_CONFIG: found empty text"):
        load(None, environ, {}, need_sources=False)


def test_commands_that_work_on_sources_need_one(problems: Problems, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=r"source: found none; accepted: at least one \[\[source\]\]") as refused:
        load(None, {}, {})
    assert "/etc/archiver/archiver.toml" in str(refused.value)


def test_variables_of_kubernetes_services_and_of_the_test_suite_are_nobodys_mistake(loaded: Load) -> None:
    settings = loaded(
        "",
        {
            "ARCHIVER_SERVICE_HOST": "10.0.0.12",
            "ARCHIVER_SERVICE_PORT": "8080",
            "ARCHIVER_SERVICE_PORT_HTTP": "8080",
            "ARCHIVER_PORT": "tcp://10.0.0.12:8080",
            "ARCHIVER_PORT_8080_TCP": "tcp://10.0.0.12:8080",
            "ARCHIVER_PORT_8080_TCP_PROTO": "tcp",
            "ARCHIVER_PORT_8080_TCP_ADDR": "10.0.0.12",
            "ARCHIVER_WEB_SERVICE_HOST": "10.0.0.13",
            "ARCHIVER_TEST_POSTGRES": "postgresql://localhost/x",
            "OTHER": "x",
        },
    )
    assert len(settings.sources) == 1


def test_a_port_variable_that_kubernetes_would_not_write_is_a_mistake(problems: Problems) -> None:
    assert any("ARCHIVER_PORT" in line for line in problems("", {"ARCHIVER_PORT": "8080"}))


def test_paths_and_urls_come_apart_into_what_adapters_need(loaded: Load) -> None:
    settings = loaded(
        '[catalog]\nurl = "sqlite:////var/lib/a%20b.db"\n[storage]\nurl = "s3://my-bucket/some/prefix/"\n[web]\nlisten = "[::1]:0"\n'
    )
    assert settings.catalog.sqlite_path == Path("/var/lib/a b.db")
    assert (settings.storage.bucket, settings.storage.prefix, settings.storage.directory) == ("my-bucket", "some/prefix", None)
    assert (settings.web.host, settings.web.port) == ("::1", 0)
    defaults = Settings()
    assert defaults.catalog.sqlite_path == Path("data/catalog.db")
    assert (defaults.storage.bucket, defaults.storage.prefix, defaults.storage.directory) == ("", "", Path("/data/archive"))
    assert (defaults.web.host, defaults.web.port) == ("127.0.0.1", 8080)


def test_users_are_hashes_given_directly_or_by_file(loaded: Load, tmp_path: Path) -> None:
    hashed = "scrypt$16384$8$1$c2FsdHNhbHQ=$aGFzaGhhc2hoYXNoaGFzaA=="
    (tmp_path / "bob").write_text(hashed + "\n")
    settings = loaded(f'[web.users]\nalice = "{hashed}"\nbob_file = "{tmp_path}/bob"\n')
    assert {name: given.reveal() for name, given in settings.web.users.items()} == {"alice": hashed, "bob": hashed}
    assert settings.web.users["bob"].file == tmp_path / "bob"


def test_a_base_url_loses_its_slash_and_version(loaded: Load) -> None:
    for given in ("https://api.telnyx.com", "https://api.telnyx.com/", "https://api.telnyx.com/v2", "https://api.telnyx.com/v2/"):
        settings = loaded("", {"ARCHIVER_SOURCE__ROOMS__BASE_URL": given})
        assert settings.sources[0].base_url == "https://api.telnyx.com"
