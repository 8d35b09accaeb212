"""Names that nobody knows are told, each with what was probably meant."""

import pytest

from tests.config.conftest import Load, Problems


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[retention]\nmax_shar = 0.5\n", "archiver.toml line 2: unknown setting retention.max_shar; did you mean max_share?"),
        ("[storag]\n", "archiver.toml line 1: unknown section storag; did you mean storage?"),
        ("[storage]\nconcurrency = 4\n", "archiver.toml line 2: unknown setting storage.concurrency; it belongs to [transfer]"),
        ("[storage]\nname = 'x'\n", "archiver.toml line 2: unknown setting storage.name; it belongs to [[source]] or [[policy]]"),
        ("concurrency = 4\n", "archiver.toml line 1: unknown setting concurrency; known are [catalog], [storage]"),
        ("storage.ulr = 4\n", "archiver.toml line 1: unknown setting storage.ulr; did you mean url?"),
        ("[schedule]\nxyz = 1\n", "unknown setting schedule.xyz; known are verify_every, retention_every, seal_every"),
        ("[source]\nname = 'x'\n", "archiver.toml line 1: source: found a table; accepted: [[source]] with two brackets"),
        ("source = 'x'\n", "archiver.toml line 1: source: found text of 1 characters; accepted: [[source]]"),
        ("source = [1]\n", "source: found an array of 1; accepted: [[source]]"),
        ("[[storage]]\nurl = 'x'\n", "archiver.toml line 1: storage: found an array of 1; accepted: [storage]"),
        ("storage = 1\n", "storage: found a whole number; accepted: [storage]"),
        ("[catalog]\nurl_fil = ''\n", "unknown setting catalog.url_fil; did you mean url_file?"),
        ("[storage]\nurl_file = ''\n", "unknown setting storage.url_file; it belongs to [catalog]"),
        ("[[policy]]\nname = 'p'\nkeeep = '7y'\n", "archiver.toml line 3: unknown setting policy.p.keeep; did you mean keep?"),
        ('"a\\nb" = 1\n', "unknown setting a?b; known are"),
    ],
)
def test_an_unknown_name_in_the_file_is_told_with_line_and_suggestion(problems: Problems, text: str, expected: str) -> None:
    assert any(expected in line for line in problems(text))


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("ARCHIVER_STORAGE_URL", "ARCHIVER_STORAGE__URL"),
        ("ARCHIVER_STORAGE__ULR", "ARCHIVER_STORAGE__URL"),
        ("ARCHIVER_STORAGE__url", "ARCHIVER_STORAGE__URL"),
        ("ARCHIVER_CONFG", "ARCHIVER_CONFIG"),
        ("ARCHIVER_SOURCE__ROMS__API_KEY", "ARCHIVER_SOURCE__ROOMS__API_KEY"),
        ("ARCHIVER_SOURCE__ROOMS__API_KEI", "ARCHIVER_SOURCE__ROOMS__API_KEY"),
        ("ARCHIVER_SOURCES__ROOMS__API_KEY", "ARCHIVER_SOURCE__ROOMS__API_KEY"),
        ("ARCHIVER_SOURCE__ROOMS__NAME", "ARCHIVER_SOURCE__ROOMS__"),
    ],
)
def test_an_unknown_variable_is_told_with_a_suggestion_and_without_its_value(
    problems: Problems, variable: str, meant: str
) -> None:
    (line,) = problems("", {variable: "canary-value"})
    assert line.startswith(f"environment: unknown variable {variable}; did you mean {meant}")
    assert "canary" not in line


@pytest.mark.parametrize(
    "variable", ["ARCHIVER_", "ARCHIVER_X", "ARCHIVER___", "ARCHIVER_SOURCE__", "ARCHIVER_SOURCE____X", "ARCHIVER_\nX"]
)
def test_a_variable_that_resembles_nothing_is_told_too(problems: Problems, variable: str) -> None:
    (line,) = problems("", {variable: "canary-value"})
    assert line.startswith("environment: unknown variable ARCHIVER_")
    assert line.isprintable()


def test_an_unknown_flag_is_told(problems: Problems) -> None:
    assert problems("", {}, {"storage.ulr": "x"}) == ("flag --storage-ulr: unknown setting storage.ulr",)


def test_all_problems_are_told_at_once(problems: Problems) -> None:
    text = '[storag]\n[transfer]\nconcurrency = 0\nmax_attempts = "x"\n[retention]\nmax_share = 2\n[web]\nlisten = "x"\n'
    assert len(problems(text, {"ARCHIVER_X": "", "ARCHIVER_STORAGE__REGION": "!"})) == 7


def test_lines_are_counted_for_each_of_several_sources(problems: Problems) -> None:
    text = (
        '[[source]]\nname = "a"\nprovider = "telnyx-rooms"\napi_key = "KEY0123456789"\n\n[[source]]\nname = "b"\nprovider = "x"\n'
    )
    (line,) = problems(text)
    assert line.startswith("archiver.toml line 8: source.b.provider: found")


def test_tabs_before_keys_are_ordinary_toml(loaded: Load) -> None:
    assert loaded('[storage]\n\tregion\t=\t"eu-central-1"\n').storage.region == "eu-central-1"
