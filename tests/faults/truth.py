"""What the providers ever listed and ever held: the other side of every comparison of a campaign."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass
class Truth:
    """What the providers ever listed, and every content a rendition ever had, under the names of the configured sources.

    `names` maps the simulator's sources to configured ones where they differ. A content is a `MediaFile` or a hex digest.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    listed: set[tuple[str, str]] = field(default_factory=set)
    contents: dict[tuple[str, str, str], list[Any]] = field(default_factory=lambda: defaultdict(list))
    worlds: list[Any] = field(default_factory=list)

    def see(self, world: Any, *, at: datetime | None = None) -> None:
        """Takes in a simulated world as it is now; listed counts what was so `at` that instant (now, where not given)."""
        moment = at or world.now()
        if world not in self.worlds:
            self.worlds.append(world)
        for item in world.recordings.values():
            source = self.names.get(str(item.source), str(item.source))
            if item.is_listed(moment):
                self.listed.add((source, item.id))
            for rendition, media in item.media.items():
                self._content((source, item.id, rendition), media)

    def add(self, source: str, recording_id: str, rendition: str, *bodies: bytes) -> None:
        """Takes in one rendition of a fake provider that was listed, with every content it had so far."""
        self.listed.add((source, recording_id))
        for body in bodies:
            self._content((source, recording_id, rendition), hashlib.sha256(body).hexdigest())

    def _content(self, key: tuple[str, str, str], content: Any) -> None:
        if content not in self.contents[key]:
            self.contents[key].append(content)

    def digests(self, key: tuple[str, str, str]) -> set[str]:
        """The SHA-256, in hex, of everything this rendition ever was."""
        return {content if isinstance(content, str) else content.sha256 for content in self.contents[key]}
