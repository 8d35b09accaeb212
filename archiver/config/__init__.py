"""TOML, environment and flags become frozen Settings; all problems are told at once.

    settings = load(None, os.environ, {})

`load` is the only thing here that reads files. The table of keys is in `keys.py`; a new setting is a row there, a field in
`settings.py` and a line in `config/archiver.example.toml`.
"""

from archiver.config.description import Row, describe, schema
from archiver.config.loading import load
from archiver.config.quantities import (
    Period,
    format_duration,
    format_instant,
    format_size,
    parse_duration,
    parse_instant,
    parse_period,
    parse_size,
)
from archiver.config.secret import Secret
from archiver.config.settings import (
    AttestSettings,
    CatalogSettings,
    PolicySettings,
    RetentionSettings,
    ScheduleSettings,
    Settings,
    SourceSettings,
    StorageSettings,
    TransferSettings,
    WebSettings,
)

__all__ = [
    "AttestSettings",
    "CatalogSettings",
    "Period",
    "PolicySettings",
    "RetentionSettings",
    "Row",
    "ScheduleSettings",
    "Secret",
    "Settings",
    "SourceSettings",
    "StorageSettings",
    "TransferSettings",
    "WebSettings",
    "describe",
    "format_duration",
    "format_instant",
    "format_size",
    "load",
    "parse_duration",
    "parse_instant",
    "parse_period",
    "parse_size",
    "schema",
]
