"""What a broken law looks like; the laws themselves stand in reliability.md, section 2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One thing that breaks one law."""

    law: str
    thing: str
    says: str

    def __str__(self) -> str:
        return f"{self.law}: {self.thing}: {self.says}"


def compare(
    expected: Mapping[tuple[str, str], int],
    found: Mapping[tuple[str, str], int],
    *,
    known: Iterable[str] = (),
    ignore: Iterable[str] = ("_",),
) -> list[Violation]:
    """Objects the catalog names (by key and version) against those in the archive, with their sizes in bytes.

    Under a key of `known` an object may stand and need not. A key whose first segment begins with one of `ignore` is not media.
    Where the catalog knows no version, any one serves.
    """
    skipped = tuple(ignore)
    by_key = {key: size for (key, _version), size in found.items()}
    violations = []
    for (key, version), size in expected.items():
        actual = found.get((key, version)) if version else by_key.get(key)
        if actual is None:
            violations.append(Violation(law="I6 missing", thing=key, says="in the catalog, not in the archive"))
        elif actual != size:
            violations.append(Violation(law="I6 size", thing=key, says=f"{actual} bytes in the archive, {size} in the catalog"))
    accounted = {*known, *(key for key, _version in expected)}
    for key, version in found:
        if key not in accounted and not key.startswith(skipped) and not key.endswith(".meta.json"):
            violations.append(
                Violation(
                    law="I8 untracked", thing=key, says=f"in the archive{f' as {version}' if version else ''}, not in the catalog"
                )
            )
    return violations
