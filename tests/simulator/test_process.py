"""The simulator as a process of its own, and over TLS."""

import asyncio
import datetime as dt
import ipaddress
import json
import signal
import ssl
import sys

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from archiver.simulator.__main__ import main
from tests.simulator.stage import ask


async def start(*words):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "archiver.simulator", *words, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(20):
        return process, json.loads(await process.stdout.readline())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_says_where_it_is_serves_and_ends_on_a_signal(number):
    process, told = await start(
        "--recordings", "40", "--seed", "9", "--plain", "--sources", "telnyx-calls", "--sizes", "5000", "6000"
    )
    answer = await ask(
        told["telnyx_url"] + "/v2/recordings?page[size]=250", headers={"Authorization": f"Bearer {told['api_key']}"}
    )
    process.send_signal(number)
    async with asyncio.timeout(10):
        status = await process.wait()

    assert answer.json["meta"]["total_results"] == told["recordings"] == 40
    assert set(told) == {
        "telnyx_url",
        "twilio_url",
        "media_url",
        "api_key",
        "account_sid",
        "auth_token",
        "api_key_sid",
        "api_key_secret",
        "recordings",
    }
    assert status == 0


def test_a_wrong_argument_is_refused(capsys):
    with pytest.raises(SystemExit) as refused:
        main(["--sources", "zoom"])

    assert refused.value.code == 2
    assert "invalid choice: 'zoom'" in capsys.readouterr().err


@pytest.fixture
def certificate(tmp_path):
    """A certificate for 127.0.0.1 that signs itself, as two PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "simulator")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - dt.timedelta(days=1), now + dt.timedelta(days=1))
    builder = builder.add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
    )
    pem = serialization.Encoding.PEM
    (tmp_path / "cert.pem").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "key.pem").write_bytes(private)
    return tmp_path / "cert.pem", tmp_path / "key.pem"


async def test_it_speaks_tls_and_then_every_url_says_so(certificate):
    process, told = await start("--recordings", "5", "--plain", "--sources", "telnyx-rooms", "--tls", *map(str, certificate))
    context = ssl.create_default_context(cafile=str(certificate[0]))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        headers = {"Authorization": f"Bearer {told['api_key']}"}
        async with session.get(told["telnyx_url"] + "/v2/room_recordings", headers=headers) as response:
            items = (await response.json())["data"]
        async with session.get(items[0]["download_url"]) as response:
            assert response.status == 200
            assert await response.read()
    process.terminate()
    await process.wait()

    assert all(told[name].startswith("https://") for name in ("telnyx_url", "twilio_url", "media_url"))
    assert len(items) == 5
