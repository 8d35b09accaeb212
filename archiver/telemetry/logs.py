"""Log lines: one event, one line, no secret; our own events and those of libraries take the same way.

structlog renders natively, without the standard library's machinery: a line costs a third of it, and a transfer is cheap enough
for that to show. Libraries' records come in by one handler on the root logger, from WARNING upwards.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sys
import threading
import traceback
from typing import IO, TYPE_CHECKING, Any

import structlog

from archiver.telemetry.redaction import Redactor, program_redactor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

FIRST = ("timestamp", "level", "event", "source", "recording_id", "rendition", "attempt")
FORMATS = ("json", "console")

# Line breaks of every kind, escape sequences, direction marks and half characters: what forges a line or moves a cursor.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_COLOURS = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "31;1"}
_FRAMES_IN_CONSOLE = 4


def escaped(text: str) -> str:
    """The text on one line, its control characters spelled out as Python spells them."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class LineWriter:
    """Writes whole lines to a stream, one at a time from any thread; a broken stream must not stop the program."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def msg(self, line: str) -> None:
        """Writes one line."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._stream.write(line + "\n")
            self._stream.flush()

    log = debug = info = warning = warn = error = critical = exception = fatal = msg


def add_exception(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Turns `exc_info` into the text of its traceback, without values of variables."""
    given = event.pop("exc_info", None)
    event.pop("stack_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event["exception"] = "".join(_frames_and_text(error))
    return event


def _frames_and_text(error: BaseException) -> list[str]:
    try:
        return traceback.format_exception(error)
    except Exception:  # noqa: BLE001 - str() of a foreign error may fail in any way
        return [f"{type(error).__name__}, whose text cannot be had"]


class Redaction:
    """The last processor that sees what callers gave: whatever an event holds leaves it as plain JSON without secrets."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def __call__(self, _logger: object, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
        try:
            return self._redactor.mapping(event)
        except Exception as error:  # noqa: BLE001 - a foreign object in an event may fail in any way; the work it tells of must not
            return {"event": "unloggable_event", "level": "error", "error": type(error).__name__}


def render_json(_logger: object, _method: str, event: Mapping[str, Any]) -> str:
    """ASCII only: a name with U+2028 or half a surrogate pair is as harmless as any other."""
    ordered = {**{name: event[name] for name in FIRST if name in event}, **event}
    return json.dumps(ordered).replace("\x7f", "\\u007f")


def console_renderer(*, colours: bool) -> Callable[[object, str, Mapping[str, Any]], str]:
    """`08:15:00 warning  event  key=value …` for people; an exception is its last frames, innermost first, on the same line."""

    def render(_logger: object, _method: str, event: Mapping[str, Any]) -> str:
        rest = {name: value for name, value in event.items() if name not in {"timestamp", "level", "event", "exception"}}
        level = str(event.get("level", ""))
        shown = f"\x1b[{_COLOURS.get(level, '0')}m{level:<8}\x1b[0m" if colours else f"{level:<8}"
        parts = [str(event.get("timestamp", ""))[11:19], shown, escaped(str(event.get("event", "")))]
        parts += [escaped(f"{name}={value if _plain(value) else json.dumps(value)}") for name, value in rest.items()]
        if "exception" in event:
            parts.append(escaped(f"exception={_condensed(str(event['exception']))}"))
        return " ".join(parts)

    return render


def _plain(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and not re.search(r"[\s\"=]", value)


def _condensed(trace: str) -> str:
    lines = [line.strip() for line in trace.strip().splitlines() if line.strip("+-| ")]
    frames = [
        re.sub(r'^File "(?:.*/)?([^"/]+)", line (\d+), in (.*)$', r"\1:\2 \3", line) for line in lines if line.startswith("File ")
    ]
    return json.dumps(lines[-1]) + (" at " + " < ".join(frames[: -_FRAMES_IN_CONSOLE - 1 : -1]) if frames else "")


class ForeignRecords(logging.Handler):
    """Takes a library's record through our processors."""

    def __init__(self, processors: list[Any], writer: LineWriter) -> None:
        super().__init__(logging.WARNING)
        self._processors = processors
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        """Renders and writes one record."""
        try:
            said = record.getMessage()
        except Exception:  # noqa: BLE001 - arguments that do not fit the format; logging would print them to stderr
            said = str(record.msg)
        event: Any = {"event": said, "logger": record.name, "exc_info": record.exc_info}
        with contextlib.suppress(Exception):
            for processor in self._processors:
                event = processor(self, record.levelname.lower(), event)
            self._writer.msg(event)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is the standard library's
        """Nothing: the inherited one prints the record's arguments past every redaction."""


def configure_logs(
    log_format: str = "json",
    *,
    verbose: int = 0,
    stream: IO[str] | None = None,
    redactor: Redactor | None = None,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Sets structlog and the root logger up; once at start, again in tests.

    `log_format` is json or console; `verbose` from 1 on adds debug events of our own, never those of libraries: botocore's debug
    output is made of what must not be logged. `stream` is stderr unless given.
    """
    if log_format not in FORMATS:
        raise ValueError(f"log format {log_format!r}, expected {' or '.join(FORMATS)}")
    out = sys.stderr if stream is None else stream
    writer = LineWriter(out)
    colours = log_format == "console" and out.isatty() and not environ.get("NO_COLOR")
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        add_exception,
        Redaction(redactor or program_redactor()),
        structlog.processors.TimeStamper(fmt="iso", utc=True),  # the one field that cannot hold anything else
        render_json if log_format == "json" else console_renderer(colours=colours),
    ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.INFO),
        logger_factory=lambda *_: writer,
        cache_logger_on_first_use=False,  # a second call of this function has to reach loggers that exist already
    )
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, ForeignRecords)]:
        root.removeHandler(handler)
    root.addHandler(ForeignRecords(processors, writer))
    logging.captureWarnings(capture=True)


def log_uncaught() -> None:
    """Has exceptions that nobody caught logged like the rest, instead of printed past the redaction. For `__main__` only."""
    log = structlog.get_logger("archiver")

    def of_threads(args: threading.ExceptHookArgs) -> None:
        log.critical("crashed", thread=args.thread.name if args.thread else "", exc_info=args.exc_value)

    sys.excepthook = lambda _kind, error, _trace: log.critical("crashed", exc_info=error)
    threading.excepthook = of_threads
    sys.unraisablehook = lambda args: log.error("ignored_exception", what=str(args.err_msg or ""), exc_info=args.exc_value)
