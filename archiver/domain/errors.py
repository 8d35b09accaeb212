"""Every error the program raises on purpose, in one tree.

    ArchiverError
    ├── ConfigurationError             exit 2
    ├── UsageError                     exit 2
    ├── ProviderError                  the source said or did something
    │   ├── ProviderUnavailable  T     refused, reset, 5xx, timeout
    │   ├── RateLimited          T     429, with the wait it asked for
    │   ├── CredentialsRefused         401/403 on the API           exit 6
    │   ├── ContractBroken             a page or body that does not have the documented shape
    │   ├── RecordingGone              the provider no longer knows the id
    │   ├── MediaUnavailable     T     completed, but no media (yet): 404 on the media
    │   ├── LinkExpired          T     403/401 at the media host: ask for a fresh link
    │   ├── MediaIncomplete      T     fewer or more bytes than announced, or no evidence of length
    │   │   └── MediaChanged     T     another file than the one begun: its strong ETag is another
    │   ├── MediaImplausible     T     an error page, a wrong type, no magic bytes, an encoding nobody asked for
    │   ├── MediaTooSlow         T     below the floor of `transfer.min_rate`
    │   └── UrlRefused                 a link that must not be followed
    ├── StorageError
    │   ├── StorageUnavailable   T
    │   ├── StorageRefused             403, wrong bucket, wrong owner        exit 6
    │   ├── StorageFull          T
    │   ├── ChecksumRefused      T     the store saw other bytes than we sent
    │   ├── ObjectExists               something else already stands under the key
    │   └── ObjectMissing
    └── CatalogError
        ├── CatalogUnavailable   T
        ├── CatalogHeld                another daemon has the SQLite file
        ├── SchemaMismatch             newer or older than the program
        ├── StaleEntry                 someone else changed the row first
        └── HistoryForked              the sealed history is not this catalog's      exit 4

`T` marks `Transient`: worth trying again unchanged.
"""

from __future__ import annotations


class Transient(Exception):
    """Mixed into errors that may pass by themselves."""


class ArchiverError(Exception):
    """Root of all errors raised on purpose; its text is fit for a user and free of secrets."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message}; hint: {hint}")
        self.hint = hint


class ConfigurationError(ArchiverError):
    """The configuration cannot be used; carries every problem found, not only the first."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class UsageError(ArchiverError):
    """A command was called with arguments that make no sense together."""


class ProviderError(ArchiverError):
    """A provider said or did something that stopped a request."""


class ProviderUnavailable(ProviderError, Transient):
    """The provider could not be reached or failed by itself (refused, reset, timeout, 5xx)."""


class RateLimited(ProviderError, Transient):
    """The provider asked to slow down; `wait` is the seconds it asked for, None where it did not say."""

    def __init__(self, message: str, *, wait: float | None) -> None:
        super().__init__(message)
        self.wait = wait


class CredentialsRefused(ProviderError):
    """The provider's API refused the credentials of the whole source."""


class ContractBroken(ProviderError):
    """A reply does not have the documented shape; nothing of it may be believed."""


class RecordingGone(ProviderError):
    """The provider does not know the recording (any more)."""


class MediaUnavailable(ProviderError, Transient):
    """The recording is completed, but its media answers 404."""


class LinkExpired(ProviderError, Transient):
    """The media host refused the link; a fresh one has to be asked for."""


class MediaIncomplete(ProviderError, Transient):
    """The bytes received do not agree with the length announced, or nothing announced a length."""


class MediaChanged(MediaIncomplete):
    """The host has another file now than the one that was begun; bytes of the two must not be mixed."""


class MediaImplausible(ProviderError, Transient):
    """What came is not a recording: an error page, an unasked encoding or status, no magic bytes."""


class MediaTooSlow(ProviderError, Transient):
    """The download stayed below the configured floor for two minutes."""


class UrlRefused(ProviderError):
    """A link leads where no recording may lie (private address, foreign scheme, foreign origin)."""


class StorageError(ArchiverError):
    """The store refused or failed."""


class StorageUnavailable(StorageError, Transient):
    """The store could not be reached or failed by itself."""


class StorageRefused(StorageError):
    """The store refused us: credentials, permissions, bucket, owner."""


class StorageFull(StorageError, Transient):
    """No space, a read-only file system, or a write that the device failed."""


class ChecksumRefused(StorageError, Transient):
    """The store received other bytes than were sent and said so."""


class ObjectExists(StorageError):
    """Another object already stands under the key; whether it is ours has to be decided by its bytes."""


class ObjectMissing(StorageError):
    """No object stands under the key (and version)."""


class CatalogError(ArchiverError):
    """The catalog refused or failed."""


class CatalogUnavailable(CatalogError, Transient):
    """The database could not be reached or failed by itself."""


class CatalogHeld(CatalogError):
    """Another daemon already works on this SQLite catalog; the message names it."""


class SchemaMismatch(CatalogError):
    """The catalog's schema is newer than this program, or older and may not be upgraded here."""


class StaleEntry(CatalogError):
    """A row was changed by somebody else since it was read; nothing was written."""


class HistoryForked(CatalogError):
    """The history sealed in the archive and the one in the catalog are not the same; nothing was overwritten."""
