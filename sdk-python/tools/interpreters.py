"""Installs the wheel into a fresh environment of every Python it is for, and uses it there.

    python tools/interpreters.py dist/arqonbus-….whl

Looks on the PATH and, where there is one, asks pyenv. Everywhere the README's program must print what it says, with nothing
installed beside the wheel; then the tests run, except where the main suite has run already. What is not at hand is said loudly.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from arqonbus.testing import Server

HERE = Path(__file__).resolve().parents[1]
LOCK = HERE / "requirements-dev.txt"
# What the tests need, and what they use where it is there.
TEST_TOOLS = ["pytest", "uvloop", "pydantic", "msgspec"]
PROBE = "import sys; print('%d.%d.%d' % sys.version_info[:3])"


def main() -> int:
    """Tries every version; fails where one of them fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    wheel: Path = parser.parse_args().wheel.resolve()
    missing: list[str] = []
    with Server() as server:
        for version in promised():
            if (python := find(version)) is None:
                missing.append(version)
            else:
                use(python, version, wheel, server)
    for version in missing:
        print(f"NOT AT HAND: Python {version}: the wheel was not tried there", flush=True)
    return 0


def promised() -> list[str]:
    """The versions that the package says it is for."""
    pyproject = (HERE / "pyproject.toml").read_text(encoding="utf-8")
    return re.findall(r'"Programming Language :: Python :: (3\.\d+)"', pyproject)


def find(version: str) -> Path | None:
    """An interpreter of this version that runs."""
    for candidate in candidates(version):
        # A shim of pyenv is there for every version that is installed, and refuses those that are not switched on.
        probed = subprocess.run([candidate, "-c", PROBE], capture_output=True, text=True, check=False)
        if probed.returncode == 0 and probed.stdout.startswith(f"{version}."):
            return candidate
    return None


def candidates(version: str) -> Iterator[Path]:
    """Where an interpreter of this version may be."""
    if version == this_version():
        yield Path(sys.executable)
    if on_path := shutil.which(f"python{version}"):
        yield Path(on_path)
    if pyenv := shutil.which("pyenv"):
        root = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=False).stdout.strip()
        yield from sorted(Path(root).glob(f"versions/{version}.*/bin/python{version}")) if root else ()


def this_version() -> str:
    """The version that runs the main suite."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def use(python: Path, version: str, wheel: Path, server: Server) -> None:
    """Makes an environment, installs the wheel, runs the README's program and the tests."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"arqonbus-python{version}-") as scratch:
        subprocess.run([python, "-m", "venv", "--without-pip", scratch], check=True)
        installed = Path(scratch, "Scripts" if os.name == "nt" else "bin", "python")
        install(installed, str(wheel))
        say_hello(installed, server)
        outcome = "the main suite runs here"
        if version != this_version():
            install(installed, *TEST_TOOLS)
            outcome = run_tests(installed)
    print(f"Python {version}: the README's program ran; {outcome} ({time.monotonic() - began:.0f} s)", flush=True)


def install(python: Path, *what: str) -> None:
    """Installs by our own pip, so that the environment needs none."""
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--constraint", str(LOCK), *what], check=True)


def say_hello(python: Path, server: Server) -> None:
    """Runs the program that the README prints."""
    readme = (HERE / "README.md").read_text(encoding="utf-8")
    programs: list[str] = re.findall(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    program = programs[0].replace("ws://127.0.0.1:9100", server.url)
    printed = subprocess.run([python, "-I", "-W", "error", "-c", program], capture_output=True, text=True, timeout=60, check=False)
    if (printed.returncode, printed.stdout) != (0, "stored in memory\nhello\n"):
        raise SystemExit(f"{python}: the README's program went wrong: {printed.stdout}{printed.stderr}")


def run_tests(python: Path) -> str:
    """Runs the tests, and gives the line in which pytest sums up."""
    pytest = [
        "-I",
        "-m",
        "pytest",
        "tests",
        "-rs",
        "--rootdir",
        str(HERE),
        "-c",
        str(HERE / "pyproject.toml"),
        "-p",
        "no:cacheprovider",
    ]
    environment = {**os.environ, "ARQONBUS_LEAK_CONNECTS": "200"}
    ended = subprocess.run([python, *pytest], cwd=HERE, env=environment, capture_output=True, text=True, timeout=600, check=False)
    if ended.returncode != 0:
        raise SystemExit(f"{python}: the tests failed\n{ended.stdout}{ended.stderr}")
    lines = ended.stdout.strip().splitlines()
    skipped = [line for line in lines if line.startswith("SKIPPED")]
    return "; ".join([lines[-1], *skipped])


if __name__ == "__main__":
    sys.exit(main())
