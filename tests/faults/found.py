"""How a campaign ends: one line of what it tried and what it found, the kinds of loss told apart even where there are none."""

from collections.abc import Iterable

# kind of loss: how the laws begin that tell of it (invariants.py); what is none of them is counted as "other".
LOSSES = {
    "lost": ("I1 ", "I2", "I6 missing", "I16", "ending"),
    "duplicates": ("I8", "I21 stored once"),
    "wrong bytes": ("I6 bytes", "I6 truth", "I6 size", "I6"),
    "orphans": ("I18",),
}


def tried(what: str, violations: Iterable[str]) -> str:
    """The line: `tried 500 kills: found 0 lost, 0 duplicates, 0 wrong bytes, 0 orphans, 0 other`.

    A violation is a text whose last line says the law, as `str(Violation)` and the campaigns print it.
    """
    counts = dict.fromkeys([*LOSSES, "other"], 0)
    for text in violations:
        counts[kind(text)] += 1
    return f"tried {what}: found {', '.join(f'{n} {name}' for name, n in counts.items())}"


def kind(text: str) -> str:
    """Which loss a violation is."""
    said = text.strip().splitlines()[-1].strip()
    return next((name for name, laws in LOSSES.items() if said.startswith(laws)), "other")
