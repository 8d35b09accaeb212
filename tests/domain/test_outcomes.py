"""What a failed attempt means: whose fault it was decides whether it counts, and the last one that counts parks."""

import pytest

from archiver.domain import errors, outcomes
from archiver.domain.lifecycle import Event
from archiver.domain.recording import State
from tests.pipeline.stage import an_entry

MOST = 4
ITS_OWN = [errors.MediaIncomplete("cut"), errors.MediaImplausible("a page"), ValueError("a defect")]
NOT_ITS_OWN = [
    errors.CredentialsRefused("401"),
    errors.StorageRefused("403"),
    errors.StorageFull("no space left"),
    errors.CatalogUnavailable("gone"),
    errors.RateLimited("429", wait=7.0),
]


def after(error, *, attempts=0, down=False, **facts):
    entry = an_entry(state=State.TRANSFERRING, attempts=attempts, **facts)
    return outcomes.after_error(entry, error, max_attempts=MOST, down=down, chance=0.5)


@pytest.mark.parametrize("error", [*ITS_OWN, errors.ProviderUnavailable("500"), errors.StorageUnavailable("503")], ids=repr)
def test_the_last_attempt_parks_and_none_before_it_does(error):
    ends = [after(error, attempts=number) for number in range(MOST)]
    assert [end.event for end in ends] == [Event.RETRY_SCHEDULED] * (MOST - 1) + [Event.FAILED]
    assert all(end.counts for end in ends)
    assert str(error) in ends[-1].reason


@pytest.mark.parametrize("error", [errors.ProviderUnavailable("500"), errors.StorageUnavailable("503"), *ITS_OWN], ids=repr)
def test_while_its_source_or_the_store_is_down_no_attempt_is_used_up_and_nothing_parks(error):
    end = after(error, attempts=MOST - 1, down=True)
    assert (end.event, end.counts) == (Event.RETRY_SCHEDULED, False)


@pytest.mark.parametrize("error", NOT_ITS_OWN, ids=repr)
def test_what_is_no_recordings_fault_uses_no_attempt_up(error):
    end = after(error, attempts=MOST - 1)
    assert (end.event, end.counts) == (Event.RETRY_SCHEDULED, False)


@pytest.mark.parametrize("error", [errors.UrlRefused("a private address"), errors.ObjectExists("key_conflict")], ids=repr)
def test_what_no_repetition_can_mend_is_parked_at_once_even_while_its_source_is_well(error):
    assert after(error).event is Event.FAILED


def test_media_that_never_came_is_unavailable_and_not_failed():
    assert after(errors.MediaUnavailable("404"), attempts=MOST - 1).event is Event.UNAVAILABLE


def test_a_check_that_could_not_be_made_says_nothing_of_what_is_stored():
    entry = an_entry(state=State.STORED, attempts=10 * MOST)
    end = outcomes.after_error(entry, errors.StorageUnavailable("503"), max_attempts=MOST, down=False, chance=0.5)
    assert end.event is Event.RETRY_SCHEDULED
