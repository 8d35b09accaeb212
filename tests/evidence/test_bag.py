"""An evidence bag is checked by tools that are not ours, and by one file of Python that is inside it."""

import base64
import hashlib
import shutil
import subprocess
import sys

import bagit
import pytest
import rfc8785
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from archiver.domain import verify_bag
from archiver.pipeline.bag import Bag
from archiver.pipeline.signing import signed

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
MEDIA = b"OggS" + bytes(5_000)
KEY_OF_MEDIA = "calls/2026/03/01/r1/mp3.mp3"


def line(seq, event="stored", sha256=None, **more):
    data = {"sha256": sha256, "key": KEY_OF_MEDIA} if sha256 else {}
    base = {"seq": seq, "at": "2026-03-01T00:00:00.000000Z", "actor": "run@host", "event": event, "source": "calls"}
    return (
        base
        | {"recording_id": "r1", "rendition": "mp3", "from": "transferring", "to": "stored", "reason": "", "data": data}
        | more
    )


def pieces(*groups):
    """Sealed pieces of the history, chained."""
    previous, bodies, seq = "", [], 1
    for number, group in enumerate(groups, 1):
        last = seq + len(group) - 1
        head = {"segment": number, "first_seq": seq, "last_seq": last, "count": len(group), "previous_sha256": previous}
        lines = [rfc8785.dumps(head), *(rfc8785.dumps({**item, "seq": seq + at}) for at, item in enumerate(group))]
        body = b"\n".join(lines) + b"\n"
        previous = hashlib.sha256(body).hexdigest()
        bodies.append(body)
        seq = last + 1
    return bodies, previous


@pytest.fixture
async def bag(tmp_path):
    digest = hashlib.sha256(MEDIA).hexdigest()
    bodies, head = pieces([line(1, sha256=digest), line(2, event="verified", sha256=digest)], [line(3, event="hold_placed")])
    root = tmp_path / "bag"
    root.mkdir()
    made = Bag(root)
    await made.add_bytes(f"media/{KEY_OF_MEDIA}", MEDIA)
    record = {
        "source": "calls",
        "recording_id": "r1",
        "renditions": [{"rendition": "mp3", "key": KEY_OF_MEDIA, "sha256": digest}],
    }
    await made.add_bytes("recordings/calls/r1.json", rfc8785.dumps(record))
    for number, body in enumerate(bodies, 1):
        await made.add_bytes(f"ledger/{number:012}.jsonl", body)
    statement = signed({"schema": "archiver.attestation/1", "ledger_head": {"segment": 2, "sha256": head}}, KEY)
    await made.add_bytes("attestation.json", rfc8785.dumps(statement))
    made.finish({"External-Description": "a bag"})
    return root


def bare(root):
    """The script in the bag, by a Python that sees no site-packages and nothing of ours."""
    return subprocess.run(
        [sys.executable, "-I", "-S", str(root / "verify.py")], capture_output=True, text=True, check=False, cwd="/", env={}
    )


def test_bagit_sha256sum_and_a_bare_python_accept_a_bag(bag):
    bagit.Bag(str(bag)).validate()
    for manifest in ("manifest-sha256.txt", "tagmanifest-sha256.txt"):
        subprocess.run(["sha256sum", "--check", "--strict", "--quiet", manifest], cwd=bag, check=True)
    done = bare(bag)
    assert (done.returncode, done.stderr) == (0, "")
    assert "everything holds" in done.stdout
    assert "history: 3 lines in 2 pieces" in done.stdout


def remade(root, path, change):
    """Changes a payload file and, as a forger would, the manifests with it."""
    target = root / path
    target.write_bytes(change(target.read_bytes()))
    for manifest in ("manifest-sha256.txt", "tagmanifest-sha256.txt"):
        lines = (root / manifest).read_text().splitlines()
        names = [entry.partition("  ")[2] for entry in lines]
        fresh = [f"{hashlib.sha256((root / name).read_bytes()).hexdigest()}  {name}" for name in names]
        (root / manifest).write_text("\n".join(fresh) + "\n")


FORGERIES = {
    "an edited line": ("data/ledger/000000000001.jsonl", lambda body: body.replace(b"run@host", b"nobody@h", 1)),
    "a deleted line": ("data/ledger/000000000001.jsonl", lambda body: body.rsplit(b"\n", 2)[0] + b"\n"),
    "a line added": ("data/ledger/000000000002.jsonl", lambda body: body + body.splitlines()[1] + b"\n"),
    "swapped lines": (
        "data/ledger/000000000001.jsonl",
        lambda body: b"\n".join([*(body.splitlines()[n] for n in (0, 2, 1))]) + b"\n",
    ),
    "other spelling": ("data/ledger/000000000002.jsonl", lambda body: body.replace(b'"seq":3', b'"seq": 3')),
    "another chain": (
        "data/ledger/000000000002.jsonl",
        lambda body: body.replace(b'previous_sha256":"', b'previous_sha256":"0', 1),
    ),
    "changed media": (f"data/media/{KEY_OF_MEDIA}", lambda body: body[:-1] + b"x"),
    "a changed record": ("data/recordings/calls/r1.json", lambda body: body.replace(b"r1", b"r2")),
    "a changed statement": ("data/attestation.json", lambda body: body.replace(b'"segment":2', b'"segment":1')),
}


@pytest.mark.parametrize("forgery", FORGERIES, ids=str)
def test_a_forgery_is_found_even_where_the_manifests_were_forged_with_it(bag, forgery):
    path, change = FORGERIES[forgery]
    before = (bag / path).read_bytes()
    remade(bag, path, change)
    assert (bag / path).read_bytes() != before
    problems, _said = verify_bag.check(bag)
    assert problems
    assert bare(bag).returncode == 1


def test_a_piece_of_history_left_out_a_file_too_many_and_one_too_few_are_found(bag, tmp_path):
    for number, spoil in enumerate(
        (
            lambda root: (root / "data/ledger/000000000001.jsonl").unlink(),
            lambda root: (root / "data/extra.txt").write_text("x"),
            lambda root: (root / f"data/media/{KEY_OF_MEDIA}").unlink(),
            lambda root: (root / "manifest-sha256.txt").unlink(),
            lambda root: (root / "verify.py").write_text("print('everything holds')"),
        )
    ):
        copy = tmp_path / str(number)
        shutil.copytree(bag, copy)
        spoil(copy)
        problems, _said = verify_bag.check(copy)
        assert problems, number


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 511))
def test_the_ed25519_of_the_script_agrees_with_the_library_and_refuses_every_flipped_bit(message, bit):
    public = KEY.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    signature = KEY.sign(message)
    assert verify_bag.signature_holds(public, message, signature)
    flipped = (int.from_bytes(signature, "big") ^ (1 << bit)).to_bytes(64, "big")
    assert not verify_bag.signature_holds(public, message, flipped)
    assert not verify_bag.signature_holds(public, message + b"x", signature)
    assert not verify_bag.signature_holds(public[:-1], message, signature)


def test_the_vector_of_rfc_8032_holds():
    public = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert verify_bag.signature_holds(public, bytes([0x72]), signature)
    assert base64.b64encode(public)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53) + 1, 2**53 - 1)
        | st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"])),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=4), inner, max_size=3
            )
        ),
        max_leaves=8,
    )
)
def test_the_scripts_canonical_form_is_rfc_8785_for_documents_like_ours(document):
    assert verify_bag.canonical(document) == rfc8785.dumps(document)
