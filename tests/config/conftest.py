"""A configuration is written to a file of the test's own and read from there."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from archiver.config import Settings, load
from archiver.domain.errors import ConfigurationError

Load = Callable[..., Settings]
Problems = Callable[..., tuple[str, ...]]

SOURCE = '[[source]]\nname = "rooms"\nprovider = "telnyx-rooms"\napi_key = "KEY0123456789"\n'


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads a document, with one Telnyx source added unless it brings its own."""
    monkeypatch.chdir(tmp_path)

    def load_it(
        text: str | bytes = "",
        environ: Mapping[str, str] | None = None,
        flags: Mapping[str, str] | None = None,
        *,
        source: str = SOURCE,
    ) -> Settings:
        path = Path("archiver.toml")
        if isinstance(text, str):
            text = (text + ("" if re.search(r"^\[{0,2}source\b", text, re.MULTILINE) else f"\n{source}")).encode()
        path.write_bytes(text)
        path.chmod(0o600)
        return load(path, environ or {}, flags or {}, need_sources=bool(source))

    return load_it


@pytest.fixture
def problems(loaded: Load) -> Problems:
    """The problems that loading a document tells; it is an error that it loads."""

    def refuse(*args: object, **options: object) -> tuple[str, ...]:
        with pytest.raises(ConfigurationError) as refused:
            loaded(*args, **options)
        assert refused.value.problems
        return refused.value.problems

    return refuse
