"""Logs go to a stream of the test's own; what set-up changes for the whole process is put back."""

import io
import logging
from collections.abc import Callable, Iterator

import pytest
import structlog

from archiver.telemetry import configure_logs
from archiver.telemetry.logs import ForeignRecords
from archiver.telemetry.redaction import Redactor

Logs = Callable[..., io.StringIO]


@pytest.fixture
def redactor() -> Redactor:
    return Redactor()


@pytest.fixture
def logs(redactor: Redactor) -> Iterator[Logs]:
    """Sets logs up and gives the stream that they are written to."""

    def configured(log_format: str = "json", **options: object) -> io.StringIO:
        stream = io.StringIO()
        configure_logs(log_format, **{"stream": stream, "redactor": redactor, "environ": {}, **options})
        return stream

    yield configured
    logging.captureWarnings(capture=False)
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, ForeignRecords)]:
        root.removeHandler(handler)
    structlog.reset_defaults()
