"""Hashes of passwords: what is made is read, what is weak or strange is refused without being shown."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.web.passwords import hash_password, parse_hash

SALT = b"0123456789abcdef"
GOOD = hash_password("secret", salt=SALT, n=16384, p=1)


def test_the_password_that_was_hashed_fits_and_no_other():
    parsed = parse_hash(GOOD)
    assert parsed.matches("secret")
    for other in ("Secret", "secret ", "", "secre", "secret\x00", "\ud800"):
        assert not parsed.matches(other)


def test_a_hash_made_elsewhere_by_rfc_7914_fits():
    digest = hashlib.scrypt(b"pleaseletmein", salt=b"SodiumChloride", n=16384, r=8, p=1, dklen=64)
    assert digest.hex().startswith("7023bdcb3afd7348")  # the RFC's own vector
    encoded = [base64.b64encode(part).decode().rstrip("=") for part in (b"SodiumChloride", digest)]
    assert parse_hash("$".join(["scrypt", "16384", "8", "1", *encoded])).matches("pleaseletmein")


def test_the_default_costs_can_be_computed_here():
    assert parse_hash(hash_password("secret", salt=SALT)).matches("secret")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "scrypt",
        "secret",
        GOOD.replace("scrypt", "bcrypt"),
        GOOD.replace("$16384$", "$16383$"),
        GOOD.replace("$16384$", "$8192$"),
        GOOD.replace("$16384$", "$0$"),
        GOOD.replace("$16384$", "$-16384$"),
        GOOD.replace("$16384$8$", "$16384$1$"),
        GOOD.replace("$16384$8$", "$1048576$8$"),
        GOOD.replace("$8$1$", "$8$0$"),
        GOOD.replace("$8$1$", "$8$99999$"),
        GOOD + "$",
        GOOD + "!",
        GOOD[:-30],
        "scrypt$16384$8$1$$" + GOOD.rpartition("$")[2],
        "$2b$12$abcdefghijklmnopqrstuv",
    ],
)
def test_what_is_no_good_hash_is_refused_without_being_shown(text):
    with pytest.raises(ValueError, match="accepted: scrypt") as caught:
        parse_hash(text)
    assert not text or len(text) < 10 or text not in str(caught.value)


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text):
    with pytest.raises(ValueError, match="accepted"):
        parse_hash(text)
