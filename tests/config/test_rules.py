"""What does not go together, and what does and should be told all the same."""

from pathlib import Path

import pytest

from archiver.config import load
from tests.config.conftest import SOURCE, Load, Problems

AC, SK = "AC" + "0" * 32, "SK" + "0" * 32
TWILIO = '[[source]]\nname = "video"\nprovider = "twilio-video"\n'
S3 = '[storage]\nurl = "s3://recordings"\n'
ALL = '[[policy]]\nname = "all"\nkeep = "7y"\n'


def test_compliance_needs_the_word_that_it_is_understood(problems: Problems, loaded: Load) -> None:
    (line,) = problems(S3 + 'object_lock = "compliance"\n')
    assert 'accepted: "compliance" together with i_understand_irreversible = true' in line
    assert loaded(S3 + 'object_lock = "compliance"\ni_understand_irreversible = true\n' + ALL).storage.locks


def test_compliance_needs_a_policy_for_whatever_a_source_may_bring(problems: Problems, loaded: Load) -> None:
    """Without one it would be locked for ever because a line is missing, and nobody could undo it."""
    compliance = S3 + 'object_lock = "compliance"\ni_understand_irreversible = true\n' + SOURCE
    for some in ("", '[[policy]]\nname = "p"\nkeep = "1y"\nmatch = { source = "rooms", room = "sales-*" }\n'):
        (line,) = problems(compliance + some)
        assert 'source.rooms.name: found "rooms", of which no policy matches every recording' in line
    for match in ('{ source = "rooms" }', '{ provider = "telnyx-*" }', '{ source = "r*", room = "*" }'):
        every = f'[[policy]]\nname = "p"\nkeep = "1y"\nmatch = {match}\n'
        assert loaded(compliance + every).policies[0].name == "p"


def test_governance_without_a_policy_for_everything_is_told_as_doubtful(loaded: Load) -> None:
    (told,) = loaded(S3 + 'object_lock = "governance"\n' + SOURCE).warnings
    assert told == (
        "source.rooms: no policy matches every recording of it; what none matches is kept for ever and locked for 100 years"
    )


def test_parts_have_to_reach_the_largest_object_and_the_limit_is_told(problems: Problems, loaded: Load) -> None:
    (line,) = problems('[storage]\npart_size = "5MiB"\nmax_object = "100GiB"\n')
    assert "storage.part_size: found 5MiB, which limits an object to 52,428,800,000 bytes in 10,000 parts" in line
    assert "at least 11MiB for max_object = 100GiB" in line
    assert loaded('[storage]\npart_size = "11MiB"\nmax_object = "100GiB"\n').storage.part_size == 11 << 20
    assert loaded('[storage]\npart_size = "5MiB"\n').storage.part_size == 5 << 20


def test_a_kms_key_needs_kms(problems: Problems, loaded: Load) -> None:
    assert "storage.kms_key_id" in problems('[storage]\nkms_key_id = "alias/x"\nsse = "AES256"\n')[0]
    assert loaded('[storage]\nkms_key_id = "alias/x"\nsse = "aws:kms"\n').storage.kms_key_id == "alias/x"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000", "http://localhost:9000", "http://[::1]:9000", "https://minio.internal"])
def test_an_endpoint_on_this_machine_may_be_plain(loaded: Load, url: str) -> None:
    assert loaded(f'[storage]\nendpoint_url = "{url}"\n').storage.endpoint_url == url


def test_an_endpoint_elsewhere_may_be_plain_where_that_is_allowed_and_is_told(loaded: Load) -> None:
    settings = loaded('[storage]\nendpoint_url = "http://minio:9000"\nallow_http = true\n')
    assert any("storage.allow_http" in warning for warning in settings.warnings)


def test_a_storage_class_that_aws_does_not_have_is_refused_for_aws_only(problems: Problems, loaded: Load) -> None:
    assert "STANDARD_IA" in problems(S3 + 'storage_class = "COLD"\n')[0]
    assert loaded(S3 + 'storage_class = "COLD"\nendpoint_url = "https://s3.example.com"\n').storage.storage_class == "COLD"


@pytest.mark.parametrize(
    ("keys", "accepted"),
    [
        ("", "account_sid: found nothing"),
        (f'account_sid = "{AC}"', "accepted: api_key_sid with api_key_secret, or auth_token"),
        (
            f'account_sid = "{AC}"\napi_key_sid = "{SK}"',
            "api_key_secret: found nothing; accepted: a value, because api_key_sid is given",
        ),
        (
            f'account_sid = "{AC}"\napi_key_secret = "s3cret-value"',
            "api_key_sid: found nothing; accepted: a value, because api_key_secret is",
        ),
        (f'account_sid = "{SK}"\nauth_token = "t0ken-value"', "account_sid: found text of 34 characters"),
        (
            f'account_sid = "{AC}"\napi_key_sid = "{AC}"\napi_key_secret = "s3cret-value"',
            "api_key_sid: found text of 34 characters",
        ),
        (f'account_sid = "{AC}"\nauth_token = "t0ken-value"\napi_key = "canary-key"', "twilio-video has no use for it"),
    ],
)
def test_twilio_needs_its_account_and_a_key_or_token_of_the_right_shape(problems: Problems, keys: str, accepted: str) -> None:
    lines = problems(TWILIO + keys + "\n")
    assert any(accepted in line for line in lines)
    assert not any(AC in line or SK in line or "s3cret" in line or "t0ken" in line or "canary" in line for line in lines)


@pytest.mark.parametrize(
    "keys",
    [
        f'api_key_sid = "{SK}"\napi_key_secret = "s"',
        'auth_token = "t"',
        f'api_key_sid = "{SK}"\napi_key_secret = "s"\nauth_token = "t"',
    ],
)
def test_twilio_takes_a_key_or_a_token_or_both(loaded: Load, keys: str) -> None:
    assert loaded(f'{TWILIO}account_sid = "{AC}"\n{keys}\n').sources[0].account_sid == AC


def test_telnyx_needs_an_api_key(problems: Problems) -> None:
    (line,) = problems('[[source]]\nname = "rooms"\nprovider = "telnyx-rooms"\n')
    assert line.startswith("archiver.toml line 1: source.rooms.api_key: found nothing; accepted: an API key")


def test_a_missing_name_or_provider_is_told(problems: Problems) -> None:
    lines = problems('[[source]]\napi_key = "KEY0123456789"\n')
    assert [line.split(": ")[1] for line in lines] == ["source #1.name", "source #1.provider"]


def test_two_sources_or_policies_of_one_name_are_refused(problems: Problems) -> None:
    (line,) = problems(SOURCE + SOURCE)
    assert (
        line
        == "archiver.toml line 5: source.rooms: found a second source of this name, the first is at archiver.toml line 1; accepted: each name once"
    )
    policy = '[[policy]]\nname = "p"\nkeep = "7y"\n'
    (line,) = problems(policy + policy)
    assert "policy.p: found a second policy of this name" in line


def test_the_same_account_twice_is_refused(problems: Problems, loaded: Load) -> None:
    (line,) = problems(SOURCE + SOURCE.replace('"rooms"', '"again"'))
    assert "source.again: found the same account as in source.rooms" in line
    twilio = f'{TWILIO}account_sid = "{AC}"\nauth_token = "one"\n'
    (line,) = problems(twilio + twilio.replace('"video"', '"again"').replace('"one"', '"two"'))
    assert "source.again: found the same account as in source.video" in line
    assert len(loaded(SOURCE + SOURCE.replace('"rooms"', '"calls"').replace("telnyx-rooms", "telnyx-calls")).sources) == 2


def test_deletion_at_the_provider_needs_a_lock_or_an_explicit_word(problems: Problems, loaded: Load) -> None:
    deletion = SOURCE + 'delete_at_provider = "after:30d"\n'
    (line,) = problems(deletion)
    assert 'source.rooms.delete_at_provider: found "after:30d" while storage.object_lock is "off"' in line
    assert "allow_unlocked_source_deletion" in line
    locked = loaded(S3 + 'object_lock = "governance"\n' + deletion + ALL)
    assert locked.sources[0].delete_at_provider is not None
    assert locked.warnings == ()
    allowed = loaded(deletion + "allow_unlocked_source_deletion = true\n")
    assert any(
        "deletes at the provider 30d after verification while the copy here is unlocked" in line for line in allowed.warnings
    )


def test_deletion_at_the_provider_sooner_than_an_hour_needs_an_explicit_word(problems: Problems, loaded: Load) -> None:
    deletion = S3 + 'object_lock = "governance"\n' + SOURCE + 'delete_at_provider = "after:59m"\n'
    (line,) = problems(deletion)
    assert 'accepted: "after:1h" and longer' in line
    assert loaded(deletion + "allow_unlocked_source_deletion = true\n").sources[0].delete_at_provider is not None


def test_what_follows_from_a_problem_is_not_told_as_another(problems: Problems) -> None:
    (line,) = problems('[storage]\nobject_lock = "governence"\n' + SOURCE + 'delete_at_provider = "after:30d"\n')
    assert "did you mean governance?" in line


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ('[storage]\nobject_lock = "governance"\n' + ALL, "a file system cannot enforce a lock"),
        (S3 + "late_lock = true\n", "storage.late_lock"),
        (S3 + 'storage_class = "DEEP_ARCHIVE"\n', "takes hours to read back"),
        ('[web]\nlisten = "0.0.0.0:8080"\n', "neither web.users nor web.tokens is set"),
        (SOURCE + 'lookback = "1h"\n', "shorter than a day"),
        (
            SOURCE + '[[policy]]\nname = "p"\nkeep = "7y"\nmatch = { source = "calls" }\n',
            "policy.p.match: source = calls matches no configured source",
        ),
        ('[attest]\nkey_file = "/nowhere/attest.key"\n', "`archiver attest key -o /nowhere/attest.key` makes it"),
    ],
)
def test_what_works_and_is_doubtful_is_told_as_a_warning(loaded: Load, text: str, warning: str) -> None:
    (told,) = loaded(text).warnings
    assert warning in told


def test_a_secret_file_that_everybody_may_read_is_a_warning_and_no_error(loaded: Load, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("KEY0123456789")
    file.chmod(0o644)
    text = f'[[source]]\nname = "rooms"\nprovider = "telnyx-rooms"\napi_key_file = "{file}"\n'
    assert loaded(text).warnings == (f"{file} holds a secret and everybody on this machine may read it; hint: chmod o-r {file}",)
    file.chmod(0o640)
    assert loaded(text).warnings == ()


def test_a_configuration_file_with_a_secret_that_everybody_may_read_is_a_warning(loaded: Load) -> None:
    assert loaded("").warnings == ()
    Path("archiver.toml").chmod(0o644)
    (told,) = load(None, {}, {}).warnings
    assert told.startswith("archiver.toml holds a secret and everybody on this machine may read it")
    assert load(None, {"ARCHIVER_SOURCE__ROOMS__API_KEY": "KEY9876543210"}, {}).warnings == ()
