"""Log lines: one event, one line, the agreed fields, no secret, no forged line, and never an error of their own."""

import io
import json
import logging
import sys
import threading
import warnings

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archiver.telemetry import configure_logs, log_uncaught
from archiver.telemetry.logs import ForeignRecords
from archiver.telemetry.redaction import Redactor
from tests.telemetry.conftest import Logs

CANARY = "cAnaRy7x9"
LINE_BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
ANY_TEXT = st.text(st.characters(), max_size=40) | st.text(LINE_BREAKS + "\x1b[2J\u202e\x00\x7f\ud800a", max_size=10)


def lines_of(stream: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_object_with_the_agreed_fields_first(logs: Logs) -> None:
    stream = logs()
    structlog.get_logger().info("transferred", bytes=5, attempt=1, rendition="mp3", recording_id="r1", source="rooms")
    (event,) = lines_of(stream)
    assert list(event) == ["timestamp", "level", "event", "source", "recording_id", "rendition", "attempt", "bytes"]
    assert event["timestamp"].endswith("Z")
    assert (event["level"], event["event"], event["bytes"]) == ("info", "transferred", 5)


def test_what_is_bound_to_the_context_is_in_every_event(logs: Logs) -> None:
    stream = logs()
    with structlog.contextvars.bound_contextvars(source="rooms"):
        structlog.get_logger().warning("refused")
    assert lines_of(stream)[0]["source"] == "rooms"


def test_debug_events_are_written_only_when_asked_for(logs: Logs) -> None:
    stream = logs()
    structlog.get_logger().debug("looked")
    assert stream.getvalue() == ""
    stream = logs(verbose=1)
    structlog.get_logger().debug("looked")
    assert lines_of(stream)[0]["level"] == "debug"


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="'xml', expected json or console"):
        configure_logs("xml")


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_secret_comes_through_fields_texts_names_exceptions_causes_or_tracebacks(
    logs: Logs, redactor: Redactor, log_format: str
) -> None:
    redactor.register(CANARY)
    stream = logs(log_format)
    log = structlog.get_logger().bind(headers={"Authorization": f"Bearer {CANARY}"}, body=CANARY.encode())
    try:
        try:
            raise ValueError(f"https://host/x?X-Amz-Signature={CANARY}")
        except ValueError as cause:
            cause.add_note(f"and {CANARY}")
            raise ExceptionGroup(f"password={CANARY}", [RuntimeError(CANARY)]) from cause
    except ExceptionGroup:
        event = f"failed {CANARY}"
        log.exception(event, **{f"key_{CANARY}": 1}, nested=[{"x": {CANARY: (CANARY,)}}])
    assert CANARY not in stream.getvalue()
    assert "***" in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == 1


def test_patterns_are_redacted_in_tracebacks_without_registration(logs: Logs) -> None:
    stream = logs()
    try:
        raise ConnectionError(f"postgresql://archiver:{CANARY}@db/archive refused")
    except ConnectionError:
        structlog.get_logger().exception("failed")
    (event,) = lines_of(stream)
    assert CANARY not in stream.getvalue()
    assert "ConnectionError: postgresql://***@db/archive refused" in event["exception"]
    assert event["exception"].startswith("Traceback")


def test_values_of_variables_are_not_in_tracebacks(logs: Logs) -> None:
    stream = logs()
    recorded = CANARY * 2
    try:
        recorded.index("nowhere")
    except ValueError:
        structlog.get_logger().exception("failed")
    assert CANARY not in stream.getvalue()


def test_libraries_take_the_same_way_from_warning_upwards(logs: Logs) -> None:
    stream = logs(verbose=1)
    for name in ("aiohttp.client", "apscheduler.scheduler", "sqlalchemy.engine", "botocore.auth"):
        logging.getLogger(name).info("below")
        logging.getLogger(name).warning("refused %s", f"token={CANARY}")
    events = lines_of(stream)
    assert [event["event"] for event in events] == ["refused token=***"] * 4
    assert [event["logger"] for event in events] == [
        "aiohttp.client",
        "apscheduler.scheduler",
        "sqlalchemy.engine",
        "botocore.auth",
    ]
    assert {event["level"] for event in events} == {"warning"}


def test_a_library_s_exception_is_redacted_and_on_one_line(logs: Logs) -> None:
    stream = logs()
    try:
        raise OSError(f"https://u:{CANARY}@host")
    except OSError:
        logging.getLogger("asyncio").exception("Task exception was never retrieved\nnext", stack_info=True)
    (event,) = lines_of(stream)
    assert CANARY not in stream.getvalue()
    assert "https://***@host" in event["exception"]


def test_a_library_s_wrong_format_does_no_harm_and_shows_no_argument(logs: Logs, capfd: pytest.CaptureFixture[str]) -> None:
    stream = logs()
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "two %s %s", (CANARY,), None)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, ForeignRecords):  # pytest's own handlers raise
            handler.handle(record)
    assert lines_of(stream)[0]["event"] == "two %s %s"
    assert capfd.readouterr().err == ""


def test_python_s_warnings_are_log_lines_too(logs: Logs) -> None:
    stream = logs()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn(f"password={CANARY}", UserWarning, stacklevel=1)
    (event,) = lines_of(stream)
    assert event["logger"] == "py.warnings"
    assert CANARY not in stream.getvalue()


def test_setting_logs_up_twice_writes_each_event_once_and_to_the_new_stream(logs: Logs) -> None:
    log = structlog.get_logger()
    first = logs()
    second = logs()
    log.info("own")
    logging.getLogger("x").error("foreign")
    assert first.getvalue() == ""
    assert len(lines_of(second)) == 2


def test_a_closed_stream_does_not_stop_the_program(logs: Logs) -> None:
    logs().close()
    structlog.get_logger().info("transferred")
    logging.getLogger("x").error("foreign")


def test_an_event_that_cannot_be_rendered_does_not_stop_the_program(logs: Logs) -> None:
    class Odd(dict):
        def items(self) -> object:
            raise RuntimeError("odd")

    stream = logs()
    structlog.get_logger().info("transferred", odd=Odd(a=1))
    assert lines_of(stream)[0]["event"] == "unloggable_event"


@pytest.mark.parametrize("log_format", ["json", "console"])
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(event=ANY_TEXT, name=ANY_TEXT, value=ANY_TEXT)
def test_no_text_can_forge_a_line_or_move_a_cursor(logs: Logs, log_format: str, event: str, name: str, value: str) -> None:
    stream = logs(log_format)
    try:
        raise ValueError(value)
    except ValueError:
        structlog.get_logger().exception(
            event, **({name: value} if name not in {"event", "self"} else {}), nested={name: [value]}
        )
    logging.getLogger("x").error("%s", value)
    written = stream.getvalue()
    assert written.endswith("\n")
    assert len(written.splitlines()) == 2
    assert not any(character in written[:-1].replace("\n", "", 1) for character in LINE_BREAKS + "\x1b\x00\x7f\u202e\ud800")
    if log_format == "json":
        assert written.replace("\n", "").isascii()
        assert written.replace("\n", "").isprintable()
        assert lines_of(stream)[0]["event"] == Redactor().text(event)


def test_the_console_shows_time_level_event_fields_and_the_innermost_frames(logs: Logs) -> None:
    stream = logs("console")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        structlog.get_logger().exception("failed", source="rooms", reason="not there", count=2)
    (line,) = stream.getvalue().splitlines()
    assert line[2] == line[5] == ":"
    assert line[8:].startswith(' error    failed source=rooms reason="not there" count=2 exception="lines" at test_logs.py:')


def test_the_console_has_colours_on_a_terminal_unless_they_are_not_wanted(logs: Logs) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for environ, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        stream = Terminal()
        logs("console", stream=stream, environ=environ)
        structlog.get_logger().warning("refused", name="\x1b[31mred")
        assert ("\x1b[33m" in stream.getvalue()) is coloured
        assert "\x1b[31m" not in stream.getvalue()


def test_lines_of_several_threads_do_not_mix(logs: Logs) -> None:
    stream = logs()
    log = structlog.get_logger()
    threads = [threading.Thread(target=lambda: [log.info("x" * 500, n=n) for n in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lines_of(stream)) == 200


def test_exceptions_that_nobody_caught_are_logged_and_redacted(
    logs: Logs, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for module, name in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(module, name, getattr(module, name))
    stream = logs()
    log_uncaught()
    error = ValueError(f"password={CANARY}")
    sys.excepthook(ValueError, error, None)

    def fail() -> None:
        raise error

    thread = threading.Thread(target=fail, name="sealer")
    thread.start()
    thread.join()

    class Leaving:
        def __del__(self) -> None:
            raise error

    Leaving()
    events = lines_of(stream)
    assert [event["event"] for event in events] == ["crashed", "crashed", "ignored_exception"]
    assert events[1]["thread"] == "sealer"
    assert CANARY not in stream.getvalue()
    assert capfd.readouterr().err == ""
