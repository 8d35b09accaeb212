"""The table of states: complete, honest about what may follow what, and decided in one place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.domain import lifecycle
from archiver.domain.lifecycle import ARCHIVED, ENDS, OPEN, TRANSITIONS, UNARCHIVED, Event, ImpossibleStep, advance
from archiver.domain.recording import ProviderStatus, State

ALIVE = [status for status in ProviderStatus if status is not ProviderStatus.DELETED]
states = st.sampled_from(State)
statuses = st.sampled_from(ProviderStatus)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_advance_follows_the_table_and_refuses_the_rest(event, state):
    if state in TRANSITIONS.get(event, {}):
        assert advance(state, event) is TRANSITIONS[event][state]
    else:
        with pytest.raises(ImpossibleStep, match=f"{event} cannot happen to a rendition that is {state}"):
            advance(state, event)


def test_every_event_but_the_first_and_the_providers_own_is_a_step_of_the_table():
    assert set(Event) - set(TRANSITIONS) == {Event.DISCOVERED, Event.PROVIDER_DELETED}


def test_every_state_is_reached_from_an_entry_state():
    reached = {lifecycle.first_state(status, external=external) for status in ProviderStatus for external in (False, True)}
    while more := {after for steps in TRANSITIONS.values() for before, after in steps.items() if before in reached} - reached:
        reached |= more
    assert reached == set(State)


def test_open_states_can_be_left_and_of_the_ends_only_expired_cannot():
    leaves = {before for steps in TRANSITIONS.values() for before, after in steps.items() if after is not before}
    assert leaves >= OPEN
    assert ENDS - leaves == {State.EXPIRED}


def test_whatever_is_not_archived_is_due_or_can_be_made_due_again():
    to_due = {before for steps in TRANSITIONS.values() for before, after in steps.items() if after is State.DUE}
    assert to_due >= UNARCHIVED - {State.DUE}


def test_only_what_was_stored_becomes_verified_damaged_or_expires():
    for event in (Event.VERIFIED, Event.DAMAGED, Event.EXPIRING):
        assert set(TRANSITIONS[event]) <= ARCHIVED | {State.DAMAGED}
    assert set(TRANSITIONS[Event.EXPIRED]) == {State.EXPIRING}


def test_nothing_archived_is_ever_lost():
    assert not set(TRANSITIONS[Event.LOST]) & (ARCHIVED | {State.DAMAGED, State.EXPIRING, State.EXPIRED})


@pytest.mark.parametrize(
    ("status", "external", "state"),
    [
        (ProviderStatus.COMPLETED, False, State.DUE),
        (ProviderStatus.COMPLETED, True, State.EXTERNAL),
        (ProviderStatus.PROCESSING, False, State.WAITING),
        (ProviderStatus.PROCESSING, True, State.WAITING),
        (ProviderStatus.UNKNOWN, False, State.WAITING),
        (ProviderStatus.DELETED, False, State.LOST),
        (ProviderStatus.DELETED, True, State.LOST),
        (ProviderStatus.FAILED, False, State.UNAVAILABLE),
    ],
)
def test_a_rendition_enters_where_the_providers_status_puts_it(status, external, state):
    assert lifecycle.first_state(status, external=external) is state


@given(states, statuses, st.booleans(), st.booleans())
def test_a_listing_only_ever_means_a_step_that_the_table_has(state, status, external, changed):
    event = lifecycle.on_listing(state, status, external=external, changed=changed)
    assert event is None or state in TRANSITIONS[event]


@given(states, st.booleans())
def test_a_listing_as_deleted_processing_or_unknown_moves_nothing(state, changed):
    for status in (ProviderStatus.DELETED, ProviderStatus.PROCESSING, ProviderStatus.UNKNOWN):
        assert lifecycle.on_listing(state, status, external=False, changed=changed) is None


@given(states)
def test_listed_again_unchanged_moves_at_most_once(state):
    event = lifecycle.on_listing(state, ProviderStatus.COMPLETED, external=False, changed=False)
    if event is not None:
        after = advance(state, event)
        assert lifecycle.on_listing(after, ProviderStatus.COMPLETED, external=False, changed=False) is None


@pytest.mark.parametrize(
    ("state", "external", "changed", "event"),
    [
        (State.WAITING, False, False, Event.COMPLETED),
        (State.WAITING, True, False, Event.EXTERNAL),
        (State.LOST, False, False, Event.REAPPEARED),
        (State.EXTERNAL, False, False, Event.REAPPEARED),
        (State.EXTERNAL, True, True, None),
        (State.UNAVAILABLE, False, False, None),
        (State.UNAVAILABLE, False, True, Event.REAPPEARED),
        (State.STORED, False, True, Event.CONTENT_CHANGED),
        (State.VERIFIED, False, True, Event.CONTENT_CHANGED),
        (State.DAMAGED, False, True, Event.CONTENT_CHANGED),
        (State.VERIFIED, False, False, None),
        (State.EXPIRED, False, True, None),
        (State.TRANSFERRING, False, True, None),
        (State.FAILED, False, True, None),
    ],
)
def test_what_a_completed_listing_means(state, external, changed, event):
    assert lifecycle.on_listing(state, ProviderStatus.COMPLETED, external=external, changed=changed) is event


@pytest.mark.parametrize("state", State)
def test_one_look_is_never_enough_and_two_decide(state):
    assert lifecycle.on_gone(state, 0) is None
    assert lifecycle.on_gone(state, 1) is None
    event = lifecycle.on_gone(state, 2)
    if state in (State.WAITING, State.DUE, State.TRANSFERRING, State.FAILED):
        assert event is Event.LOST
    elif state in (State.STORED, State.VERIFIED, State.DAMAGED, State.EXPIRING):
        assert event is Event.PROVIDER_DELETED
    else:
        assert event is None
    assert lifecycle.on_gone(state, 7) is event
