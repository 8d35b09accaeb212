"""Killed at any instant, restarted, and every law holds: a sample in every run, every instant of every flow in the long campaign."""

import random
from dataclasses import replace

import pytest

from archiver.catalog import schema
from tests.faults.crash import cases_of, main, pairs_of, swept
from tests.faults.crash_flows import FLOWS
from tests.faults.crash_place import Place
from tests.faults.crash_trial import Case
from tests.faults.reach import Row
from tests.testbed.scratch import scratch

SEED = 2027
SAMPLED = [(flow, "sqlite", "file") for flow in FLOWS] + [
    (flow, "postgresql", "memory") for flow in ("poll", "multipart", "sync")
]


@pytest.fixture(scope="module")
def place(postgres):
    with scratch("crash", in_memory=True) as folder, postgres.database(postgres.template("crash", schema.upgrade_now)) as url:
        yield Place(folder, url)


@pytest.mark.parametrize(("flow", "database", "store"), SAMPLED)
def test_a_flow_killed_at_any_instant_ends_as_if_it_had_not_been(place, flow, database, store):
    rng = random.Random(f"{SEED} {flow} {database}")
    killed = rng.sample(cases_of(place, Case(flow=flow, database=database, store=store)), 3)
    twice = replace(killed[0], at=(*killed[0].at, rng.randint(1, 60)))
    lost = replace(killed[0], at=(rng.randint(1, 40),), lose=True)
    tried = swept(place, [*killed, twice, lost])
    assert tried.broken == []
    assert tried.reach.counts[Row.KILL] == 3


def test_what_a_dead_machine_held_is_taken_over_by_another_within_a_lease(place):
    rng = random.Random(SEED)
    flows = ("multipart", "verify", "sync", "seal")
    cases = [Case(flow=flow, database="postgresql", at=(rng.randint(20, 80),), elsewhere=True) for flow in flows]
    assert swept(place, cases).broken == []


def test_double_kills_are_drawn_from_a_seed(place):
    drawn = [pairs_of(place, Case(flow="sweep"), random.Random(3), 4) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert {len(case.at) for case in drawn[0]} == {2}


def test_the_command_that_a_failing_point_prints_is_one_that_runs(capsys):
    command = str(Case(flow="sweep", store="file", at=(5, 9)))
    assert main(command.split()[3:]) == 0
    assert capsys.readouterr().out.startswith(command)


@pytest.mark.faults
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("lose", [[], ["--lose"]], ids=["killed", "connections lost"])
@pytest.mark.parametrize(("database", "store"), [("sqlite", "file"), ("postgresql", "memory")])
def test_every_instant_of_every_flow(database, store, lose):
    assert main(["all", "--database", database, "--store", store, "--pairs", "1000", *lose]) == 0


async def _nothing(*_given, **_options):
    return None


def _broken_laws(place, flow, count=6):
    """What a few kills in the middle of a flow find."""
    cases = cases_of(place, Case(flow=flow))
    middle = cases[len(cases) // 3 :: max(1, len(cases) // (2 * count))]
    return {line.split(":")[0].strip() for text in swept(place, middle[:count]).broken for line in text.splitlines()[2:]}


def test_the_sweep_notices_a_program_that_does_not_free_what_its_dead_held(place, monkeypatch):
    monkeypatch.setattr("archiver.catalog.leases.bury", _nothing)
    assert "G12 restart" in _broken_laws(place, "small")


def test_the_sweep_notices_a_program_that_takes_no_upload_up_again(place, monkeypatch):
    monkeypatch.setattr("archiver.pipeline.multipart.Multipart.take_up", _nothing)
    assert _broken_laws(place, "multipart") & {"refetched", "I18 upload", "I18 named"}


def test_the_sweep_notices_a_program_that_adopts_nothing_it_wrote_before(place, monkeypatch):
    monkeypatch.setattr("archiver.pipeline.transfer.Transfer._adopted", _nothing)
    assert _broken_laws(place, "small", count=20)
