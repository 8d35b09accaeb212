"""SHA-256 whose state can be put away and taken up again, so that a resumed download hashes no byte twice.

hashlib offers no way to save a state; libcrypto's SHA256_CTX is a plain struct that holds nothing else. It is used only where a
self-test at import shows that this libcrypto agrees with hashlib, before and after being saved; elsewhere hashlib does the work
and an interrupted download starts anew.
"""

from __future__ import annotations

import ctypes
import hashlib
from typing import Protocol, cast

STATE_BYTES = 112  # sizeof(SHA256_CTX): 8 words of state, 2 of length, 16 of data, 2 counters


class Digest(Protocol):
    """A running SHA-256."""

    def update(self, data: bytes, /) -> None:
        """Adds bytes."""

    def digest(self) -> bytes:
        """The 32 bytes so far."""

    def hexdigest(self) -> str:
        """The same as hex."""

    def state(self) -> str:
        """The state as hex, "" where it cannot be saved."""


class HashlibDigest:
    """What every Python has; its state cannot be saved."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()
        self.update = self._sha.update
        self.digest = self._sha.digest
        self.hexdigest = self._sha.hexdigest

    def state(self) -> str:
        return ""


class CryptoDigest:
    """libcrypto's SHA-256; `saved` takes up a state again. Raises ValueError where that is not one."""

    def __init__(self, saved: str = "") -> None:
        self._context = ctypes.create_string_buffer(STATE_BYTES)
        if not saved:
            _crypto.SHA256_Init(self._context)
            return
        state = bytes.fromhex(saved)
        if len(state) != STATE_BYTES:
            raise ValueError(f"a saved SHA-256 state has {STATE_BYTES} bytes, found {len(state)}")
        self._context.raw = state

    def update(self, data: bytes, /) -> None:
        _crypto.SHA256_Update(self._context, data, len(data))

    def digest(self) -> bytes:
        copy = ctypes.create_string_buffer(self._context.raw, STATE_BYTES)
        out = ctypes.create_string_buffer(32)
        _crypto.SHA256_Final(out, copy)
        return out.raw

    def hexdigest(self) -> str:
        return self.digest().hex()

    def state(self) -> str:
        return self._context.raw.hex()


def _load() -> ctypes.CDLL | None:
    for name in ("libcrypto.so.3", "libcrypto.so.1.1", "libcrypto.3.dylib"):
        try:
            library = ctypes.CDLL(name)
            library.SHA256_Init.argtypes = (ctypes.c_void_p,)
            library.SHA256_Update.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)
            library.SHA256_Final.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
        except (OSError, AttributeError):
            continue
        return library
    return None


def _agrees() -> bool:
    data = bytes(range(256)) * 5
    first = CryptoDigest()
    first.update(data[:777])
    second = CryptoDigest(first.state())
    second.update(data[777:])
    return second.digest() == hashlib.sha256(data).digest() and first.digest() == hashlib.sha256(data[:777]).digest()


_library = _load()
_crypto = cast("ctypes.CDLL", _library)  # only used where it loaded
RESUMABLE = _library is not None and _agrees()


def new_digest(saved: str = "") -> Digest:
    """A fresh digest, or one that goes on from a saved state.

    Raises ValueError where the state cannot be taken up, so that the caller starts anew instead of trusting it.
    """
    if RESUMABLE:
        return CryptoDigest(saved)
    if saved:
        raise ValueError("this machine cannot take up a saved SHA-256 state")
    return HashlibDigest()
