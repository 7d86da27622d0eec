"""A folder in a real browser: served from this machine alone, every request of the page recorded."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
ASSETS = "ZEROSUM_ONNXRUNTIME_WEB"  # the npm package onnxruntime-web, unpacked


def assets() -> Path:
    """onnxruntime-web's files; without them the test is skipped."""
    folder = Path(os.environ.get(ASSETS) or "nowhere")
    if not folder.is_dir():
        pytest.skip(f"{ASSETS} names no folder: npm pack onnxruntime-web, unpack it, and set it to package/dist")
    return folder


@dataclass
class Seen:
    """What a page asked for, and what went wrong on it."""

    requests: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@contextmanager
def answering(handler: Callable[..., http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of this machine at which requests are answered so."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The folder at an address of this machine."""
    with answering(functools.partial(_Silent, directory=folder)) as address:
        yield f"{address}/"


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium as the system has it; without it, or Playwright, the test is skipped."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is not installed: pip install playwright"
    )
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield chromium
        finally:
            chromium.close()


def watched(context: Any) -> tuple[Any, Seen]:
    """A new page, and what is seen of it."""
    page, seen = context.new_page(), Seen()
    page.on("request", lambda request: seen.requests.append(request.url))
    page.on("pageerror", lambda error: seen.faults.append(str(error)))
    page.on("console", lambda message: seen.faults.append(message.text) if message.type == "error" else None)
    return page, seen
