"""The studio as it is served: who may ask for what, over HTTP, and its pages, in a real browser."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from browsing import browser, watched
from conftest import Shell
from pictures import draw_pair
from studios import HOSTILE, TEMPLATE, Studio, guarded, holder, make_runs, plain, studio, wait_for
from zerosum.cli import main

pytest.importorskip("gradio", reason="Gradio is not installed: pip install 'zerosum[studio]'")

MB = 2**20
TOKEN = "a-token-of-the-tests"
BOUNDARY = b"------------------------x"


@pytest.fixture(scope="module")
def served(session_cache: Path, finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio over a few runs; tests may add others."""
    folder = tmp_path_factory.mktemp("studio")
    make_runs(folder / "runs", finished_run)
    secret = folder / "secret.png"
    Image.new("L", (8, 8), 77).save(secret)
    (folder / "runs" / "digits" / "samples" / "999999999.png").symlink_to(secret)
    with studio(Shell(session_cache, folder), folder / "runs") as found:
        yield found


def form(content: bytes, name: str = "picture.png") -> bytes:
    """A picture as a browser's form sends it."""
    head = b'--%s\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n' % (BOUNDARY, name.encode())
    return head + content + b"\r\n--%s--\r\n" % BOUNDARY


FORM = f"multipart/form-data; boundary={BOUNDARY.decode()}"


# ---------------------------------------------------------------- who may ask for what

ROUTES = [
    *("/", "/live", "/config", "/theme.css", "/studio/thumbnail/x.png", "/studio/curves.svg"),
    *("/gradio_api/heartbeat/abc", "/gradio_api/queue/data?session_hash=a", "/gradio_api/info", "/assets/x.js"),
]
POSTED = ["/gradio_api/queue/join", "/gradio_api/upload", "/gradio_api/cancel", "/gradio_api/reset"]
EVERY = [*(("GET", path) for path in ROUTES), *(("POST", path) for path in POSTED)]


@pytest.mark.parametrize(("method", "path"), EVERY)
def test_other_names_and_other_sites_are_refused(served: Studio, method: str, path: str) -> None:
    """DNS rebinding, and a page elsewhere that asks: on every route, uploads and event streams among them."""
    here, body = f"127.0.0.1:{served.port}", b"{}" if method == "POST" else None
    names = ("evil.example", f"evil.example:{served.port}", "127.0.0.1.evil.example", "", "127.0.0.1@evil", "0x7f.1")
    for host in names:
        assert served.ask(path, method, body, Host=host)[0] in (400, 421), host
    for origin in ("http://evil.example", f"http://localhost:{served.port}", "null", f"http://{here}.evil.example"):
        assert served.ask(path, method, body, Origin=origin)[0] == 403, origin
    for site in ("cross-site", "same-site"):
        assert served.ask(path, method, body, Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors")[0] == 403


def test_its_own_names_are_answered(served: Studio) -> None:
    for name in ("127.0.0.1", "localhost", "[::1]"):
        host = f"{name}:{served.port}"
        status, headers, body = served.ask("/", Host=host, Origin=f"http://{host}", Sec_Fetch_Site="same-origin")
        assert status == 200
        assert b"window.gradio_config" in body
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert not [name for name in headers if name.startswith("access-control")]
    assert b"evil.example" not in served.ask("/", X_Forwarded_Host="evil.example")[2]


def test_a_web_socket_is_refused(served: Studio) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13", "Sec_WebSocket_Key": "x"}
    assert served.ask("/gradio_api/queue/join", **upgrade)[0] == 404
    assert served.ask("/gradio_api/queue/join", Host="evil.example", **upgrade)[0] == 421


def test_nothing_outside_the_runs_is_served(served: Studio) -> None:
    """Gradio's routes to files and proxies do not exist; keys are looked up; links are not followed."""
    secret, key = served.root.parent / "secret.png", served.key("digits")
    assert served.ask(f"/studio/sample/{key}/000000640.png")[0] == 200
    assert served.ask(f"/studio/thumbnail/{key}.png")[0] in (200, 404)
    tries = [
        f"/gradio_api/file={path}" for path in (secret, "/etc/passwd", "http://127.0.0.1/", served.root / "digits")
    ]
    tries += [f"/file={secret}", f"/file/{secret}", "/gradio_api/proxy=http://127.0.0.1/", "/gradio_api/call/refresh"]
    tries += ["/monitoring", "/gradio_api/deep_link", "/gradio_api/runs", "/gradio_api/openapi.json", "/docs"]
    tries += [f"/studio/sample/{key}/999999999.png", f"/studio/sample/{key}/..%2f..%2f..%2fsecret.png"]
    tries += [f"/studio/sample/{key}/../../../secret.png", "/studio/sample/digits/000000640.png"]
    tries += [f"/studio/sample/..%2f/{key}.png", "/studio/result/..%2fsecret.png", f"/studio/result/{'0' * 32}.png"]
    tries += ["/assets/../../routes.py", "/assets/..%2f..%2froutes.py", "/static/%2e%2e/%2e%2e/routes.py"]
    tries += [f"/studio/curves.svg?run={key}&kind=losses&name={HOSTILE.replace(' ', '%20')}", "/studio/curves.svg"]
    for path in tries:
        status, _, body = served.ask(path)
        assert status in (400, 404), path
        assert b"root:" not in body
        assert secret.read_bytes() not in body


def test_uploads_end_at_50_mb(served: Studio) -> None:
    status, _, body = served.ask("/gradio_api/upload", "POST", b"", Content_Length=str(51 * MB), Content_Type=FORM)
    assert status == 413  # before a byte of it was sent
    assert b"50 MB" in body

    def endless() -> Iterator[bytes]:
        yield form(b"")[:-40]
        for _ in range(200):
            yield bytes(MB)

    before = megabytes(served)
    chunked = {"Transfer_Encoding": "chunked", "Content_Type": FORM}
    with suppress(BrokenPipeError, ConnectionResetError):  # the server need not wait until we end
        assert served.ask("/gradio_api/upload", "POST", endless(), **chunked)[0] == 413
    assert megabytes(served) - before < 40  # counted while it came, and not kept
    big = served.ask("/gradio_api/queue/join", "POST", b"x" * (2 * MB), Content_Type="application/json")
    assert big[0] == 413


def megabytes(served: Studio) -> float:
    """What the server's process has of memory."""
    import psutil

    process = next(c.pid for c in psutil.net_connections("tcp") if c.laddr.port == served.port and c.status == "LISTEN")
    return psutil.Process(process).memory_info().rss / MB


def uploaded(served: Studio, data: list[Any]) -> str:
    """Say that something was uploaded as the page's script does; what the stream then says."""
    config = json.loads(served.ask("/config")[2])
    found = next(each for each in config["dependencies"] if any(event == "upload" for _, event in each["targets"]))
    body = {"data": data, "fn_index": found["id"], "session_hash": "tests", "trigger_id": None, "event_data": None}
    raw = json.dumps(body).encode()
    assert served.ask("/gradio_api/queue/join", "POST", raw, Content_Type="application/json")[0] == 200
    return served.ask("/gradio_api/queue/data?session_hash=tests")[2].decode()


@pytest.mark.parametrize("kind", ["address", "file", "picture", "link"])
def test_an_upload_is_no_path_and_no_address(served: Studio, kind: str) -> None:
    """What a page names as an upload is one: no file of this machine, and nothing that the server would fetch."""
    link = served.root / "digits/samples/999999999.png"
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.5)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/x.png"
    path = {"address": address, "file": "/etc/passwd", "picture": str(link.resolve()), "link": str(link)}[kind]
    said = uploaded(served, [served.key("pairs"), {"path": path, "meta": {"_type": "gradio.FileData"}}, None])
    assert "root:" not in said
    assert "data:image" not in said
    assert '"success":false' in said.replace(" ", "")
    with pytest.raises(TimeoutError):
        listener.accept()
    listener.close()
    assert link.is_file()


def test_a_token_is_given_once() -> None:
    with guarded(TOKEN) as found:
        assert found.address.endswith(f"?token={TOKEN}")
        for path in ("/", "/config", "/?token=", f"/?token={TOKEN[:-1]}", "/?token=%C3%A4", "/studio/curves.svg"):
            status, headers, body = found.ask(path)
            assert status == 401, path
            assert "set-cookie" not in headers
            assert TOKEN.encode() not in body
        assert found.ask("/gradio_api/upload", "POST", b"", Content_Type=FORM)[0] == 401
        status, headers, _ = found.ask(f"/live?run=a&token={TOKEN}")
        assert status == 303
        assert headers["location"] == "/live?run=a"
        name, _, rest = headers["set-cookie"].partition("=")
        value, *flags = rest.split("; ")
        assert {"HttpOnly", "SameSite=Strict"} <= set(flags)
        assert TOKEN not in value
        assert found.ask("/", Cookie=f"{name}={value}")[::2] == (200, b"inside")
        for cookie in (f"{name}={value[:-1]}", f"{name}=", f"{name}={TOKEN}", "\x01", f"{name}=ä"):
            assert found.ask("/", Cookie=cookie)[0] in (400, 401), cookie


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_other_addresses_need_a_token(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["studio", "--host", host]) == 2
    assert re.search(r"--token \S{16,}", capsys.readouterr().err)


def test_words_for_what_cannot_be(served: Studio, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["studio", "--token", "short"]) == 2
    assert "can be guessed" in capsys.readouterr().err
    assert main(["studio", "--port", str(served.port)]) == 5
    assert "Give another --port" in capsys.readouterr().err


def test_the_server_makes_no_connection() -> None:
    code = (
        "import socket; from zerosum.studio.offline import stay_offline; stay_offline()\n"
        "server = socket.create_server(('127.0.0.1', 0)); name = server.getsockname()\n"
        "datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "for reach in (lambda: socket.create_connection(name, 1), lambda: datagrams.sendto(b'x', name),\n"
        "              lambda: socket.socket().connect(name), lambda: socket.getaddrinfo('example.org', 80)):\n"
        "    try: reach()\n"
        "    except ConnectionRefusedError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["the studio makes no connection"] * 4


# ---------------------------------------------------------------- the pages, in a browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as found:
        yield found


@pytest.fixture
def opened(chromium: Any, served: Studio) -> Iterator[Any]:
    """Opens a page of the studio; at the end, nothing went wrong on any, and none asked elsewhere."""
    contexts, all_seen = [], []

    def open_page(path: str, **options: Any) -> Any:
        context = chromium.new_context(**({"viewport": {"width": 1200, "height": 900}} | options))
        contexts.append(context)
        page, seen = watched(context)
        all_seen.append(seen)
        page.on("dialog", lambda dialog: seen.faults.append(f"dialog {dialog.message}"))
        page.set_default_timeout(90_000)
        page.goto(served.address + path)
        page.wait_for_selector(".gradio-container")
        return page

    yield open_page
    for seen in all_seen:
        assert seen.faults == []
        assert [url for url in seen.requests if not url.startswith((served.address, "data:", "blob:"))] == []
    for context in contexts:
        context.close()


def test_pages_fit_a_phone_in_light_and_dark(opened: Any, served: Studio) -> None:
    of, colours = f"?run={served.key('digits')}", []
    shown = ".zs-card, .zs-standing, .zs-drawn img, #zs-start, #zs-given"
    for scheme, paths in (("light", ("live" + of, "explore" + of, "start", "translate")), ("dark", ("live" + of,))):
        page = opened("", viewport={"width": 390, "height": 844}, color_scheme=scheme)
        for path in ("", *paths):
            if path:
                page.goto(served.address + path)
            page.wait_for_selector(shown)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
            assert page.locator("nav a").count() == 5
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert colours[0] != colours[1]


def test_names_are_text_in_the_browser(opened: Any, served: Studio) -> None:
    """A run's name, reason, health and losses are markup and templates: a dialog would be a fault."""
    page = opened("")
    page.wait_for_selector(".zs-card")
    assert HOSTILE in page.inner_text(".zs-cards")
    assert page.locator("img[src='x']").count() == 0
    page.goto(served.address + f"live?run={served.key(HOSTILE)}")
    page.wait_for_selector(".zs-stopped")
    assert f"{HOSTILE} {TEMPLATE}" in plain(page.inner_text(".zs-reason"))
    assert page.locator(".zs-run input").input_value() == HOSTILE
    page.wait_for_selector(".zs-curves img")
    assert page.locator("img[src='x']").count() == 0


def test_live_shows_a_kill_within_five_seconds(opened: Any, served: Studio) -> None:
    process = holder(served.root / "training")
    page = opened(f"live?run={served.key('training')}")
    page.wait_for_selector(".zs-running")
    process.kill()
    begun = time.monotonic()
    process.communicate()
    page.wait_for_selector(".zs-dead")
    assert time.monotonic() - begun < 5
    shutil.rmtree(served.root / "training")


def test_live_turns_through_time_by_keyboard(opened: Any, served: Studio) -> None:
    page = opened(f"live?run={served.key('digits')}")
    page.wait_for_selector(".zs-sample img")
    slider = page.locator("input[type=range]")
    slider.focus()
    page.keyboard.press("Home")
    page.wait_for_selector("text=after 0 images shown")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("text=after 128 images shown")
    page.wait_for_function("document.querySelector('.zs-sample img')?.naturalWidth >= 64")


def test_cards_are_reached_by_keyboard(opened: Any, served: Studio) -> None:
    page = opened("")
    page.wait_for_selector(".zs-card")
    page.locator("nav a").last.focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className").startswith("zs-card")
    page.keyboard.press("Enter")
    page.wait_for_url("**/live?run=*")
    page.wait_for_selector(".zs-standing")


def test_runs_are_compared(opened: Any, served: Studio) -> None:
    page = opened("")
    page.wait_for_selector(".zs-card")
    for name in ("digits", "pairs", HOSTILE):
        page.locator("input[aria-label=Compare]").click()
        page.get_by_role("option", name=name, exact=True).click()
    page.wait_for_selector(".zs-light img")
    page.wait_for_function("document.querySelector('.zs-light img')?.naturalWidth > 400")


def test_only_the_newest_position_is_computed(opened: Any, served: Studio) -> None:
    """While one picture is computed, those of the slider's way are dropped; what is shown at last is the last one."""
    page = opened(f"explore?run={served.key('digits')}")
    page.wait_for_selector(".zs-drawn img")
    joins: list[str] = []
    page.on("request", lambda request: joins.append(request.url) if "queue/join" in request.url else None)
    link = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 400, "downloadThroughput": -1, "uploadThroughput": -1}
    link.send("Network.emulateNetworkConditions", slow)
    page.locator("input[type=range]").first.focus()
    for _ in range(16):
        page.keyboard.press("ArrowLeft")
        page.wait_for_timeout(20)
    page.wait_for_selector("figcaption:has-text('ψ 0.2')")
    assert len(joins) < 8
    command = page.inner_text(".cm-content")
    assert "--truncation 0.2" in plain(command)


def test_a_picture_is_explored_and_downloaded(opened: Any, served: Studio) -> None:
    import zerosum

    page = opened(f"explore?run={served.key('styles')}")
    page.wait_for_selector(".zs-drawn img")
    page.click("#zs-find")
    page.wait_for_selector("text=a step changes a pixel")
    assert (served.root / "styles/explore/directions-sefa/directions.json").is_file()
    page.click("#zs-pin")
    page.wait_for_selector(".zs-strip li")
    page.get_by_role("button", name="Next seed").click()
    page.wait_for_selector("figcaption:has-text('seed 1')")
    with page.expect_download() as waiting:
        page.click(".zs-drawn a")
    downloaded = np.asarray(Image.open(waiting.value.path()))
    assert np.array_equal(downloaded, np.asarray(zerosum.load(served.root / "styles").sample(1, seed=1))[0, ..., 0])
    page.click("#zs-pin")
    page.wait_for_selector(".zs-strip li:nth-child(2)")
    page.get_by_label("two pins mixed").check()
    page.wait_for_selector("figcaption:has-text('two pins mixed')")
    assert "layers=" in page.inner_text(".cm-content")
    page.get_by_label("between the pins", exact=True).check()
    page.wait_for_selector("figcaption:has-text('at 0.5 between')")


def test_a_picture_is_dropped_and_translated(opened: Any, served: Studio, tmp_path: Path) -> None:
    page = opened("translate")
    page.wait_for_function("document.querySelector('.zs-run input')?.value == 'pairs'")
    given = tmp_path / "given.png"
    draw_pair(1)[1].save(given)
    page.set_input_files("#zs-given input[type=file]", given)
    page.wait_for_selector("#zs-result img")
    with page.expect_download() as waiting:
        page.click("#zs-result a")
    import zerosum

    expected = zerosum.load(served.root / "pairs").translate(np.asarray(Image.open(given)))
    assert np.array_equal(np.asarray(Image.open(waiting.value.path())), expected)
    (tmp_path / "no-picture.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    page.set_input_files("#zs-given input[type=file]", tmp_path / "no-picture.png")
    page.wait_for_selector("#zs-result .zs-notice")
    assert "cannot be translated" in page.inner_text("#zs-result")


def test_a_training_outlives_the_page(opened: Any, served: Studio) -> None:
    page = opened("start")
    page.get_by_role("textbox", name="Data a folder").fill("digits")
    page.get_by_role("textbox", name="Name of the run").fill("from the page")
    page.click("#zs-start")
    page.wait_for_selector("text=from the page")
    page.click("text=Watch it")
    page.wait_for_url("**/live?run=*")
    page.wait_for_selector(".zs-running", timeout=60_000)
    address = page.url
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector(".zs-running")
    page.click("#zs-stop")
    page.wait_for_selector(".zs-stopped", timeout=60_000)
    run = served.root / "from the page"
    wait_for(lambda: json.loads((run / "status.json").read_text())["state"] == "stopped")
    assert (run / "model" / "model.safetensors").is_file()
