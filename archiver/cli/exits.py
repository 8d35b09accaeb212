"""Exit codes, and which one a failure or the sum of a run deserves (contract.md, section 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archiver.domain import errors
from archiver.domain.retention import RefusedByPolicy

if TYPE_CHECKING:
    from collections.abc import Iterable

DONE = 0
UNEXPECTED = 1
USAGE = 2
SOME_FAILED = 3
INTEGRITY = 4
TEMPORARY = 5
CREDENTIALS = 6
POLICY = 7
BUDGET = 8
GAP = 11

ORDER = (UNEXPECTED, USAGE, CREDENTIALS, TEMPORARY, INTEGRITY, POLICY, GAP, SOME_FAILED, BUDGET)


def of_error(error: BaseException) -> int:
    """The exit code of an error that ended a command."""
    if isinstance(error, errors.ConfigurationError | errors.UsageError | errors.SchemaMismatch):
        return USAGE
    if isinstance(error, errors.CredentialsRefused | errors.StorageRefused):
        return CREDENTIALS
    if isinstance(error, errors.Transient | errors.CatalogHeld):
        return TEMPORARY
    if isinstance(error, errors.ContractBroken):
        return GAP
    if isinstance(error, errors.HistoryForked):
        return INTEGRITY
    if isinstance(error, RefusedByPolicy):
        return POLICY
    return UNEXPECTED


def worst(codes: Iterable[int]) -> int:
    """The one code for several findings."""
    found = set(codes)
    return next((code for code in ORDER if code in found), DONE)
