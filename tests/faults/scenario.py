"""What a seed of the simulation decides before anything happens."""

import random
from dataclasses import dataclass

from tests.faults.lives import DAY, HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What a seed decides before anything happens."""

    seed: int
    days: float
    hosts: int
    sources: tuple[str, ...]
    poll_every: float
    per_day: float
    page_size: int
    level: float  # chance that a request fails, in each of the ways there are
    lifetime: float  # seconds between kills of a host, on average
    poor_store: bool

    @classmethod
    def of(cls, seed, days):
        rng = random.Random(f"scenario {seed}")
        return cls(
            seed=seed,
            days=days,
            hosts=rng.choice((1, 2, 2, 3)),
            sources=("rooms", "video")[: rng.randint(1, 2)],
            poll_every=rng.choice((4.0, 6.0, 8.0)) * HOUR,
            per_day=rng.choice((2.0, 4.0, 8.0)),
            page_size=rng.choice((4, 250)),
            level=rng.choice((0.002, 0.01, 0.03)),
            lifetime=rng.choice((3.0, 8.0, 24.0)) * HOUR,
            poor_store=rng.random() < 0.3,
        )

    @classmethod
    def year(cls, seed):
        return cls(
            seed=seed,
            days=366.0,
            hosts=2,
            sources=("rooms",),
            poll_every=HOUR,
            per_day=8.0,
            page_size=250,
            level=0.0005,
            lifetime=4 * DAY,
            poor_store=False,
        )

    @property
    def command(self):
        """Repeats it."""
        how = "--year" if self.days > 365 else f"--days {self.days:g}"
        return f"python -m tests.faults.simulation --seed {self.seed} {how}"
