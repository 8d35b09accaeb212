"""Values that must not be shown, and the files they come from."""

from __future__ import annotations

import hmac
import os
import stat
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from pathlib import Path

_LARGEST_FILE = 64 * 1024  # bytes; a PEM bundle fits, a recording given by mistake does not
MASK = "***"


class Secret:
    """A text that shows as `***` everywhere; `reveal` is the one way to it, so that every use can be found."""

    __slots__ = ("_exposed", "_file", "_value")

    def __init__(self, value: str, *, file: Path | None = None, exposed: bool = False) -> None:
        self._value = value
        self._file = file
        self._exposed = exposed

    @property
    def file(self) -> Path | None:
        """Where it was read from, None for one given directly."""
        return self._file

    @property
    def exposed(self) -> bool:
        """Whether everybody on the machine may read the file."""
        return self._exposed

    def reveal(self) -> str:
        """The text itself."""
        return self._value

    def reread(self) -> Secret:
        """The secret as its file holds it now, so that a rotated one is picked up without a restart.

        Itself where it has no file, or the file is unusable at the moment: a rotation may be half done.
        """
        if self._file is None:
            return self
        try:
            now = read_secret_file(self._file)
        except ValueError:
            return self
        return now if now != self and now.reveal().isprintable() else self

    def __repr__(self) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(_bytes(self), _bytes(other))

    def __hash__(self) -> int:
        return hash(self._value)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is never pickled")


def _bytes(secret: Secret) -> bytes:
    return secret.reveal().encode("utf-8", "surrogatepass")


def read_secret_file(path: Path) -> Secret:
    """Reads a secret, without one newline at its end. Raises ValueError saying what is the matter with the file."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_LARGEST_FILE + 1)
    except FileNotFoundError:
        raise ValueError("a file that does not exist") from None
    except IsADirectoryError:
        raise ValueError("a directory") from None
    except OSError as error:
        raise ValueError(f"a file that cannot be read ({error.strerror or type(error).__name__})") from None
    if len(content) > _LARGEST_FILE:
        raise ValueError(f"a file of more than {_LARGEST_FILE // 1024} KiB")
    try:
        value = content.decode()
    except UnicodeDecodeError:
        raise ValueError("a file that is not UTF-8 text") from None
    if value.endswith("\n"):
        value = value.removesuffix("\n").removesuffix("\r")
    if not value:
        raise ValueError("an empty file")
    return Secret(value, file=path, exposed=bool(mode & stat.S_IROTH))
