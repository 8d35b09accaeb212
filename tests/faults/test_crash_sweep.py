"""Killed at any instant, restarted, and every law holds: a sample in every run, every instant of every flow in the long campaign."""

import random

import pytest

from archiver.catalog import schema
from tests.faults.crash import Case, attempt, kind
from tests.faults.crash_flows import FLOWS
from tests.faults.crash_place import Place
from tests.faults.reach import Reach, Row
from tests.testbed.scratch import scratch

SEED = 2027
BOTH = [("sqlite", "file"), ("postgresql", "memory")]
DOUBLES = 1_000
REACHED = {"sql after": Row.DB_COMMIT, "sql before": Row.DB_DOWN, "store before": Row.S3_ERRORS, "store after": Row.S3_LOST_REPLY}


@pytest.fixture(scope="module")
def place(postgres):
    with scratch("crash", in_memory=True) as folder, postgres.database(postgres.template("crash", schema.upgrade_now)) as url:
        yield Place(folder, url)


def swept(place, cases, reach):
    """The trials that broke a law."""
    broken = []
    for case in cases:
        trial = attempt(place, case)
        if case.at and trial.reached:
            row = (
                Row.KILL_TWICE
                if len(case.at) > 1
                else REACHED.get(kind(trial.struck[0]), Row.S3_ERRORS)
                if case.lose
                else Row.KILL
            )
            reach.hit(row)
        broken += [trial] if trial.violations else []
    return broken


def cases_of(place, flow, database, store, *, lose=False):
    """The case of each instant; the first, without a kill, is how they were found."""
    whole = attempt(place, Case(flow=flow, database=database, store=store))
    assert whole.violations == []
    count = sum(not instant.startswith("resume") for instant in whole.instants) if lose else len(whole.instants)
    return [Case(flow=flow, database=database, store=store, at=(at,), lose=lose) for at in range(1, count + 1)]


SAMPLED = [(flow, *BOTH[0]) for flow in FLOWS] + [(flow, *BOTH[1]) for flow in ("poll", "multipart", "changed", "sync")]


@pytest.mark.parametrize(("flow", "database", "store"), SAMPLED)
def test_a_flow_killed_at_any_instant_ends_as_if_it_had_not_been(place, flow, database, store):
    rng = random.Random(f"{SEED} {flow} {database}")
    killed = rng.sample(cases_of(place, flow, database, store), 4 if database == "sqlite" else 3)
    count = killed[0].at[0]
    lost = Case(flow=flow, database=database, store=store, at=(rng.randint(1, 20),), lose=True)
    twice = Case(flow=flow, database=database, store=store, at=(count, rng.randint(1, 60)))
    assert swept(place, [*killed, lost, twice], Reach("crash sample")) == []


def test_what_a_dead_machine_held_is_taken_over_by_another_within_a_lease(place):
    rng = random.Random(SEED)
    cases = [
        Case(flow=flow, database="postgresql", at=(rng.randint(40, 100),), elsewhere=True)
        for flow in ("small", "multipart", "verify", "sync")
    ]
    assert swept(place, cases, Reach("crash sample")) == []


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("lose", [False, True], ids=["killed", "connection lost"])
@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize(("database", "store"), BOTH)
def test_every_instant(place, flow, database, store, lose):
    reach = Reach("crash sweep")
    cases = cases_of(place, flow, database, store, lose=lose)
    broken = swept(place, cases, reach)
    reach.save()
    print(
        f"\ncrash sweep: {flow} on {database} and {store}: {len(cases)} points, {reach.counts.total()} struck, {len(broken)} broken"
    )
    assert broken == []


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_kills_of_the_process_that_recovers_from_a_kill(place):
    rng = random.Random(SEED)
    reach = Reach("double kills")
    counts = {flow: len(cases_of(place, flow, "sqlite", "memory")) for flow in FLOWS}
    cases = []
    for _ in range(DOUBLES):
        flow, (database, store) = rng.choice(list(FLOWS)), rng.choice(BOTH)
        cases.append(Case(flow=flow, database=database, store=store, at=(rng.randint(1, counts[flow]), rng.randint(1, 250))))
    broken = swept(place, cases, reach)
    reach.save()
    print(f"\ndouble kills: {len(cases)} pairs, {reach.counts.total()} struck twice, {len(broken)} broken")
    assert broken == []
