"""What is missing is said aloud, what leaks is found, and nothing of the developer's steers a test."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.testbed.environment import isolate
from tests.testbed.scratch import scratch

ROOT = Path(__file__).parents[2]

WITHOUT_A_BROWSER = """
from pathlib import Path
import tests.testbed.browser

tests.testbed.browser.EXECUTABLE = Path("/nonexistent/chromium")

async def test_page(browser_page):
    pass

async def test_another_page(browser_page):
    pass
"""

LEAKS = """
import asyncio, socket
import pytest

kept = []

@pytest.fixture(scope="module")
def long_lived():
    with socket.socket() as it:
        yield it

def test_clean(long_lived):
    socket.socket().close()

async def test_clean_async(long_lived):
    await asyncio.create_task(asyncio.sleep(0))

def test_leaks_a_socket():
    kept.append(socket.socket())

async def test_leaks_a_socket_async():
    kept.append(socket.socket())

async def test_leaks_a_task():
    kept.append(asyncio.create_task(asyncio.Event().wait(), name="forgotten"))

def test_fails_and_leaks():
    kept.append(socket.socket())
    assert False
"""


def pytest_on(path, source, **environment):
    (path / "test_inner.py").write_text(source)
    clean = {name: value for name, value in os.environ.items() if name != "CI"}
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(path)]
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", str(path)],
        cwd=ROOT,
        env=clean | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_missing_component_skips_its_tests_with_one_loud_line(tmp_path):
    done = pytest_on(tmp_path, WITHOUT_A_BROWSER)
    assert done.returncode == 0
    assert (
        done.stdout.count("SKIPPED COMPONENT: browser: /nonexistent/chromium does not exist; hint: `apt-get install chromium`")
        == 1
    )
    assert "2 skipped" in done.stdout


def test_a_missing_component_fails_its_tests_in_ci(tmp_path):
    done = pytest_on(tmp_path, WITHOUT_A_BROWSER, CI="true")
    assert done.returncode == 1
    assert "a component is missing, and CI promises them all: browser" in done.stdout
    assert "2 errors" in done.stdout


def test_leaks_are_found_and_blamed_on_the_test_that_made_them(tmp_path):
    done = pytest_on(tmp_path, LEAKS)
    blamed = {line.split("::")[1].split()[0] for line in done.stdout.splitlines() if line.startswith("ERROR ")}
    assert blamed == {"test_leaks_a_socket", "test_leaks_a_socket_async", "test_leaks_a_task"}
    assert "forgotten" in done.stdout
    assert "1 failed" in done.stdout


def test_the_developers_own_environment_steers_nothing():
    environ = {
        "PATH": "/bin",
        "AWS_PROFILE": "production",
        "AWS_SECRET_ACCESS_KEY": "real",
        "ARCHIVER_STORAGE__URL": "s3://real",
        "ARCHIVER_TEST_LOCALSTACK": "http://127.0.0.1:1",
        "PGSSLMODE": "verify-full",
        "no_proxy": "intranet",
    }
    given = isolate(environ)
    assert given.localstack == "http://127.0.0.1:1"
    assert environ["PATH"] == "/bin"
    assert environ["AWS_SECRET_ACCESS_KEY"] == "test"
    assert environ["no_proxy"] == "127.0.0.1,localhost,intranet"
    assert not {"AWS_PROFILE", "ARCHIVER_STORAGE__URL", "ARCHIVER_TEST_LOCALSTACK", "PGSSLMODE"} & environ.keys()


def test_a_server_dies_with_the_tests_even_when_they_are_killed(tmp_path):
    program = f"""
from pathlib import Path
from tests.testbed.process import bound_to_us, running
with running(bound_to_us(["sleep", "60"]), log=Path({str(tmp_path)!r}) / "log", ready=lambda: True) as child:
    print(child.pid, flush=True)
    child.wait()
"""
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as tests:
        server = Path("/proc") / tests.stdout.readline().strip()
        while not (server / "cmdline").read_text().startswith("sleep"):
            time.sleep(0.001)  # setpriv has not become it yet
        tests.kill()
    deadline = time.monotonic() + 5
    while server.exists() and "State:\tZ" not in (server / "status").read_text():
        assert time.monotonic() < deadline


def test_the_folder_of_a_killed_run_is_swept_up_and_that_of_a_live_one_is_not():
    with scratch("check") as live, scratch("check") as other:
        dead = other.with_name("archiver-check-dead")
        dead.mkdir()
        (dead / ".lock").touch()
        with scratch("check"):
            assert live.exists()
            assert other.exists()
            assert not dead.exists()
