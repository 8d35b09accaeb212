"""What the program can say is explained: states, events, exit codes, metrics, alerts, kinds of errors."""

import ast
import inspect
import json
import re

from archiver.cli import exits
from archiver.domain import errors
from archiver.domain.lifecycle import Event
from archiver.domain.recording import ProviderStatus, State
from archiver.pipeline.pump import LOGGED
from archiver.telemetry import Metrics
from tests.docs.pages import ROOT, page, rows, section
from tests.docs.plain_yaml import documents

# contract.md, section 6
CONTRACT = {
    "recordings", "oldest_unarchived_seconds", "last_complete_pass_timestamp_seconds", "transfers_total", "transfer_bytes_total",
    "transfer_duration_seconds", "provider_requests_total", "provider_ratelimit_remaining", "lateness_seconds", "lost_total",
    "fixity_checked_total", "ledger_sealed_timestamp_seconds", "scheduler_missed_total", "inflight_transfers", "build_info",
}  # fmt: skip
_METRIC = re.compile(r"\barchiver_[a-z_]+")
_OF_HISTOGRAMS = re.compile(r"_(bucket|sum|count)$")
_LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
OPERATIONS = page("docs/operations.md")


def named_metrics(text):
    return {_OF_HISTOGRAMS.sub("", name) for name in _METRIC.findall(text)}


def exported():
    text = Metrics(version="0", sources=["s"]).exposition().decode()
    found = set(re.findall(r"^# TYPE (archiver_\w+)", text, re.MULTILINE))
    return found | {name.removeprefix("archiver_") for name in found}


def trees():
    return [ast.parse(path.read_text()) for path in sorted((ROOT / "archiver").rglob("*.py")) if "simulator" not in path.parts]


def calls():
    return [node for tree in trees() for node in ast.walk(tree) if isinstance(node, ast.Call)]


def logged_events():
    """Every event that the code names; those of the pump come from its table."""
    found = set(LOGGED.values())
    for call in calls():
        of = call.func.value if isinstance(call.func, ast.Attribute) and call.func.attr in _LEVELS else None
        name = of.id if isinstance(of, ast.Name) else of.attr if isinstance(of, ast.Attribute) else ""
        if name in {"log", "_log"} and call.args and isinstance(call.args[0], ast.Constant):
            found.add(call.args[0].value)
    return found


def test_every_state_is_explained_with_what_to_do():
    cells = [row[0] for row in rows(section(OPERATIONS.text, "States"))]
    assert {name for cell in cells for name in re.findall(r"`(\w+)`", cell)} == set(State)


def test_every_event_of_the_history_and_every_provider_status_is_named():
    text = section(OPERATIONS.text, "States") + section(OPERATIONS.text, "Other lines of the history")
    written = {
        keyword.value.value
        for call in calls()
        if isinstance(call.func, ast.Name) and call.func.id == "Change"
        for keyword in call.keywords
        if keyword.arg == "event" and isinstance(keyword.value, ast.Constant)
    }
    assert {name for name in {*Event, *written, *ProviderStatus} if f"`{name}`" not in text} == set()


def test_no_event_of_the_history_is_named_that_nothing_writes():
    told = {
        name for row in rows(section(OPERATIONS.text, "Other lines of the history")) for name in re.findall(r"`(\w+)`", row[0])
    }
    source = "\n".join(path.read_text() for path in (ROOT / "archiver" / "catalog").rglob("*.py"))
    assert len(told) > 15
    assert {name for name in told if f'"{name}"' not in source} == set()


def jobs():
    """The daemon's periodic jobs: whatever is given to `_repeating` and `every` by name."""
    named = {}
    for call in calls():
        if isinstance(call.func, ast.Attribute) and call.func.attr in {"_repeating", "every"} and call.args:
            first = call.args[0]
            if isinstance(first, ast.Constant):
                named[first.value] = True
            elif isinstance(first, ast.JoinedStr):
                named[first.values[0].value + "<source>"] = True
    return set(named)


def test_every_periodic_job_is_explained_and_no_other():
    told = {name for row in rows(section(OPERATIONS.text, "Periodic jobs")) for name in re.findall(r"`([a-z:<>]+)`", row[0])}
    assert told == jobs()


def test_every_log_event_is_explained():
    explained = {name for row in rows(section(OPERATIONS.text, "Log events")) for name in re.findall(r"`(\w+)`", row[0])}
    assert len(logged_events()) > 40
    assert logged_events() - explained == set(), "explain them in docs/operations.md, Log events"


def test_no_log_event_is_explained_that_nothing_says():
    explained = {name for row in rows(section(OPERATIONS.text, "Log events")) for name in re.findall(r"`(\w+)`", row[0])}
    source = "\n".join(path.read_text() for path in (ROOT / "archiver").rglob("*.py"))
    assert {name for name in explained if f'"{name}"' not in source} == set()


def test_every_exit_code_is_explained_in_full_and_in_short():
    codes = {str(value) for name, value in vars(exits).items() if name.isupper() and type(value) is int} | {"130", "143"}
    full = {code for row in rows(section(OPERATIONS.text, "Exit codes")) for code in re.findall(r"\d+", row[0])}
    short = set(re.findall(r"\d+", section(page("README.md").text, "Exit codes")))
    assert full == codes
    assert codes <= short


def test_the_order_of_exit_codes_is_the_one_that_is_told():
    told = re.search(r"Of several the first of ([\d, ]+)\.", OPERATIONS.text)[1]
    assert tuple(int(code) for code in told.split(", ")) == exits.ORDER


def test_kinds_of_failures_that_are_explained_are_errors_of_ours():
    kinds = {
        name for row in rows(section(OPERATIONS.text, "Reasons of failures")) for name in re.findall(r"`([A-Z]\w+)`", row[0])
    }
    ours = {name for name, value in inspect.getmembers(errors, inspect.isclass)}
    assert len(kinds) > 8
    assert kinds <= ours


def test_every_metric_is_the_contract_s_and_is_explained():
    explained = named_metrics(section(OPERATIONS.text, "Metrics"))
    assert explained == {f"archiver_{name}" for name in CONTRACT}
    assert explained <= exported()


def test_alerts_and_dashboard_ask_for_metrics_that_exist():
    for name in ("alerts.yml", "grafana-dashboard.json"):
        asked = named_metrics((ROOT / "config" / name).read_text())
        assert len(asked) > 8
        assert asked <= {f"archiver_{metric}" for metric in CONTRACT} & exported()


def rules():
    (found,) = documents((ROOT / "config" / "alerts.yml").read_text())
    return [rule for group in found["groups"] for rule in group["rules"]]


def test_every_alert_is_explained_and_no_other():
    explained = {name for row in rows(section(OPERATIONS.text, "Alerts")) for name in re.findall(r"\bArchiver[A-Z]\w+", row[0])}
    assert {rule["alert"] for rule in rules()} == explained


def test_every_alert_has_what_an_alert_needs():
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for rule in rules():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"]
        assert re.fullmatch(r"\d+m", rule.get("for", "0m"))


def expressions():
    boards = json.loads((ROOT / "config" / "grafana-dashboard.json").read_text())["panels"]
    return [rule["expr"] for rule in rules()] + [target["expr"] for panel in boards for target in panel["targets"]]


def test_every_expression_is_closed_and_names_states_that_exist():
    for text in expressions():
        bare = re.sub(r'"[^"]*"', '""', text)
        for opening, closing in ("()", "{}", "[]"):
            assert bare.count(opening) == bare.count(closing), text
        assert set(re.findall(r'\bstate="(\w+)"', text)) <= set(State)


def test_every_label_in_an_expression_is_one_that_its_metric_has():
    labels = {"recordings": {"source", "state"}, "provider_requests_total": {"source", "endpoint", "code"}}
    labels |= {"fixity_checked_total": {"result"}, "transfers_total": {"source", "result"}}
    for text in expressions():
        for name, matchers in re.findall(r"\barchiver_([a-z_]+)\{([^}]*)\}", text):
            asked = set(re.findall(r"(\w+)\s*[=!]", re.sub(r'"[^"]*"', "", matchers)))
            assert asked <= labels.get(name, {"source"}), text
