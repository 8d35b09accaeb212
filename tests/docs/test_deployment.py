"""The deployment files: that they can be read, and that what they promise stands in them."""

import json
import re
import shlex

import pytest

from archiver.cli import exits
from tests.docs.pages import ROOT
from tests.docs.plain_yaml import NotPlain, documents
from tests.docs.test_commands import problem

CONFIG = ROOT / "config"
UID = "10001"
DRAIN_SECONDS = 30


def manifests():
    return {each["kind"]: each for each in documents((CONFIG / "kubernetes.yaml").read_text())}


def pod():
    return manifests()["Deployment"]["spec"]["template"]["spec"]


def compose():
    (found,) = documents((CONFIG / "docker-compose.yml").read_text())
    return found


def unit():
    """Section, key and value of each line of the systemd unit."""
    found, section = {}, ""
    for line in (CONFIG / "archiver.service").read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, equals, value = line.partition("=")
            assert equals, f"no key in {line!r}"
            found.setdefault((section, key), []).append(value)
    return found


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\na: 2\n",
        "a:\n",
        "a: *b\n",
        "a: yes\n",
        "a: {b: c}\n",
        "a: 'b'\n",
        "a:\tb\n",
        "a: b: c\n",
        "just words\n",
        'a: "b" c\n',
        "a: 1\n  b: 2\n",
    ],
)
def test_yaml_that_readers_may_read_in_two_ways_is_refused(text):
    with pytest.raises((NotPlain, ValueError)):
        documents(text)


def test_plain_yaml_is_read_as_everybody_reads_it():
    text = 'a: 1 # one\nb:\n  - x\n  - c: "d # e"\n    f: [g, "h"]\nt: |\n  l1\n    l2\nu: >-\n  p\n  q\nm: 0440\nv: true\nw: {}\n---\n- z\n'
    first = {"a": 1, "b": ["x", {"c": "d # e", "f": ["g", "h"]}], "t": "l1\n  l2\n", "u": "p q", "m": 0o440, "v": True, "w": {}}
    assert documents(text) == [first, ["z"]]


@pytest.mark.parametrize("name", ["docker-compose.yml", "kubernetes.yaml", "alerts.yml"])
def test_the_yaml_files_are_plain(name):
    assert all(documents((CONFIG / name).read_text()))


@pytest.mark.parametrize("path", sorted(CONFIG.rglob("*.json")), ids=lambda path: path.name)
def test_the_json_files_are_json_that_names_each_key_once(path):
    def once(pairs):
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    assert json.loads(path.read_text(), object_pairs_hook=once)


def test_the_dashboard_has_panels_that_do_not_overlap():
    board = json.loads((CONFIG / "grafana-dashboard.json").read_text())
    taken = [
        (x, y)
        for panel in board["panels"]
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_compose_gives_the_container_nothing_it_does_not_need():
    service = compose()["services"]["archiver"]
    assert service["user"] == f"{UID}:{UID}"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["tmpfs"] == ["/tmp"]
    assert "privileged" not in service
    assert "cap_add" not in service
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert all(volume.endswith(":ro") or volume == "data:/data" for volume in service["volumes"])
    assert int(service["stop_grace_period"].removesuffix("s")) > DRAIN_SECONDS


def test_the_pod_gives_the_container_nothing_it_does_not_need():
    spec, (container,) = pod(), pod()["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert {str(spec["securityContext"][name]) for name in ("runAsUser", "runAsGroup", "fsGroup")} == {UID}
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert spec["terminationGracePeriodSeconds"] > DRAIN_SECONDS
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["resources"]["limits"]["memory"]


def test_the_manifest_fits_together():
    found, spec = manifests(), pod()
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert found["Deployment"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert found["Service"]["spec"]["selector"].items() <= labels.items()
    volumes = {volume["name"] for volume in spec["volumes"]}
    assert {mount["name"] for mount in spec["containers"][0]["volumeMounts"]} == volumes
    assert {each["metadata"]["namespace"] for each in found.values()} == {"archiver"}
    assert found["Deployment"]["spec"]["strategy"] == {"type": "Recreate"}


def test_both_containers_run_a_command_that_exists_from_the_image_that_is_built():
    image = f"recording-archiver:{re.search(r'^ARG VERSION=(.+)$', (ROOT / 'Dockerfile').read_text(), re.MULTILINE)[1]}"
    service, container = compose()["services"]["archiver"], pod()["containers"][0]
    assert {service["image"], container["image"]} == {image}
    assert problem(service["command"]) is None
    assert problem(container["args"]) is None


def test_the_unit_runs_a_command_that_exists_as_somebody_without_rights():
    found = unit()
    (start,) = found["Service", "ExecStart"]
    program, *words = shlex.split(start)
    assert program.endswith("/bin/archiver")
    assert problem(words) is None
    assert found["Service", "User"] == ["archiver"]
    assert int(found["Service", "TimeoutStopSec"][0]) > DRAIN_SECONDS
    assert found["Service", "KillSignal"] == ["SIGTERM"]


def test_the_unit_is_hardened():
    found = unit()
    for key in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices", "ProtectKernelTunables", "RestrictNamespaces"):
        assert found["Service", key] == ["yes"]
    assert found["Service", "ProtectSystem"] == ["strict"]
    assert found["Service", "CapabilityBoundingSet"] == [""]
    assert found["Service", "SystemCallFilter"][0] == "@system-service"
    assert found["Service", "StateDirectory"] == ["archiver"]
    assert ("Service", "Environment") not in found, "secrets and settings come from files"


def test_the_unit_is_not_started_again_for_what_a_restart_cannot_mend():
    codes = {int(code) for code in unit()["Service", "RestartPreventExitStatus"][0].split()}
    assert codes == {exits.USAGE, exits.CREDENTIALS, exits.POLICY}


@pytest.mark.parametrize("path", [path for path in sorted(CONFIG.rglob("*")) if path.is_file()], ids=lambda path: path.name)
def test_no_secret_stands_in_a_deployment_file(path):
    text = "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith("#"))
    assert not re.search(r"\b(AKIA|ASIA)[0-9A-Z]{16}\b|\bKEY[0-9A-Za-z_-]{16,}|-----BEGIN", text)
    assert not re.search(r"(?i)(password|secret|token|api_key)\s*[=:]\s*\"?[A-Za-z0-9+/_-]{12,}", text)
