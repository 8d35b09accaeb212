"""Every setting that the documentation names exists, and every configuration in it loads."""

import re
import tomllib

import pytest

from archiver.cli.root import main
from archiver.config import load, schema
from tests.docs.pages import ROOT, page, pages
from tests.docs.plain_yaml import documents

GROUPS = schema()["properties"]
KEYS = {group: (table.get("items") or table)["properties"] for group, table in GROUPS.items()}
_DOTTED = re.compile(rf"(?:{'|'.join(KEYS)})\.[a-z_]+")
_VARIABLE = re.compile(r"\bARCHIVER_[A-Z0-9_]+\b")


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    import os

    for name in [name for name in os.environ if name.startswith("ARCHIVER_")]:
        monkeypatch.delenv(name)


def with_secrets(text, folder):
    """A configuration whose secret files are there."""
    secret = folder / "secret"
    secret.write_text("KEY0123456789abcdef_0123456789abcdef\n")
    secret.chmod(0o400)
    return re.sub(r'(_file = )"[^"]+"', rf'\1"{secret}"', text)


def known_variables():
    fixed = {told["x-environment"] for keys in KEYS.values() for told in keys.values() if "x-environment" in told}
    return fixed | {"ARCHIVER_CONFIG"}


@pytest.mark.parametrize("name", pages())
def test_every_dotted_key_that_is_named_exists(name):
    named = {found for span in page(name).spans() for found in re.findall(rf"^{_DOTTED.pattern}", span)}
    unknown = {dotted for dotted in named if dotted.partition(".")[2] not in KEYS[dotted.partition(".")[0]]}
    assert unknown == set()


def test_every_variable_that_is_named_is_understood():
    files = [*(ROOT / "config").glob("*.y*ml"), ROOT / "config" / "archiver.service", *(each.path for each in pages().values())]
    named = {found for path in files for found in _VARIABLE.findall(path.read_text())}
    assert "ARCHIVER_WEB__LISTEN" in named
    assert named - known_variables() == set()


@pytest.mark.parametrize("name", pages())
def test_every_toml_in_the_pages_is_toml_with_keys_that_exist(name):
    for block in page(name).blocks("toml"):
        for group, value in tomllib.loads(block).items():
            if group not in KEYS:
                assert "entry-points" in block
                continue
            for table in value if isinstance(value, list) else [value]:
                assert set(table) - set(KEYS[group]) == set()


def test_the_ten_lines_of_the_readme_are_a_configuration(tmp_path, capsys, monkeypatch):
    lines = page("README.md").blocks("toml")[0]
    assert len(lines.splitlines()) == 10
    (tmp_path / "archiver.toml").write_text(with_secrets(lines, tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(["config", "check"]) == 0
    assert capsys.readouterr().out == "configuration is fine: archiver.toml, 1 source, 0 policies\n"


def test_the_configuration_in_the_kubernetes_manifest_loads(tmp_path):
    found = documents((ROOT / "config" / "kubernetes.yaml").read_text())
    text = next(each["data"]["archiver.toml"] for each in found if each["kind"] == "ConfigMap")
    path = tmp_path / "archiver.toml"
    path.write_text(with_secrets(text, tmp_path))
    settings = load(path, {"ARCHIVER_WEB__LISTEN": "0.0.0.0:8080"}, {})
    assert settings.storage.bucket == "example-recordings"
    assert str(settings.catalog.sqlite_path) == "/data/catalog.db"


def test_the_key_for_a_password_hash_is_one_that_the_web_page_takes():
    from archiver.web.passwords import parse_hash

    script = next(block for block in page("docs/security.md").blocks("sh") if "scrypt" in block)
    program = re.search(r"python3 -c '(.+)'", script)[1].replace("getpass.getpass()", "'correct horse'")
    told = []
    exec(program, {"print": told.append})
    assert parse_hash(told[0]).matches("correct horse")
    assert not parse_hash(told[0]).matches("wrong horse")
