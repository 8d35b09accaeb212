"""The catalog as it should be, in plain Python: one dictionary, no SQL, no lifecycle table; written from contract.md and ports' words.

Every method is one step of the catalog's port, and changes the model as the step must change the catalog.
"""

from dataclasses import dataclass, field
from datetime import timedelta

LEASE = timedelta(seconds=45)
LIVE, RETRY = 0, 1
DONE = "completed"


@dataclass
class Rendition:
    """One recording with its one rendition."""

    facts: tuple  # of the listing it was last taken from
    status: str
    content: tuple | None
    state: str
    due: object
    revision: int = 0
    attempts: int = 0
    priority: int = LIVE
    gone: int = 0
    worker: str = ""
    lease: object = None
    digest: str = ""
    key: str = ""
    upload: str = ""
    change: tuple = ()  # the outcome that was applied last: worker, revision, event
    earlier: int = 0  # objects that other content has replaced
    history: list = field(default_factory=list)

    def step(self, state, event):
        self.state = state
        self.revision += 1
        self.history.append(event)


class Model:
    """Renditions by recording id, and what each worker remembers to hold."""

    def __init__(self):
        self.renditions = {}
        self.held = {}
        self.leases = {}

    # -- listing

    def listed(self, recording_id, facts, status, content, *, external, now):
        """`content` is what the listing says of the bytes; it counts for a completed recording only."""
        content = content if status == DONE else None
        r = self.renditions.get(recording_id)
        if r is None:
            first = {"deleted": "lost", "failed": "unavailable", DONE: "external" if external else "due"}.get(status, "waiting")
            r = Rendition(facts=facts, status=status, content=content, state=first, due=now, history=["discovered"])
            self.renditions[recording_id] = r
            return
        if status == "deleted" or (facts == r.facts and not r.gone and status == r.status):
            return
        other = (r.content is not None or r.status == "failed") and content is not None and content != r.content
        if other and r.state == "transferring":
            other = False  # what is on its way may be the old bytes: noticed when they are here
        else:
            r.facts, r.content = facts, content or r.content
        r.status, r.gone = status, 0
        event, state = self._meaning(r.state, status, external=external, other=other)
        if event:
            r.step(state, event)
            r.due, r.attempts, r.priority, r.worker = now, 0, LIVE, ""

    @staticmethod
    def _meaning(state, status, *, external, other):
        if status == "failed" and state in ("waiting", "due"):
            return "unavailable", "unavailable"
        if status != DONE:
            return None, state
        if state == "waiting":
            return ("external", "external") if external else ("completed", "due")
        if state == "lost" or (state == "external" and not external) or (other and state == "unavailable"):
            return "reappeared", "due"
        if other and state in ("stored", "verified", "damaged"):
            return "content_changed", "due"
        return None, state

    def gone(self, recording_id, looks):
        """Whether that was the look that decides."""
        r = self.renditions.get(recording_id)
        if r is None or r.status == "deleted":
            return False
        r.gone += looks
        if r.gone < 2:
            return False
        r.status = "deleted"
        if r.state in ("waiting", "due", "failed"):
            r.step("lost", "lost")
            r.worker = ""
        elif r.state in ("stored", "verified", "damaged"):
            r.history.append("provider_deleted")
        return True

    # -- work

    def over(self, now, worker):
        """Ids of claims that nobody renewed, longest over first, as far as `worker` may take them."""
        late = [(r.lease, key) for key, r in self.renditions.items() if r.state == "transferring" and r.lease < now]
        return [key for _lease, key in sorted(late) if not self.under_way(key, worker)]

    def unverified(self, now, worker):
        """Ids of what is stored and waits to be verified, as far as `worker` may take it."""
        waiting = {key for key, r in self.renditions.items() if r.state == "stored" and r.due <= now}
        return {key for key in waiting if not self.under_way(key, worker)}

    def under_way(self, recording_id, worker):
        """Whether a worker is still at it, and nobody took it: it begins nothing again that it has not let go of."""
        return self.renditions[recording_id].worker == worker and recording_id in self.held.get(worker, {})

    def let_go(self, recording_id, revision, worker):
        """The worker came to an end with it; a later claim of the same has not."""
        held = self.held.get(worker, {})
        if revision >= held.get(recording_id, revision):
            held.pop(recording_id, None)

    def due(self, now):
        """Ids by priority of what may be claimed."""
        found = {}
        for key, r in self.renditions.items():
            if r.state == "due" and r.due <= now:
                found.setdefault(r.priority, set()).add(key)
        return found

    def claimed(self, recording_id, worker, now):
        r = self.renditions[recording_id]
        r.step("transferring", "claimed")
        r.worker, r.lease = worker, now + LEASE
        self.held.setdefault(worker, {})[recording_id] = r.revision

    def checking(self, recording_id, worker, now):
        r = self.renditions[recording_id]
        r.revision += 1
        r.worker, r.due = worker, now + LEASE
        self.held.setdefault(worker, {})[recording_id] = r.revision

    def heartbeat(self, worker, now):
        for key in self.held.get(worker, ()):
            r = self.renditions[key]
            if r.worker == worker and r.state == "transferring":
                r.lease = now + LEASE
            elif r.worker == worker and r.state == "stored":
                r.due = now + LEASE

    def noted(self, recording_id, revision, upload, worker):
        """Whether an upload could be noted."""
        r = self.renditions[recording_id]
        if r.revision != revision:
            self.let_go(recording_id, revision, worker)
            return False
        r.revision += 1
        r.upload = upload
        return True

    def handed_back(self, worker, now):
        """How many claims came back."""
        count = 0
        for r in self.renditions.values():
            if r.worker == worker and r.state == "transferring":
                r.step("due", "released")
                r.due, r.worker, r.lease = now, "", None
                count += 1
            elif r.worker == worker and r.state == "stored":
                r.revision += 1
                r.due, r.worker = now, ""
        self.held.pop(worker, None)
        return count

    def saved(self, outcome, worker, now):
        """Whether the catalog took it, now or when it was asked before."""
        entry, event = outcome.entry, outcome.event.value
        r = self.renditions[entry.recording_id]
        self.let_go(entry.recording_id, entry.revision, worker)
        mark = (worker, entry.revision, event)
        if r.revision != entry.revision:
            return r.change == mark
        state = {"stored": "stored", "verified": "verified", "damaged": "damaged", "failed": "failed", "lost": "lost"}.get(event)
        state = (
            state or {"unavailable": "unavailable", "retry_scheduled": "due" if r.state == "transferring" else "stored"}[event]
        )
        r.step(state, event)
        r.change, r.worker, r.lease, r.due = mark, "", None, now + outcome.delay
        if event in ("stored", "verified"):
            r.attempts = 0
        else:
            r.attempts += outcome.counts
            r.priority = max(r.priority, RETRY)
        if event != "retry_scheduled":
            r.upload = ""
        if event == "stored":
            r.earlier += bool(r.digest) and r.key != outcome.facts["key"]
            r.digest, r.key = outcome.facts["sha256"], outcome.facts["key"]
        r.gone = r.gone + 1 if outcome.gone else 0 if entry.gone_looks else r.gone
        if event == "lost":
            r.status = "deleted"
        return True

    def retried(self, ids, now):
        """How many an operator puts back of those named."""
        again = [self.renditions[key] for key in ids if self.renditions[key].state in ("failed", "unavailable", "lost")]
        for r in again:
            r.step("due", "retried")
            r.attempts, r.due, r.priority, r.worker, r.lease = 0, now, LIVE, "", None
        return len(again)

    # -- leases

    def acquired(self, name, worker, now, seconds):
        holder, until = self.leases.get(name, ("", now))
        if holder not in ("", worker) and until >= now:
            return False
        self.leases[name] = (worker, now + timedelta(seconds=seconds))
        return True

    def surrendered(self, name, worker):
        if self.leases.get(name, ("",))[0] == worker:
            del self.leases[name]

    def buried(self, worker):
        """The kernel told that it is dead: its leases are free."""
        self.leases = {name: held for name, held in self.leases.items() if held[0] != worker}
