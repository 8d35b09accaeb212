"""Plans: every rendition once, a reason each, the same twice; and what is stale, edited or old is refused."""

import copy
import hashlib
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from archiver.domain.plan import Action, read, too_old
from archiver.domain.retention import RefusedByPolicy, canonical
from tests.retention.archive import NOON, policy, source


async def test_every_stored_or_verified_rendition_is_in_it_exactly_once_with_a_reason(it):
    await it.archived("r1", "r2")
    await it.archived("r3", verify=False)
    await it.listed("due")
    document = (await it.plan()).document()
    assert [item["recording_id"] for item in document["items"]] == ["r1", "r2", "r3"]
    assert all(item["reason"] for item in document["items"])
    assert document["counts"] == {"expire": 0, "release": 0, "keep": 3}
    assert {"schema", "fingerprint", "created_at", "policies", "counts", "items"} <= document.keys()
    wanted = {"source", "recording_id", "rendition", "action", "reason", "policy", "retain_until", "holds"}
    assert all(item.keys() == wanted for item in document["items"])


async def test_two_plans_that_mean_the_same_have_the_same_fingerprint(it):
    await it.archived("r1", "r2")
    one = await it.plan()
    it.clock.advance(minutes=5)
    other = await it.plan()
    assert (one.fingerprint(), one.created_at) == (other.fingerprint(), other.created_at - timedelta(minutes=5))
    it.clock.advance(days=400)
    assert (await it.plan()).fingerprint() != one.fingerprint()


async def test_reasons_name_the_rule_and_the_day(it):
    it.change(policies=[policy("sales", "10y", room="sales-*"), policy("calls", "1y", source="calls")])
    await it.archived("r1", room_name="sales-7")
    await it.archived("r2")
    await it.archived("r3")
    await it.hold("X-1", ids=("r3",))
    reasons = {item.recording_id: item.reason for item in (await it.plan()).items}
    assert reasons == {
        "r1": "sales keeps it 10y from its end 2026-03-10T11:00:00Z, until 2036-03-10T11:00:00Z",
        "r2": "no policy matches: kept for ever",
        "r3": "held by X-1",
    }


async def test_a_shorter_policy_does_not_shorten_what_was_promised(it):
    await it.archived("r1")
    await it.custody.job()
    it.change(policies=[policy("year", "30d")])
    it.clock.advance(days=100)
    (item,) = (await it.plan()).items
    assert (item.action, item.retain_until.year) == (Action.KEEP, 2027)
    assert item.reason.endswith("and its retention was set to 2027-03-10T11:00:00Z")


async def test_a_policy_that_is_gone_keeps_for_ever(it):
    await it.archived("r1")
    it.change(policies=[])
    it.clock.advance(days=4000)
    assert (await it.plan()).items[0].action is Action.KEEP


async def test_what_arrives_behind_a_plan_does_not_make_it_stale(it):
    await it.archived("r1")
    it.clock.advance(days=400)
    plan = await it.plan()
    it.clock.advance(minutes=1)
    await it.archived("r2")
    assert len((await it.apply(plan)).expired) == 1


@pytest.mark.parametrize("change", ["hold", "policy", "extended", "content", "delete_at_provider"])
async def test_what_is_no_longer_true_is_stale(it, change):
    it.change(sources=[source()])
    await it.archived("r1", "r2")
    plan = await it.plan()
    it.clock.advance(hours=30)
    if change == "hold":
        await it.hold("case", ids=("r2",))
    elif change == "policy":
        it.change(policies=[policy("year", "2y")])
    elif change == "extended":
        it.change(policies=[policy("year", "2y")])
        await it.custody.job()
        it.change(policies=[policy("year", "1y")])
    elif change == "content":
        it.provider.put(replace(it.provider.listed["r1"], size=5))
        await it.catalog.add_page("rooms", "telnyx-rooms", [it.provider.listed["r1"]])
    else:
        it.change(sources=[source(delete="1h", unlocked=True)])
        plan = replace(plan, created_at=plan.created_at + timedelta(hours=29))
    with pytest.raises(RefusedByPolicy, match="stale"):
        await it.apply(plan)
    assert it.deleted() == []


def forged(document, **changes):
    """A document whose checksums were made anew after an edit."""
    found = {**document, **changes}
    digest = hashlib.sha256(canonical(found["policies"]) + b"\n")
    for item in found["items"]:
        digest.update(canonical(item) + b"\n")
    found["fingerprint"] = digest.hexdigest()
    body = {name: value for name, value in found.items() if name != "checksum"}
    return {**body, "checksum": hashlib.sha256(canonical(body)).hexdigest()}


async def test_an_edit_anywhere_shows(it):
    await it.archived("r1", "r2")
    document = (await it.plan()).document()
    edits = []
    for path in (("created_at",), ("fingerprint",), ("items", 0, "action"), ("items", 0, "reason"), ("policies", 0, "keep")):
        edited = copy.deepcopy(document)
        place = edited
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = "2026-01-01T00:00:00Z" if path == ("created_at",) else "expire"
        edits.append(edited)
    edits.append({**document, "items": document["items"][:1]})
    edits.append({**document, "items": document["items"][::-1]})
    edits += [{}, [], None, "plan", {**document, "items": 7}, {**document, "schema": "archiver.plan/2"}]
    for edited in edits:
        with pytest.raises(RefusedByPolicy):
            read(edited)
    assert read(document).fingerprint == document["fingerprint"]


async def test_an_edit_with_new_checksums_is_stale(it):
    await it.archived("r1")
    document = (await it.plan()).document()
    items = [{**document["items"][0], "action": "expire"}]
    with pytest.raises(RefusedByPolicy, match="stale: rooms/r1/media: expire"):
        await it.custody.apply(read(forged(document, items=items)), allowed=None)
    with pytest.raises(RefusedByPolicy, match="stale"):
        await it.custody.apply(read(forged(document, items=[])), allowed=None)
    with pytest.raises(RefusedByPolicy, match="in the future"):
        await it.custody.apply(read(forged(document, created_at="2099-01-01T00:00:00Z")), allowed=None)
    assert it.deleted() == []


@pytest.mark.parametrize(
    ("age", "fine"), [(timedelta(0), True), (timedelta(days=7), True), (timedelta(days=7, seconds=1), False)]
)
async def test_a_plan_lives_for_seven_days(it, age, fine):
    assert (too_old(NOON - age, now=NOON) is None) is fine
    await it.archived("r1")
    plan = await it.plan()
    it.clock.advance(seconds=age.total_seconds())
    if fine:
        await it.apply(plan)
    else:
        with pytest.raises(RefusedByPolicy, match="more than 7 days ago"):
            await it.apply(plan)


def test_an_instant_without_a_zone_is_no_plans():
    assert datetime.fromisoformat("2026-01-01T00:00:00").tzinfo is None
    with pytest.raises(RefusedByPolicy):
        read({"schema": "archiver.plan/1", "created_at": "2026-01-01T00:00:00", "fingerprint": "", "items": [], "policies": []})
