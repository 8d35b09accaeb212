"""The wheel is whole, reproducible, and runs without the checkout, by somebody without rights.

The slowest tests here: they install everything from the lock into an empty venv, as a user would.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("archiver", "migrations", "pyproject.toml", "README.md", "LICENSE", ".gitignore", "requirements.lock")
NOBODY = 65534


def run(command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def snapshot(target):
    """A copy, so that whoever edits the checkout meanwhile does not come between two builds."""
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source, target / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"), copy_function=shutil.copy
            )
        elif source.exists():
            shutil.copy(source, target / name)
    return target


def build(source, target):
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation"]
    run([*pip, "--wheel-dir", target, source], env=os.environ | {"SOURCE_DATE_EPOCH": "1700000000"})
    (wheel,) = target.glob("recording_archiver-*.whl")
    return wheel


@pytest.fixture(scope="module")
def place():
    """A folder that everybody may enter and write to, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="archiver-wheel-", ignore_cleanup_errors=True) as folder:
        place = Path(folder)
        place.chmod(0o755)
        (place / "home").mkdir()
        (place / "home").chmod(0o777)
        yield place


@pytest.fixture(scope="module")
def source(place):
    (place / "source").mkdir()
    return snapshot(place / "source")


@pytest.fixture(scope="module")
def wheel(place, source):
    return build(source, place / "dist")


@pytest.fixture(scope="module")
def contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_every_file_of_the_package_and_of_the_migrations_travels(source, contents):
    package = {str(path.relative_to(source)) for path in (source / "archiver").rglob("*") if path.is_file()}
    migrations = {f"archiver/{path.relative_to(source)}" for path in (source / "migrations").rglob("*") if path.is_file()}
    assert {name for name in contents if ".dist-info/" not in name} == package | migrations


@pytest.mark.parametrize(
    ("what", "folder", "suffixes"),
    [
        ("migrations", "archiver/migrations/versions/", (".py",)),
        ("templates", "archiver/web/", (".html", ".j2", ".jinja")),
        ("the simulator's media", "archiver/simulator/media/", (".mp3", ".webm", ".mkv", ".mka", ".wav")),
    ],
)
def test_what_is_not_found_by_importing_travels_too(contents, what, folder, suffixes):
    assert any(name.startswith(folder) and name.endswith(suffixes) for name in contents), f"no {what} in the wheel"


def test_two_builds_are_the_same_to_the_byte(place, wheel, source):
    (place / "other").mkdir()
    again = build(snapshot_of(source, place / "other"), place / "again")
    assert again.name == wheel.name
    assert again.read_bytes() == wheel.read_bytes()


def snapshot_of(source, target):
    """The same files in another folder with other times."""
    shutil.copytree(source, target, dirs_exist_ok=True, copy_function=shutil.copyfile)
    for path in target.rglob("*"):
        os.utime(path, (1, 1))
    return target


@pytest.fixture(scope="module")
def installed(place, source, wheel):
    """An empty venv with the locked dependencies and the wheel, in which nobody may write."""
    venv = place / "venv"
    run([sys.executable, "-m", "venv", "--without-pip", venv])
    pip = [sys.executable, "-m", "pip", "--python", venv / "bin" / "python", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, "--require-hashes", "-r", source / "requirements.lock"])
    run([*pip, "--no-deps", "--no-index", wheel])
    return venv


def unprivileged(command):
    """`command` without rights: another user, and no way to become more."""
    setpriv = ["setpriv", "--no-new-privs"]
    if os.geteuid() == 0:
        setpriv += [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        # An interpreter under /root is out of everybody else's sight, and falls back on the system's library without a word.
        # Then reading is left to it, and nothing else.
        home = f"import sys; sys.exit(sys.base_prefix != {sys.base_prefix!r})"
        seen = subprocess.run([*setpriv, "--", sys.executable, "-c", home], capture_output=True, check=False).returncode == 0
        kept = "-all" if seen else "-all,+dac_read_search"
        setpriv += [f"--inh-caps={kept}", f"--ambient-caps={kept}", f"--bounding-set={kept}"]
    return [*setpriv, "--", *command]


def as_nobody(place, command, **options):
    home = str(place / "home")
    environment = {"PATH": "/usr/bin:/bin", "HOME": home, "TMPDIR": home, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
    return run(unprivileged(command), cwd=home, env=environment, **options)


def test_the_installed_package_is_not_the_checkout(place, installed):
    found = as_nobody(
        place, [installed / "bin" / "python", "-c", "import archiver, sys; print(archiver.__file__, sys.base_prefix)"]
    )
    package, interpreter = found.stdout.split()
    assert Path(package).is_relative_to(installed)
    assert interpreter == sys.base_prefix


def test_the_demonstration_runs_from_the_wheel_without_rights(place, installed):
    as_nobody(place, [installed / "bin" / "archiver", "demo", "--once"], timeout=100)
    assert not list(installed.rglob("*.db"))
