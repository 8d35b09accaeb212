"""Ed25519 keys in files, and signatures over canonical JSON."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Any

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from archiver.domain.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def make_key(path: Path) -> str:
    """Writes a new private key to `path` (0600, PEM) and its public one to `<path>.pub`; returns the latter in base64.

    Raises UsageError where a file is there already: a key that was overwritten cannot prove anything any more.
    """
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    for target, text, mode in ((path, private, 0o600), (path.with_name(f"{path.name}.pub"), public, 0o644)):
        try:
            handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except FileExistsError:
            raise UsageError(f"{target} exists already", hint="keep old keys: statements signed with them need them") from None
        except OSError as error:
            raise UsageError(f"{target} cannot be written: {error.strerror}") from None
        with os.fdopen(handle, "wb") as file:
            file.write(text)
    return public_text(key)


def load_key(path: Path) -> Ed25519PrivateKey:
    """The private key in a PEM file; raises UsageError where there is none."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise UsageError(
            f"attest.key_file: {path} cannot be read: {error.strerror}", hint=f"archiver attest key -o {path}"
        ) from None
    except (ValueError, TypeError):
        raise UsageError(f"attest.key_file: {path} holds no private key in PEM without a password") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"attest.key_file: {path} holds another kind of key than Ed25519")
    return key


def load_public_key(path: Path) -> str:
    """The public key in a PEM file, or as base64 text, in base64; raises UsageError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"--key {path} cannot be read: {error.strerror}") from None
    try:
        if b"BEGIN" not in data:
            return base64.b64encode(base64.b64decode(data, validate=True)).decode()
        key = serialization.load_pem_public_key(data)
    except ValueError:
        raise UsageError(f"--key {path} holds no public key") from None
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"--key {path} holds another kind of key than Ed25519")
    return _text(key)


def public_text(key: Ed25519PrivateKey) -> str:
    """The public half, its 32 bytes in base64."""
    return _text(key.public_key())


def _text(key: Ed25519PublicKey) -> str:
    return base64.b64encode(key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)).decode()


def signed(document: Mapping[str, Any], key: Ed25519PrivateKey) -> dict[str, Any]:
    """The document with `public_key` and a `signature` over the canonical form of all the rest."""
    whole = {**document, "public_key": public_text(key)}
    whole.pop("signature", None)
    signature = key.sign(rfc8785.dumps(whole))
    return {**whole, "signature": base64.b64encode(signature).decode()}


def signature_problem(document: Mapping[str, Any], *, public_key: str | None = None) -> str | None:
    """Why a signature does not hold, None where it does. `public_key` (base64) is the key it must be by."""
    rest = {name: value for name, value in document.items() if name != "signature"}
    given = str(document.get("public_key", ""))
    if not given or not document.get("signature"):
        return "it is not signed"
    if public_key is not None and given != public_key:
        return f"it is signed by the key {given}, not by {public_key}"
    try:
        raw = base64.b64decode(given, validate=True)
        signature = base64.b64decode(str(document["signature"]), validate=True)
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, rfc8785.dumps(rest))
    except (InvalidSignature, ValueError):
        return "the signature does not belong to this text: it was changed, or signed by somebody else"
    return None
