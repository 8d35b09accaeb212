"""The AWS policies allow what the program does and nothing that could undo an archive."""

import ast
import json
import re

import pytest

from archiver.cli.doctor import iam_policy
from archiver.config import load
from archiver.domain.ledger import MANIFESTS, SEGMENTS
from archiver.pipeline.erase import FOLDER
from tests.docs.pages import ROOT

ARCHIVE = json.loads((ROOT / "config" / "iam" / "archive.json").read_text())
VERIFY = json.loads((ROOT / "config" / "iam" / "verify.json").read_text())
DELETE = json.loads((ROOT / "config" / "iam" / "delete.json").read_text())
# boto3's operations and S3's lists, and the actions that AWS asks for (Service Authorization Reference, Amazon S3)
ACTIONS = {
    "abort_multipart_upload": {"s3:AbortMultipartUpload"},
    "list_parts": {"s3:ListMultipartUploadParts"},
    "list_multipart_uploads": {"s3:ListBucketMultipartUploads"},
    "list_objects_v2": {"s3:ListBucket"},
    "list_object_versions": {"s3:ListBucketVersions"},
    "get_bucket_versioning": {"s3:GetBucketVersioning"},
    "get_object_lock_configuration": {"s3:GetBucketObjectLockConfiguration"},
    "delete_object": {"s3:DeleteObject", "s3:DeleteObjectVersion"},
    "put_object_retention": {"s3:PutObjectRetention"},
    "put_object_legal_hold": {"s3:PutObjectLegalHold"},
}
OPTIONAL = {"list_object_versions"}  # sweeps canaries that stayed behind; where it is refused, the probe goes on without
BY_WIRE = {"s3:PutObject", "s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket"}  # puts, uploads and parts, reads, heads, the first look


def actions(policy, effect="Allow"):
    return {action for statement in policy["Statement"] if statement["Effect"] == effect for action in statement["Action"]}


def resources(statement):
    found = statement["Resource"]
    return [found] if isinstance(found, str) else found


def places(policy, action, effect="Allow"):
    """Where below the prefix an action is allowed, or denied."""
    of = [each for each in policy["Statement"] if each["Effect"] == effect and action in each["Action"]]
    return {place.removeprefix("arn:aws:s3:::BUCKET/PREFIX/") for each in of for place in resources(each)}


def operations():
    """Every operation that the code asks boto3 for, and every list."""
    found = set()
    for path in (ROOT / "archiver" / "storage").glob("s3*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            named = (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in {"call", "_call"}
            )
            if named and node.args and isinstance(node.args[0], ast.Constant):
                found.add(node.args[0].value)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_List":
                found |= {each.value.value for each in node.keywords if each.arg == "operation"}
    return found


def test_the_policy_beside_the_deployment_files_is_the_one_that_doctor_prints():
    assert json.loads((ROOT / "archiver" / "cli" / "iam_archive.json").read_text()) == ARCHIVE


@pytest.mark.parametrize(("url", "objects"), [("s3://my-bucket/a/b", "my-bucket/a/b/*"), ("s3://my-bucket", "my-bucket/*")])
def test_doctor_fills_bucket_and_prefix_in(tmp_path, url, objects):
    path = tmp_path / "archiver.toml"
    path.write_text(f'[storage]\nurl = "{url}"\n')
    policy = iam_policy(load(path, {}, {}, need_sources=False))
    resources = [statement["Resource"] for statement in policy["Statement"]]
    assert f"arn:aws:s3:::{objects}" in resources
    assert not any("BUCKET" in resource or "PREFIX" in resource for resource in resources)


def test_every_operation_of_the_code_is_known_here():
    assert operations() == set(ACTIONS)


def test_the_archiving_role_may_do_what_the_code_does():
    needed = BY_WIRE.union(*(ACTIONS[name] for name in operations() - OPTIONAL))
    assert needed - actions(ARCHIVE) == set()


@pytest.mark.parametrize("policy", [ARCHIVE, VERIFY, DELETE], ids=["archive", "verify", "delete"])
def test_nothing_is_allowed_by_a_wildcard_and_nothing_that_bypasses_or_reconfigures(policy):
    for statement in policy["Statement"]:
        assert statement["Effect"] in {"Allow", "Deny"}
        assert all(place.startswith("arn:aws:s3:::BUCKET") for place in resources(statement))
    for action in actions(policy):
        assert re.fullmatch(r"s3:[A-Za-z]+", action)
        assert not re.match(r"s3:(Bypass|PutBucket|DeleteBucket|PutObjectAcl|PutLifecycle|PutEncryption|PutReplication)", action)


def test_only_canaries_may_be_deleted():
    for statement in ARCHIVE["Statement"]:
        if any("Delete" in action for action in statement["Action"]):
            assert statement["Resource"] == "arn:aws:s3:::BUCKET/PREFIX/_probe/*"


def test_who_verifies_only_reads():
    assert all(re.match(r"s3:(Get|List)", action) for action in actions(VERIFY))


def test_who_deletes_names_versions_and_reaches_no_evidence_and_no_lock():
    assert "s3:DeleteObject" not in actions(DELETE)  # without a version it would leave a delete marker
    assert places(DELETE, "s3:DeleteObjectVersion") == {"*"}
    assert places(DELETE, "s3:DeleteObjectVersion", "Deny") == {"_ledger/*", "_attest/*", "_erasure/*"}
    assert {"s3:BypassGovernanceRetention", "s3:PutObjectLegalHold"} <= actions(DELETE, "Deny")


def test_who_deletes_writes_no_recording_and_no_statement_but_what_it_did():
    assert places(DELETE, "s3:PutObject") == {f"{folder}*" for folder in (SEGMENTS, MANIFESTS, FOLDER, "_probe/")}
    assert places(DELETE, "s3:PutObjectRetention") == places(DELETE, "s3:PutObject") - {f"{MANIFESTS}*"}  # never locked


def test_nobody_but_who_deletes_may_delete_a_recording():
    deleting = {"s3:DeleteObject", "s3:DeleteObjectVersion"}
    assert not deleting & actions(VERIFY)
    assert {place for action in deleting for place in places(ARCHIVE, action)} == {"_probe/*"}
