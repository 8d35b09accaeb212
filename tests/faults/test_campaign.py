"""The table of the long campaign says what each tried and found, and a campaign that says nothing or misses a fault is seen."""

import importlib.util
import json
from collections import Counter

import pytest

from tests.faults.campaign import CAMPAIGNS, PAGE, RECORD, TOP, Campaign, Outcome, last_line, page, quoted, recorded, spread
from tests.faults.found import tried
from tests.faults.reach import ELSEWHERE, Row, unreached


def test_the_sentence_with_the_figures_is_told_whatever_else_was_said():
    said = "seed 3: ok\ntried 3 kills: found 0 lost\n0.2 s, and 4 recordings passed\n"
    assert last_line(said) == "tried 3 kills: found 0 lost"
    assert last_line("Traceback\nValueError: x\n") == "ValueError: x"
    assert last_line("") == "said nothing"


def test_losses_are_told_apart_and_counted_even_where_there_are_none():
    broken = [
        "python -m x\n    I6 bytes: key: SHA-256 a read back, b in the catalog",
        "I1 left behind: r1: listed",
        "drain: sync: late",
    ]
    assert tried("2 kills", broken) == "tried 2 kills: found 1 lost, 0 duplicates, 1 wrong bytes, 0 orphans, 1 other"
    assert tried("2 kills", []).endswith("found 0 lost, 0 duplicates, 0 wrong bytes, 0 orphans, 0 other")


@pytest.mark.parametrize("campaign", CAMPAIGNS, ids=lambda campaign: campaign.name)
def test_every_campaign_is_a_module_or_tests_that_are_there(campaign):
    _m, module, *words = campaign.words
    assert importlib.util.find_spec(module) is not None
    assert all((TOP / word).exists() for word in words if word.startswith("tests/"))
    assert [other.name for other in CAMPAIGNS].count(campaign.name) == 1


def a_campaign(name, code, limit=30):
    return Campaign(name, "says something", ("-c", code), limit)


def test_outcomes_come_in_the_order_of_the_table_and_one_that_fails_or_hangs_has_not_held(capsys):
    campaigns = [
        a_campaign("slow", "import time; time.sleep(0.3); print('tried 1: found 0')"),
        a_campaign("broken", "raise SystemExit('tried 2: found 2')"),
        a_campaign("hangs", "print('so far', flush=True); import time; time.sleep(60)", limit=0.5),
    ]
    outcomes = spread(campaigns, {"PATH": ""}, jobs=3)
    assert [(it.campaign.name, it.held) for it in outcomes] == [("slow", True), ("broken", False), ("hangs", False)]
    assert outcomes[1].last == "tried 2: found 2"
    assert outcomes[2].last.startswith("not done in 0.5 s")
    assert "broken: BROKEN" in capsys.readouterr().out


WHOLE = {"at": "2026-11-20", "commit": "abc", "seconds": 90.0, "cores": 2, "cpu": 120.0}


def test_a_row_that_no_campaign_hit_is_named_on_the_page():
    applying = [row for row in Row if row not in ELSEWHERE]
    counts = {"one": Counter(applying[:-1])}
    (missed,) = unreached(counts)
    outcome = Outcome(CAMPAIGNS[0], held=True, seconds=61.0, last="tried 5 | 6: found 0")
    text = page(recorded({"whole": WHOLE}, [outcome], counts, {"at": "2026-11-20", "commit": "abc"}))
    assert f"Applying and never hit: {missed.value}." in text
    assert f"| {missed.value} | 0 |" in text
    assert "tried 5 / 6: found 0" in text
    assert f"`{CAMPAIGNS[0].command}`" in text
    assert "Run again" not in text


def test_a_campaign_that_was_run_again_alone_is_named_with_its_commit_and_the_others_stand():
    first, second = (Outcome(each, held=False, seconds=1.0, last="tried 1: found 1") for each in CAMPAIGNS[:2])
    before = recorded({"whole": WHOLE}, [first, second], {"x": Counter({Row.KILL: 2})}, {"at": "2026-11-20", "commit": "abc"})
    again = Outcome(CAMPAIGNS[0], held=True, seconds=2.0, last="tried 1: found 0")
    text = page(recorded(before, [again], {}, {"at": "2026-11-21", "commit": "def"}))
    assert f"Run again since, alone: {CAMPAIGNS[0].name} (2026-11-21, def)." in text
    assert "1 of 2 campaigns held" in text
    assert f"| {Row.KILL.value} | 2 |" in text


def test_the_page_is_made_of_what_is_recorded():
    assert PAGE.read_text() == page(json.loads(RECORD.read_text()))


def test_the_readme_quotes_what_is_recorded():
    assert quoted(json.loads(RECORD.read_text())) in " ".join((TOP / "README.md").read_text().split())


def test_the_page_stands_where_the_readme_says():
    assert (TOP / "docs" / "campaign.md").is_file()
