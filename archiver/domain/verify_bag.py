"""Checks an evidence bag with nothing but Python's standard library: every file, the history's chain, the signature.

    python3 verify.py [BAG]

It prints what it checked and ends with 0 when everything holds, 1 when anything does not. It is one file on purpose, so that it
can be read before it is believed: the Ed25519 below is the plain arithmetic of RFC 8032, which is slow and easy to check.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

CHUNK = 1024 * 1024

# -- Ed25519 (RFC 8032, section 6) ---------------------------------------------------------------------------------------

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)
Point = tuple[int, int, int, int]


def _add(a: Point, b: Point) -> Point:
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    x, y, z, t = f - e, h - g, h + g, f + e
    return (x * y % P, z * t % P, y * z % P, x * t % P)


def _multiply(scalar: int, point: Point) -> Point:
    result: Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point = _add(point, point)
        scalar >>= 1
    return result


def _decode(data: bytes) -> Point | None:
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if square == 0:
        return None if sign else (0, y, 1, 0)
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P:
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


_BASE_Y = 4 * pow(5, P - 2, P) % P
_BASE = _decode(_BASE_Y.to_bytes(32, "little"))


def signature_holds(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether an Ed25519 signature is by this key over this message."""
    if len(public_key) != 32 or len(signature) != 64 or _BASE is None:
        return False
    key, commitment = _decode(public_key), _decode(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or commitment is None or scalar >= Q:
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + public_key + message).digest(), "little") % Q
    left, right = _multiply(scalar, _BASE), _add(commitment, _multiply(challenge, key))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


# -- canonical JSON (RFC 8785), as far as our documents go: no floating point, no keys beyond the BMP ------------------------


def canonical(value: Any) -> bytes:
    """The one way to write a document down."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode("utf-8", "surrogatepass")


# -- the checks ------------------------------------------------------------------------------------------------------------


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def check_manifests(bag: Path) -> list[str]:
    """Every file is there, unchanged, and no other."""
    problems = []
    for name, prefix in (("manifest-sha256.txt", "data/"), ("tagmanifest-sha256.txt", "")):
        listed: dict[str, str] = {}
        try:
            lines = (bag / name).read_text(encoding="utf-8").splitlines()
        except OSError as error:
            problems.append(f"{name}: {error.strerror}")
            continue
        for line in lines:
            digest, _, path = line.partition("  ")
            listed[path.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")] = digest
        for path, digest in listed.items():
            target = bag / path
            if ".." in Path(path).parts or target.is_symlink() or not target.is_file():
                problems.append(f"{name}: {path} is missing")
            elif sha256_of(target) != digest:
                problems.append(f"{name}: {path} was changed")
        if prefix:
            there = {item.relative_to(bag).as_posix() for item in (bag / "data").rglob("*") if not item.is_dir()}
            problems += [f"{name}: {path} is not listed" for path in sorted(there - set(listed))]
    return problems


def check_chain(bag: Path) -> tuple[list[str], list[dict[str, Any]], dict[int, str]]:
    """The history: each piece names the SHA-256 of the one before, lines are numbered without a gap.

    Returns problems, all events, and the SHA-256 of each piece by its number.
    """
    problems: list[str] = []
    events: list[dict[str, Any]] = []
    heads: dict[int, str] = {}
    previous, next_seq, next_segment = "", 1, 1
    for path in sorted((bag / "data" / "ledger").glob("*.jsonl")):
        lines = path.read_bytes().split(b"\n")
        try:
            head, *rest = [json.loads(line) for line in lines if line]
        except ValueError:
            problems.append(f"{path.name}: not JSON lines")
            continue
        if any(canonical(item) != line for item, line in zip([head, *rest], [line for line in lines if line], strict=True)):
            problems.append(f"{path.name}: a line is not in canonical form")
        if head.get("segment") != next_segment:
            problems.append(f"{path.name}: is piece {head.get('segment')}, piece {next_segment} was expected")
        if head.get("previous_sha256") != previous:
            problems.append(f"{path.name}: does not follow the piece before it")
        if [item.get("seq") for item in rest] != list(range(next_seq, next_seq + len(rest))):
            problems.append(f"{path.name}: its lines are not numbered from {next_seq} without a gap")
        if (head.get("count"), head.get("last_seq")) != (len(rest), next_seq + len(rest) - 1):
            problems.append(f"{path.name}: its first line announces other lines than it has")
        previous = hashlib.sha256(b"\n".join(lines)).hexdigest()
        heads[next_segment] = previous
        next_seq += len(rest)
        next_segment += 1
        events += rest
    return problems, events, heads


def check_recordings(bag: Path, events: list[dict[str, Any]]) -> list[str]:
    """Every media file is the one that the history says was stored and verified."""
    problems = []
    proved = {
        (event.get("source"), event.get("recording_id"), event.get("rendition"), (event.get("data") or {}).get("sha256"))
        for event in events
        if event.get("event") in ("stored", "verified")
    }
    for path in sorted((bag / "data" / "recordings").rglob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        for rendition in record.get("renditions", []):
            media = bag / "data" / "media" / rendition["key"]
            who = f"{record['source']}/{record['recording_id']} {rendition['rendition']}"
            if not media.is_file():
                problems.append(f"{who}: its media {rendition['key']} is not in the bag")
            elif sha256_of(media) != rendition["sha256"]:
                problems.append(f"{who}: its media is not what the catalog says")
            if (record["source"], record["recording_id"], rendition["rendition"], rendition["sha256"]) not in proved:
                problems.append(f"{who}: no sealed line of the history says that these bytes were stored")
    return problems


def check_attestation(bag: Path, heads: dict[int, str]) -> tuple[list[str], str]:
    """The statement's signature, and that it is chained to this history. Returns problems and a line about it."""
    path = bag / "data" / "attestation.json"
    if not path.exists():
        return [], "no attestation in the bag"
    statement = json.loads(path.read_text(encoding="utf-8"))
    problems = []
    signed = canonical({name: value for name, value in statement.items() if name != "signature"})
    try:
        key, signature = (base64.b64decode(statement[name], validate=True) for name in ("public_key", "signature"))
        holds = signature_holds(key, signed, signature)
    except (KeyError, ValueError):
        holds = False
    if not holds:
        problems.append("attestation.json: the signature does not hold")
    head = statement.get("ledger_head") or {}
    if head and heads.get(int(head["segment"])) != head["sha256"]:
        problems.append("attestation.json: is chained to another history than the one in the bag")
    return problems, f"attestation signed by {statement.get('public_key')}"


def check(bag: Path) -> tuple[list[str], list[str]]:
    """All checks; returns problems and what can be said."""
    problems = check_manifests(bag)
    said: list[str] = []
    try:
        chain, events, heads = check_chain(bag)
        problems += chain
        problems += check_recordings(bag, events)
        statement, line = check_attestation(bag, heads)
        problems += statement
        said += [f"history: {len(events)} lines in {len(heads)} pieces", line]
    except (OSError, ValueError, KeyError, TypeError) as error:
        problems.append(f"the bag cannot be read: {type(error).__name__}: {error}")
    return problems, said


def main(words: list[str]) -> int:
    """Checks the bag named, or the one this file lies in."""
    bag = Path(words[0]) if words else Path(__file__).resolve().parent
    problems, said = check(bag)
    for line in said:
        print(line)  # noqa: T201 -- a script for people
    for problem in problems:
        print(f"PROBLEM: {problem}")  # noqa: T201 -- a script for people
    print("everything holds" if not problems else f"{len(problems)} problems")  # noqa: T201 -- a script for people
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
