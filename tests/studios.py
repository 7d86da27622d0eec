"""A studio in a process of its own, asked over HTTP, and runs for it to show."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from conftest import Shell
from explorers import explorer
from translators import model_of
from zerosum.studio.guard import Guard, answer
from zerosum.studio.places import place_of
from zerosum.studio.serving import address_of, listen

HOSTILE = "<img src=x onerror=alert(1)>"
TEMPLATE = "${alert(2)}{{alert(3)}}"


@dataclass(frozen=True)
class Studio:
    """Where it listens, and the folder of its runs."""

    address: str
    root: Path

    @property
    def port(self) -> int:
        return int(urlsplit(self.address).port or 0)

    def key(self, name: str) -> str:
        """What stands for a run in addresses."""
        return place_of(self.root / name, self.root).key

    def ask(
        self, path: str, method: str = "GET", body: Any = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """One request as it is: the path is not tidied up, and headers are those given."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", headers.pop("Host", f"127.0.0.1:{self.port}"))
            if isinstance(body, bytes):
                headers.setdefault("Content_Length", str(len(body)))
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            if isinstance(body, bytes):
                connection.send(body)
            elif body is not None:
                for piece in body:  # chunked
                    connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()


@contextmanager
def studio(shell: Shell, root: Path, *words: object) -> Iterator[Studio]:
    """`zerosum studio ROOT` until the end."""
    own = Path(tempfile.mkdtemp())  # other studios may begin and end meanwhile
    process = shell.start("studio", root, "--port", 0, *words, TMPDIR=str(own))
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("http://"), (line, process.stderr.read() if process.stderr else "")
        yield Studio(line.strip(), root)
    finally:
        process.terminate()
        _, said = process.communicate(timeout=60)
        assert process.returncode == 143
        assert "graceful" not in said, said  # pages that are open are no errors
        assert not list(own.glob("zerosum-studio-*"))
        shutil.rmtree(own)


@contextmanager
def guarded(token: str) -> Iterator[Studio]:
    """An app that says "inside" to whoever is let in, behind a guard with a token, served by uvicorn."""
    import uvicorn

    async def inside(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, 200, "inside")

    listener = listen("127.0.0.1", 0)
    config = uvicorn.Config(Guard(inside, "127.0.0.1", token), lifespan="off", log_level="error", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield Studio(address_of("127.0.0.1", listener.getsockname()[1], token), Path())
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def make_runs(root: Path, finished: Path) -> None:
    """A finished run, one of a hostile name, one with styles and one that translates."""
    shutil.copytree(finished, root / "digits")
    shutil.copytree(finished, root / HOSTILE)
    record = json.loads((root / HOSTILE / "records.jsonl").read_text().splitlines()[-1])
    with (root / HOSTILE / "records.jsonl").open("a") as file:
        more = {"images": record["images"] + 1, "health": f"not well, {HOSTILE} {TEMPLATE}"}
        file.write(json.dumps(record | more | {"losses": {HOSTILE: 1.0, TEMPLATE: 2.0}}) + "\n")
    (root / HOSTILE / "status.json").write_text(
        json.dumps({"state": "stopped", "reason": f"{HOSTILE} {TEMPLATE}", "images": 1, "seconds": 1.0})
    )
    run_of(root / "styles", explorer("style-28-generator", shape=(1, 28, 28)), "generation")
    run_of(root / "pairs", model_of(depth=2, width=2), "paired")


def run_of(folder: Path, model: Any, kind: str) -> Path:
    """A run folder that holds only a model."""
    (folder / "samples").mkdir(parents=True)
    (folder / "samples" / "grid.json").write_text("{}")
    (folder / "config.toml").write_text(f'[game]\nkind = "{kind}"\n')
    model.save(folder / "model")
    status = {"state": "done", "reason": "made", "images": 10, "seconds": 1.0}
    (folder / "status.json").write_text(json.dumps(status))
    return folder


def holder(folder: Path) -> subprocess.Popen[str]:
    """A process that holds a run folder's lock as a trainer does, and says that it runs."""
    code = (
        "import sys, time, pathlib, filelock\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "folder.mkdir(parents=True)\n"
        "with filelock.FileLock(folder / '.lock'):\n"
        "    (folder / 'config.toml').write_text('[training]\\nminutes = 5\\n')\n"
        '    status = \'{"state": "running", "reason": "training", "images": 128, "seconds": 2.0}\'\n'
        "    (folder / 'status.json').write_text(status)\n"
        "    print('held', flush=True)\n"
        "    time.sleep(120)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def wait_for(condition: Any, seconds: float = 30.0) -> float:
    """Wait until it holds; how long that took. Fails after so many seconds."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, "it did not come"
        time.sleep(0.1)
    return time.monotonic() - begun


def plain(text: str) -> str:
    """Words without line breaks and double spaces."""
    return re.sub(r"\s+", " ", text)
