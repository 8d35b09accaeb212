"""What the program says about itself: log lines without secrets, and metrics."""

from archiver.telemetry.logs import configure_logs, log_uncaught
from archiver.telemetry.metrics import CONTENT_TYPE, Metrics
from archiver.telemetry.redaction import redact, register_secret

__all__ = ["CONTENT_TYPE", "Metrics", "configure_logs", "log_uncaught", "redact", "register_secret"]
