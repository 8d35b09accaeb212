"""Finding providers: ours by the same door as everybody's."""

import dataclasses
from importlib.metadata import EntryPoint

import pytest

from archiver.domain.errors import ConfigurationError
from archiver.providers import registry
from archiver.providers.settings import Credentials, SourceOptions
from archiver.providers.telnyx_rooms import TelnyxRooms
from tests.providers.stage import API_KEY, CANARY, PASSWORD, Clock, options


def entry(name, value):
    return EntryPoint(name=name, value=value, group=registry.GROUP)


def test_our_own_providers_are_found():
    assert {"telnyx-rooms", "telnyx-calls", "twilio-video"} <= set(registry.names())


@pytest.mark.parametrize("name", ["telnyx-rooms", "telnyx-calls", "twilio-video"])
async def test_a_provider_is_opened_by_its_name_and_connects_to_nothing(name):
    provider = registry.open_provider(name, options(), Clock())
    assert (provider.kind, provider.source) == (name, "src")
    assert provider.listings[0].name == "ended"
    assert provider.ratelimit_remaining is None
    await provider.aclose()


def test_a_misspelt_name_is_named_with_what_was_meant():
    with pytest.raises(
        ConfigurationError, match=r"unknown provider 'telnyx-room', accepted: .*twilio-video; did you mean 'telnyx-"
    ):
        registry.open_provider("telnyx-room", options(), Clock())


def test_a_name_that_two_packages_offer_is_refused():
    twice = [entry("x", "a:A"), entry("x", "b:B")]
    with pytest.raises(ConfigurationError, match="more than one package: a:A, b:B"):
        registry.load("x", twice)


def test_the_same_entry_found_twice_on_the_path_is_one():
    same = entry("x", "archiver.providers.telnyx_rooms:TelnyxRooms")
    assert registry.load("x", [same, same]) is TelnyxRooms


@pytest.mark.parametrize("value", ["no.such.module:A", "archiver.providers.telnyx_rooms:NoSuchClass"])
def test_a_class_that_does_not_load_is_a_configuration_error(value):
    with pytest.raises(ConfigurationError, match="does not load"):
        registry.load("x", [entry("x", value)])


def test_a_class_without_the_door_is_a_configuration_error():
    with pytest.raises(ConfigurationError, match="no class method open"):
        registry.load("x", [entry("x", "datetime:datetime")])


def test_a_twilio_source_without_a_secret_is_a_configuration_error():
    for credentials in (Credentials(username="SK1"), Credentials(password="x"), Credentials(username="a:b", password="x")):
        with pytest.raises(ConfigurationError, match="Twilio needs a user name and a secret"):
            registry.open_provider("twilio-video", dataclasses.replace(options(), credentials=credentials), Clock())


def test_no_secret_shows_in_the_options():
    text = f"{options()} {options()!r} {options().credentials!r}"
    assert CANARY not in text
    assert options().credentials.secrets == (API_KEY, PASSWORD)
    assert SourceOptions(name="x").credentials.secrets == ()


@pytest.mark.parametrize("key", ["", " ", "a b", "a\n", "a\r\nX-Evil: 1", "k\u00e9y", "\x00"])
@pytest.mark.parametrize("name", ["telnyx-rooms", "telnyx-calls"])
def test_a_telnyx_key_that_no_header_can_carry_is_a_configuration_error(name, key):
    with pytest.raises(ConfigurationError, match="Telnyx needs a usable API key"):
        registry.open_provider(name, dataclasses.replace(options(), credentials=Credentials(api_key=key)), Clock())
