"""A folder archive killed at every step: `python -m tests.storage.kill_sweep FOLDER` prints what it found, as JSON.

Each trial forks a child that does the work and is ended by SIGKILL just before its n-th call of the operating system that
Python audits (open, mkdir, link, remove, flock, …); what is left is then judged and gone on with by the parent. A process of
its own, because only a process without threads may fork.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from archiver.domain.errors import ObjectExists, ObjectMissing
from archiver.domain.ports import NewObject
from archiver.storage import file_objects, file_tree, file_uploads
from archiver.storage.file_tree import Stop

KEY = "s/2026/02/28/rec-1/media.ogg"
BODY = b"OggS" + bytes(range(256)) * 8
SLOT = 1000
NEW = NewObject(key=KEY, content_type="audio/ogg", metadata={"archiver-token": "first"})
AGAIN = NewObject(key=KEY, content_type="audio/ogg", metadata={"archiver-token": "second"})
COUNTED = ("open", "os.", "fcntl.")


def killed_at(step: int, act: Callable[[], None]) -> bool:
    """Does it in a child that dies before its `step`-th call; False where it got to the end."""
    child = os.fork()
    if child == 0:
        left = step

        def count(event: str, _arguments: object) -> None:
            nonlocal left
            if event.startswith(COUNTED) and event != "os.kill":
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        act()
        os._exit(0)
    _pid, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
        raise AssertionError(f"the child failed at step {step}")
    return os.WIFSIGNALED(status)


def put(root: Path, new: NewObject, token: str) -> None:
    with file_tree.translated(KEY):
        file_objects.put(root, new, memoryview(BODY), token=token, stop=Stop())


def multipart(root: Path, upload_id: str, *, even: bool) -> None:
    """`even`: parts as large as their slots, which need not be moved."""
    with file_tree.translated(KEY):
        file_uploads.begin(root, KEY, upload_id, slot=SLOT)
        size = SLOT if even else SLOT - 1
        pieces = [BODY[at : at + size] for at in range(0, len(BODY), size)]
        parts = [file_uploads.put_part(root, KEY, upload_id, n, memoryview(piece), Stop()) for n, piece in enumerate(pieces, 1)]
        file_objects.complete(root, NEW, upload_id, parts, token="1" * 32, stop=Stop())


def state(root: Path) -> str:
    """`absent` or `whole`; anything else is what must not be."""
    try:
        seen = file_objects.head(root, KEY)
    except FileNotFoundError:
        return "absent" if not list(file_objects.entries(root, KEY.split("/")[:-1], "")) else "listed but absent"
    if seen.metadata != dict(NEW.metadata):
        return f"with metadata {seen.metadata}"
    return "whole" if (root / KEY).read_bytes() == BODY else "torn"


def healed(root: Path) -> str:
    """What a new process makes of it: everything else dropped, the object created where there is none."""
    for upload in file_uploads.unfinished(root):
        file_uploads.drop(root, upload.key, upload.upload_id)
    file_uploads.begin(root, KEY, "f" * 32, slot=SLOT)
    file_uploads.drop(root, KEY, "f" * 32)
    before = state(root)
    try:
        put(root, AGAIN, "2" * 32)
    except ObjectExists:
        if before != "whole":
            return f"{before}, and cannot be created again"
    else:
        if before == "whole":
            return "created twice"
    left = sorted(path.name for path in root.rglob("*") if path.is_file())
    file_objects.delete(root, KEY)
    rest = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() or path.name == "s"]
    return "healed" if left == ["media.ogg", "media.ogg.meta.json"] and rest == [] else f"left {left}, then {rest}"


def sweep(folder: Path, act: Callable[[Path], None]) -> dict[str, int]:
    """How often each end was met, over all steps."""
    found: dict[str, int] = {}
    step, alive = 0, False
    while not alive:
        root = folder / str(step)
        root.mkdir(parents=True)
        alive = not killed_at(step, lambda root=root: act(root))
        end = f"{state(root)}, {healed(root)}"
        found[end] = found.get(end, 0) + 1
        step += 1
    return found


def deleted(root: Path) -> None:
    file_objects.delete(root, KEY)


def sweep_deletion(folder: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    step, alive = 0, False
    while not alive:
        root = folder / str(step)
        put(root, NEW, "1" * 32)
        alive = not killed_at(step, lambda root=root: deleted(root))
        end = f"{state(root)}, {healed(root)}"
        found[end] = found.get(end, 0) + 1
        step += 1
    return found


def main() -> None:
    folder = Path(sys.argv[1])
    found = {
        "put": sweep(folder / "put", lambda root: put(root, NEW, "1" * 32)),
        "even parts": sweep(folder / "even", lambda root: multipart(root, "a" * 32, even=True)),
        "uneven parts": sweep(folder / "uneven", lambda root: multipart(root, "b" * 32, even=False)),
        "delete": sweep_deletion(folder / "delete"),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    try:
        main()
    except ObjectMissing as missing:
        sys.exit(f"unexpected: {missing}")
