"""`archiver config password`: what it prints is what `web.users` takes, and the configuration takes what the web page takes."""

import os
import pty
import subprocess
import sys

import pytest
from click.testing import CliRunner

from archiver.cli.config import config
from archiver.config.password_hash import parse_hash
from archiver.domain.errors import ConfigurationError, UsageError
from archiver.web.passwords import hash_password

GOOD = hash_password("secret-word", salt=b"0123456789abcdef", n=16384, p=1)
BAD = [
    "secret-word",
    GOOD.replace("scrypt", "bcrypt"),
    GOOD.replace("$16384$", "$16383$"),
    GOOD.replace("$16384$", "$8192$"),
    GOOD.replace("$16384$", "$16_384$"),
    GOOD.replace("$16384$", "$+16384$"),
    GOOD.replace("$16384$", "$١٦٣٨٤$"),
    GOOD.replace("$16384$8$", "$1048576$8$"),
    GOOD.replace("$8$1$", "$8$0$"),
    GOOD.replace("$8$1$", "$8$17$"),
    GOOD[:-30],
    GOOD + "=",
    GOOD + "$",
]


def test_one_line_from_standard_input_becomes_a_hash_that_can_be_configured(loaded):
    result = CliRunner().invoke(config, ["password"], input="correct horse ü\nnot this\n")
    assert result.exit_code == 0
    hashed = result.stdout.removesuffix("\n")
    assert "correct" not in result.output
    settings = loaded(f'[web.users]\nalice = "{hashed}"\n')
    assert parse_hash(settings.web.users["alice"].reveal()).matches("correct horse ü")


def test_no_two_hashes_of_a_password_are_alike():
    first, second = (CliRunner().invoke(config, ["password"], input="correct horse\n").stdout for _ in range(2))
    assert first != second


@pytest.mark.parametrize("line", ["", "\n", "short\n", "x" * 1025 + "\n", "nul\x00nul-nul\n"])
def test_what_can_be_no_password_is_refused(line):
    result = CliRunner().invoke(config, ["password"], input=line)
    assert isinstance(result.exception, UsageError)
    assert "accepted: 8 to 1024 characters" in str(result.exception)
    assert result.stdout == ""


def on_a_terminal(*lines: bytes) -> tuple[int, str, str]:
    """Types the lines where nobody sees them; returns the exit code, standard output, and what the terminal showed."""
    ours, theirs = pty.openpty()
    take_terminal = "import fcntl, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)"
    ask = "from archiver.cli.root import main; sys.exit(main(['config', 'password']))"
    command = [sys.executable, "-c", f"{take_terminal}; {ask}"]
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, start_new_session=True) as process:
        os.close(theirs)
        shown = b""
        for number, line in enumerate(lines, 1):
            while shown.count(b": ") < number:
                shown += os.read(ours, 1000)
            os.write(ours, line + b"\n")
        printed = process.stdout.read().decode()
        code = process.wait()
    os.close(ours)
    return code, printed, shown.decode()


def test_on_a_terminal_it_asks_twice_and_shows_nothing():
    code, printed, shown = on_a_terminal(b"correct horse", b"correct horse")
    assert code == 0
    assert parse_hash(printed.removesuffix("\n")).matches("correct horse")
    assert "horse" not in shown


@pytest.mark.parametrize("text", BAD)
def test_the_configuration_refuses_what_the_web_page_would_refuse(problems, text):
    with pytest.raises(ValueError, match="accepted: scrypt"):
        parse_hash(text)
    (problem,) = problems(f'[web.users]\nalice = "{text}"\n')
    assert "accepted: a table of name = a hash scrypt$n$r$p$salt$hash" in problem
    assert text not in problem


@pytest.mark.parametrize("text", [GOOD, GOOD.rstrip("="), hash_password("x" * 1024, salt=b"01234567", n=16384, p=16)])
def test_the_configuration_takes_what_the_web_page_takes(loaded, text):
    parse_hash(text)
    try:
        assert loaded(f'[web.users]\nalice = "{text}"\n').web.users["alice"].reveal() == text
    except ConfigurationError as error:
        pytest.fail(str(error))
