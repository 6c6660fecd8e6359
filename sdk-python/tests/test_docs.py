"""What README and examples show is run as printed, but for the address."""

import asyncio
import contextlib
import importlib.util
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from arqonbus import sync
from arqonbus.testing import Server

HERE = Path(__file__).resolve().parents[1]
GUIDE = HERE.parent / "docs" / "guides" / "python.md"
ADDRESS = "ws://127.0.0.1:9100"


def snippets(path: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def run(server: Server, *command: str, stdin: str | None = None) -> str:
    ended = subprocess.run(
        [sys.executable, "-W", "error", *command], input=stdin, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_readme_does_what_it_says(arqonbus_server: Server) -> None:
    (program,) = snippets(HERE / "README.md")
    assert run(arqonbus_server, "-c", program.replace(ADDRESS, arqonbus_server.url)) == "stored in memory\nhello\n"


def test_every_program_of_the_guide_runs(arqonbus_server: Server) -> None:
    programs = snippets(GUIDE)
    assert len(programs) >= 5
    for program in programs:
        printed = "".join(f"{line[len('# prints: ') :]}\n" for line in program.splitlines() if line.startswith("# prints: "))
        assert printed, "a program says what it prints"
        assert run(arqonbus_server, "-c", program.replace(ADDRESS, arqonbus_server.url)) == printed


def test_chat_with_a_keyboard(arqonbus_fresh_server: Server) -> None:
    chat = str(HERE / "examples" / "chat.py")
    run(arqonbus_fresh_server, chat, "ada", arqonbus_fresh_server.url, stdin="hello\nhow are you\n")
    printed = run(arqonbus_fresh_server, chat, "bob", arqonbus_fresh_server.url, "--once", "fine")
    assert printed == "ada: hello\nada: how are you\nbob: fine\n"


def test_chat(arqonbus_server: Server) -> None:
    chat = str(HERE / "examples" / "chat.py")
    assert "ada: hello\n" in run(arqonbus_server, chat, "ada", arqonbus_server.url, "--once", "hello")
    assert run(arqonbus_server, chat, "bob", arqonbus_server.url, "--once", "hi").endswith("ada: hello\nbob: hi\n")


async def test_notebook(arqonbus_fresh_server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Cell after cell in one namespace, with an event loop running in this thread, as a kernel does it."""
    monkeypatch.setenv("ARQONBUS_URL", arqonbus_fresh_server.url)
    notebook: dict[str, Any] = json.loads((HERE / "examples" / "notebook.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    namespace: dict[str, Any] = {}
    for cell in cells:
        exec(cell, namespace)
    assert capsys.readouterr().out.splitlines() == ["mean 21.0", "last {'step': 4, 'celsius': 22.0}", "closed"]
    assert all(not cell.get("outputs") for cell in notebook["cells"])


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_worker(arqonbus_fresh_server: Server) -> None:
    """Two of them share the orders; what cannot be done ends as a dead letter; each finishes at SIGTERM."""
    url = arqonbus_fresh_server.url
    command = [sys.executable, "-W", "error", str(HERE / "examples" / "worker.py"), url, "--name"]
    with contextlib.ExitStack() as stack, sync.connect(url) as bus, bus.join("shop:orders.dead") as dead:
        packers = [stack.enter_context(subprocess.Popen([*command, name], stdout=subprocess.PIPE, text=True)) for name in "ab"]
        for packer, name in zip(packers, "ab", strict=True):
            assert packer.stdout is not None
            assert packer.stdout.readline() == f"{name}: ready\n"
        for number in range(20):
            bus.publish("shop:orders", {"item": f"tea {number}", "pieces": 1})
        bus.publish("shop:orders", {"item": "coffee", "pieces": 0})
        letter = dead.get(timeout=30)
        assert letter.payload == {"item": "coffee", "pieces": 0}
        assert "nothing to pack" in letter.headers["dead-reason"]
        deadline = time.monotonic() + 20
        while any(group["pending"] or group["lag"] for group in bus.channel_info("shop:orders").get("groups", [])):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        for packer in packers:
            packer.terminate()
        said = "".join(packer.communicate(timeout=20)[0] for packer in packers)
        assert [packer.returncode for packer in packers] == [0, 0]
        for number in range(20):
            assert said.count(f": 1 × tea {number}\n") == 1
        assert [said.count(f"delivery {number}: nothing to pack") for number in range(1, 6)] == [1] * 5


def test_fastapi_bridge(arqonbus_server: Server, room: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fastapi")
    httpx = pytest.importorskip("httpx")
    monkeypatch.setenv("ARQONBUS", arqonbus_server.url)
    spec = importlib.util.spec_from_file_location("fastapi_bridge", HERE / "examples" / "fastapi_bridge.py")
    assert spec is not None
    assert spec.loader is not None
    bridge = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bridge)

    async def use() -> None:
        transport = httpx.ASGITransport(app=bridge.app)
        async with bridge.lifespan(bridge.app), httpx.AsyncClient(transport=transport, base_url="http://test") as web:
            for number in range(3):
                answer = await web.post(f"/topics/{room}:a", json={"n": number})
                assert answer.json() == {"seq": number + 1, "durability": "memory"}
            assert (await web.post("/topics/nonsense", json={})).status_code == 400
            stream = (await web.get(f"/topics/{room}:a?count=3")).text
            assert [json.loads(line[len("data: ") :]) for line in stream.split("\n\n") if line] == [{"n": n} for n in range(3)]

    asyncio.run(use())
