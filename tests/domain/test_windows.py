"""Windows overlap enough, slices cover all, and a pass counts as complete only when nothing can have slipped through (I1, I2, F7)."""

import hashlib
import itertools
import random
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiver.domain import windows
from archiver.domain.windows import MOST_WALKS, Walk, Window, backfill_days, ids_sha256, live_window, walk_again

instants = st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2035, 1, 1), timezones=st.just(UTC))
spans = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=40))
DAY = timedelta(days=1)
FARTHEST_ZONE = timedelta(hours=14)


# -- windows


@given(instants, st.none() | instants, spans)
def test_a_live_window_reaches_a_lookback_and_a_zone_before_the_watermark_and_past_now(now, watermark, lookback):
    window = live_window(now=now, watermark=watermark, lookback=lookback)
    assert window.start <= min(watermark or now, now) - lookback - FARTHEST_ZONE
    assert window.end >= now + FARTHEST_ZONE
    assert window.end - window.start <= now - min(watermark or now, now) + lookback + 4 * DAY


@given(instants, spans)
def test_consecutive_live_windows_leave_no_gap_however_late_the_next_poll_is(first, late):
    before = live_window(now=first, watermark=None, lookback=timedelta(hours=48))
    after = live_window(now=first + late, watermark=first, lookback=timedelta(hours=48))
    assert after.start <= before.end - DAY
    assert after.start <= first - timedelta(hours=48)


def test_a_watermark_in_the_future_cannot_move_the_window_there():
    now = datetime(2026, 3, 2, 12, tzinfo=UTC)
    window = live_window(now=now, watermark=now + timedelta(days=400), lookback=timedelta(hours=48))
    assert str(window) == "2026-02-27..2026-03-03"


def test_a_window_knows_its_days_and_refuses_to_end_before_it_begins():
    window = Window(first=date(2028, 2, 28), last=date(2028, 3, 1))
    assert [str(day) for day in window.days()] == ["2028-02-28..2028-02-28", "2028-02-29..2028-02-29", "2028-03-01..2028-03-01"]
    assert (window.start, window.end) == (datetime(2028, 2, 28, tzinfo=UTC), datetime(2028, 3, 2, tzinfo=UTC))
    with pytest.raises(ValueError, match="2026-01-02 to 2026-01-01"):
        Window(first=date(2026, 1, 2), last=date(2026, 1, 1))


@given(instants, spans)
def test_backfill_days_cover_every_instant_once_newest_first(since, span):
    until = since + span
    days = backfill_days(since=since, until=until)
    assert days == sorted(days, reverse=True)
    assert len(set(days)) == len(days)
    if span:
        assert days[-1].start <= since < days[-1].end
        assert days[0].start < until <= days[0].end
        assert all(newer.start == older.end for newer, older in itertools.pairwise(days))
    else:
        assert days == []


def test_backfill_up_to_midnight_does_not_touch_the_day_that_begins_there():
    days = backfill_days(since=datetime(2026, 1, 1, tzinfo=UTC), until=datetime(2026, 1, 3, tzinfo=UTC))
    assert [str(day.first) for day in days] == ["2026-01-02", "2026-01-01"]
    assert backfill_days(since=datetime(2026, 1, 3, tzinfo=UTC), until=datetime(2026, 1, 1, tzinfo=UTC)) == []


# -- the walk rule


def walk(*ids: str, pages: int = 2, new: int = 0, **more) -> Walk:
    return Walk(ids=frozenset(ids), pages=pages, new=new, **more)


@pytest.mark.parametrize(
    ("walks", "again"),
    [
        ([], True),
        ([walk("a", pages=1, new=1)], False),
        ([walk("a", pages=0)], False),
        ([walk("a", pages=1, total=2)], True),
        ([walk("a", pages=1, total=2, rejected=1)], False),
        ([walk("a", "b", pages=1, total=1)], False),
        ([walk("a")], True),
        ([walk("a"), walk("a")], False),
        ([walk("a", new=1), walk("a")], True),
        ([walk("a"), walk("a", "b", new=1)], True),
        ([walk("a", new=1), walk("a"), walk("a")], False),
        ([walk("a"), walk("a", total=5)], True),
    ],
)
def test_a_window_is_walked_until_two_walks_in_a_row_bring_nothing_new(walks, again):
    assert walk_again(walks) is again


def test_a_walk_that_sees_exactly_what_the_last_complete_pass_saw_is_enough():
    assert not walk_again([walk("a", "b")], confirmed=ids_sha256(["b", "a"]))
    assert walk_again([walk("a", "b")], confirmed=ids_sha256(["a"]))
    assert walk_again([walk("a", "b", total=3)], confirmed=ids_sha256(["a", "b"]))


def test_the_digest_of_ids_is_the_one_that_attestations_quote():
    assert ids_sha256(["b", "a", "c"]) == hashlib.sha256(b"a\nb\nc").hexdigest()
    assert ids_sha256([]) == hashlib.sha256(b"").hexdigest()


# -- F7: pages that shift under the reader


class Shifting:
    """A list of a provider that pages by offset, newest first; for `churn` pages fetched, one recording comes or goes."""

    def __init__(self, seed: int, *, size: int, churn: int) -> None:
        self.chance = random.Random(seed)
        self.rows = [f"r{n}" for n in range(2000)]
        self.size = size
        self.churn = churn
        self.next = 2000
        self.always = set(self.rows)

    def walk(self, known: set[str], *, backward: bool) -> Walk:
        pages = -(-len(self.rows) // self.size)
        numbers = range(pages, 0, -1) if backward else range(1, pages + 1)
        ids: set[str] = set()
        total = 0
        for number in numbers:
            ids.update(self.rows[(number - 1) * self.size : number * self.size])
            total = len(self.rows)
            self._shift()
        new = len(ids - known)
        known |= ids
        return Walk(ids=frozenset(ids), pages=pages, new=new, total=total)

    def _shift(self) -> None:
        if self.churn == 0:
            return
        self.churn -= 1
        if self.chance.random() < 0.5:
            self.rows.insert(self.chance.randrange(len(self.rows)), f"r{self.next}")
            self.next += 1
        else:
            gone = self.rows.pop(self.chance.randrange(len(self.rows)))
            self.always.discard(gone)


def one_pass(listed: Shifting) -> tuple[bool, set[str], int]:
    """Walks as Discovery does: whether the pass is complete, what of the rows that were there all the time it missed, pages."""
    known: set[str] = set()
    walks: list[Walk] = []
    while walk_again(walks) and len(walks) < MOST_WALKS:
        walks.append(listed.walk(known, backward=len(walks) % 2 == 1))
    return not walk_again(walks), listed.always - known, sum(item.pages for item in walks)


@pytest.mark.parametrize("size", [20, 250])
def test_over_shifting_pages_one_walk_misses_what_the_rule_finds(size):
    pages = 2000 // size
    naive = complete = requests = 0
    for seed in range(200):
        alone = Shifting(seed, size=size, churn=pages)
        seen: set[str] = set()
        alone.walk(seen, backward=False)
        naive += bool(alone.always - seen)
        whole, missed, asked = one_pass(Shifting(seed, size=size, churn=pages))
        assert not missed
        complete += whole
        requests += asked
    assert naive >= (195 if size == 20 else 100)  # the test bites
    assert complete == 200
    assert requests / 200 <= 4.6 * pages


@pytest.mark.parametrize("size", [20, 250])
def test_over_pages_that_never_stop_shifting_no_pass_is_called_complete_that_missed_something(size):
    for seed in range(60):
        whole, missed, _ = one_pass(Shifting(seed, size=size, churn=10**9))
        assert not (whole and missed)


def test_over_pages_that_stand_still_the_first_pass_takes_three_walks_and_the_next_one():
    listed = Shifting(1, size=250, churn=0)
    known: set[str] = set()
    walks: list[Walk] = []
    while walk_again(walks):
        walks.append(listed.walk(known, backward=len(walks) % 2 == 1))
    assert len(walks) == 3
    assert not walk_again([listed.walk(known, backward=False)], confirmed=ids_sha256(known))


def test_a_day_slice_that_fits_a_page_is_walked_once():
    assert not walk_again([Walk(ids=frozenset({"a"}), pages=1, new=1, total=1)])
    assert windows.covers_total(Walk(ids=frozenset(), pages=0, new=0, total=None))
