"""`explain`: why a recording is in its state, and until when it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from archiver.app import App, open_app
from archiver.catalog import listing
from archiver.catalog.candidates import CANDIDATE, candidates
from archiver.cli import exits
from archiver.cli.running import Stop, run_command
from archiver.cli.tables import rounded_size, say, say_json, visible
from archiver.domain import errors
from archiver.domain.recording import State
from archiver.domain.retention import counted_from, instant, retention
from archiver.policies import policies

if TYPE_CHECKING:
    from datetime import datetime

    from archiver.cli.context import Invocation
    from archiver.domain.plan import Candidate
    from archiver.domain.ports import StoredObject

HELD = (State.STORED, State.VERIFIED, State.DAMAGED, State.EXPIRING)
LAST_LINES = 12  # of the history on the screen; `show` has all of it


@click.command("explain")
@click.argument("recording", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def explain(invocation: Invocation, /, recording: str, *, as_json: bool) -> None:
    """Tell why a recording is in its state and until when it is kept, with its lock as the store reports it now."""
    settings = invocation.settings(need_sources=False)

    async def main(_stop: Stop) -> int:
        async with open_app(settings, command="explain", providers=False, probe=False) as app:
            found = await reasons(app, recording)
        if as_json:
            say_json(found)
        else:
            tell(found)
        return exits.DONE

    click.get_current_context().exit(run_command(main))


async def reasons(app: App, recording: str) -> dict[str, Any]:
    """`archiver.explain/1`; raises UsageError for an unknown or ambiguous ID."""
    now = await app.database.now()
    async with app.database.read() as conn:
        shown = await listing.show(conn, recording, app.storage.full_key)
        name = f"{shown['source']}/{shown['recording_id']}"
        pk = (await listing.find(conn, name)).id
        rows = (await conn.execute(CANDIDATE.where(CANDIDATE.selected_columns.recording_pk == pk))).all()
        subjects = await candidates(conn, rows)
    keys = {row.name: (row.key, row.version_id) for row in rows}
    parts = [await _rendition(app, one, *keys[one.rendition], now=now) for one in subjects]
    for part in parts:
        part["history"] = [line for line in shown["history"] if line["rendition"] in ("", part["rendition"])]
        part["error"] = next(item["error"] for item in shown["renditions"] if item["rendition"] == part["rendition"])
    return {
        "schema": "archiver.explain/1",
        "source": shown["source"],
        "recording_id": shown["recording_id"],
        "provider_status": shown["provider_status"],
        "ended_at": shown["ended_at"],
        "renditions": parts,
    }


async def _rendition(app: App, one: Candidate, key: str, version_id: str, *, now: datetime) -> dict[str, Any]:
    kept = retention(one, policies(app.settings), now=now)
    start, what = counted_from(one, now=now)
    store = await _store(app, key, version_id) if key and one.state in HELD else None
    locked = store.retain_until if isinstance(store, _Seen) else None
    lawful, because = earliest(one, kept.until, locked)
    return {
        "rendition": one.rendition,
        "state": one.state.value,
        "policy": kept.policy or None,
        "policy_fingerprint": kept.fingerprint or None,
        "why": kept.why,
        "clock": {"from": instant(start), "is": what},
        "keep_until": None if kept.until is None else instant(kept.until),
        "decided": {"policy": one.policy, "retain_until": None if one.retain_until is None else instant(one.retain_until)},
        "holds": list(one.holds),
        "erasure": one.erasure or None,
        "store": None if store is None else store.document(),
        "earliest_lawful_deletion": lawful,
        "because": because,
    }


class _Seen:
    """What the store says of an object now, or why it says nothing."""

    def __init__(self, found: StoredObject | None, problem: str = "") -> None:
        self.retain_until = found.retain_until if found else None
        self._found = found
        self._problem = problem

    def document(self) -> dict[str, Any]:
        """The same as JSON."""
        if self._found is None:
            return {"problem": self._problem}
        until = self._found.retain_until
        return {
            "size": self._found.size,
            "lock_mode": self._found.lock_mode.lower() or None,
            "retain_until": None if until is None else instant(until),
            "legal_hold": self._found.legal_hold,
        }


async def _store(app: App, key: str, version_id: str) -> _Seen:
    try:
        return _Seen(await app.storage.head(key, version_id))
    except errors.StorageError as error:
        return _Seen(None, str(error))


def earliest(one: Candidate, until: datetime | None, locked: datetime | None) -> tuple[str | None, str]:
    """The first instant at which deleting would be lawful, None where there is none, and why."""
    if one.state not in HELD:
        return None, f"nothing of it is in the archive: it is {one.state}"
    if one.holds:
        return None, f"held by {', '.join(one.holds)}: never while a hold is in force"
    ends = [end for end in (until, one.retain_until, locked) if end is not None]
    if until is None:
        return None, "no policy matches: kept for ever"
    last = max(ends)
    if locked is not None and last == locked and locked > until:
        return instant(last), "the store's lock ends later than the policy's period"
    return instant(last), "the end of the policy's period and of every lock"


def tell(found: dict[str, Any]) -> None:
    """One screen for people."""
    say(f"{found['source']}/{visible(found['recording_id'])}")
    say(f"  at the provider: {found['provider_status']}, ended {found['ended_at'] or 'at an unknown time'}")
    for part in found["renditions"]:
        say(f"\n{part['rendition']}: {part['state']}" + (f" ({visible(part['error'])})" if part["error"] else ""))
        say(f"  policy: {part['why']}")
        say(f"  kept until: {part['keep_until'] or 'for ever'}, counted from {part['clock']['is']} {part['clock']['from']}")
        say(
            f"  holds: {', '.join(map(visible, part['holds'])) or 'none'}"
            + (f"; erasure: {part['erasure']}" if part["erasure"] else "")
        )
        say(f"  in the store now: {_stored(part['store'])}")
        say(f"  earliest lawful deletion: {part['earliest_lawful_deletion'] or 'none'}: {part['because']}")
        for line in part["history"][-LAST_LINES:]:
            step = f"{line['from']} → {line['to']}" if line["from"] != line["to"] else line["to"]
            say(f"  {line['at']}  {line['event']:<16} {step:<24} {visible(line['reason'])}".rstrip())


def _stored(store: dict[str, Any] | None) -> str:
    if store is None:
        return "nothing"
    if "problem" in store:
        return visible(store["problem"])
    lock = f"{store['lock_mode']} lock until {store['retain_until']}" if store["lock_mode"] else "not locked"
    return f"{rounded_size(store['size'])}, {lock}" + (", legal hold" if store["legal_hold"] else "")
