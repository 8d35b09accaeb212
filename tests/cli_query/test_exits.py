"""One exit code for a run: what was left undone, lost or damaged never ends as if all were well (I20)."""

import pytest

from archiver.cli import exits
from archiver.cli.summary import exit_code
from archiver.domain import errors
from archiver.domain.recording import State
from archiver.domain.retention import RefusedByPolicy
from archiver.pipeline.tally import Tally

LEFT = {State.DUE, State.TRANSFERRING, State.STORED, State.FAILED, State.DAMAGED}


def code(after=None, **mine):
    tally = Tally(["rooms"])
    for name, value in mine.items():
        setattr(tally.sources["rooms"], name, value)
    return exit_code(tally, {"rooms": {}}, {"rooms": after or {}})


@pytest.mark.parametrize("state", sorted(LEFT))
def test_a_run_that_left_something_parked_damaged_or_to_do_says_3(state):
    assert code({state.value: 1, "verified": 1000}) == exits.SOME_FAILED


@pytest.mark.parametrize("state", sorted(set(State) - LEFT - {State.LOST}))
def test_what_is_done_or_waits_for_its_provider_is_no_failure(state):
    assert code({state.value: 1}) == exits.DONE


def test_a_gap_a_new_loss_and_damage_each_have_their_code():
    assert code(problems=["the pages list fewer than are announced"]) == exits.GAP
    assert code({"lost": 1}) == exits.GAP
    assert code(damaged=1) == exits.INTEGRITY
    assert code({"failed": 1}, failure=errors.CredentialsRefused("401")) == exits.CREDENTIALS


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.ConfigurationError(("web.listen: nothing",)), 2),
        (errors.UsageError("--since lies in the future"), 2),
        (errors.HistoryForked("segment 2"), 4),
        (errors.ProviderUnavailable("500"), 5),
        (errors.StorageUnavailable("503"), 5),
        (errors.CatalogHeld("another daemon"), 5),
        (errors.CredentialsRefused("401"), 6),
        (errors.StorageRefused("403"), 6),
        (RefusedByPolicy("a hold"), 7),
        (errors.ContractBroken("no data"), 11),
        (ValueError("a defect"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_that_ends_a_command_has_its_code(error, expected):
    assert exits.of_error(error) == expected


def test_of_several_findings_the_one_that_has_to_be_mended_first_is_told():
    assert exits.worst([]) == exits.DONE
    for worse, better in zip(exits.ORDER, exits.ORDER[1:], strict=False):
        assert exits.worst([better, worse, exits.DONE]) == worse
