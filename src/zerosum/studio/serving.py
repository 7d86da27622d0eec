"""`zerosum studio`: the server, on this machine alone unless it is told otherwise and given a token."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from zerosum.errors import RunError, UsageError
from zerosum.studio.guard import Guard, is_local
from zerosum.studio.offline import stay_offline

PORT = 7860
LEAST_TOKEN = 16  # letters
GRACE = 1  # seconds that open pages have to end in
QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}


def serve(
    runs: str | Path = "runs",
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    token: str | None = None,
    tell: Callable[[str], None] = print,
) -> None:
    """Serve the studio until this process is told to end. It makes no connection itself, then or later.

    Args:
        runs: the folder of runs, or one run; new ones are trained there.
        host: the address that is listened on.
        port: 0 for any that is free.
        token: what a visitor has to know; needed where others can reach `host`.
        tell: called with the address when it is there.

    Raises `UsageError` for an address that is not this machine's alone without a token, a token that can be guessed, a
    missing extra, and `RunError` where the port is taken.
    """
    check_token(host, token)
    with_extra()
    listener = listen(host, port)
    uploads = Path(tempfile.mkdtemp(prefix="zerosum-studio-"))
    os.environ.update(QUIET | {"GRADIO_TEMP_DIR": str(uploads)})
    try:
        from zerosum.studio.app import build

        stay_offline()
        address = address_of(host, listener.getsockname()[1], token)
        _run(Guard(build(Path(runs)), host, token), listener, lambda: tell(address))
    finally:
        listener.close()
        shutil.rmtree(uploads, ignore_errors=True)


def check_token(host: str, token: str | None) -> None:
    """Raises `UsageError` where others could come in without one, or with one that can be guessed."""
    example = secrets.token_urlsafe(18)
    if token is None and not is_local(host):
        raise UsageError(
            f"--host {host} can be reached from other machines, and whoever reaches it could start trainings: give a "
            f"token that visitors need, as --token {example}, or leave --host out."
        )
    if token is not None and len(token) < LEAST_TOKEN:
        raise UsageError(
            f"--token has {len(token)} letters and can be guessed: give {LEAST_TOKEN} or more, as {example}."
        )


def with_extra() -> None:
    """Raises `UsageError` where the page's libraries are not installed."""
    from importlib.util import find_spec

    missing = [name for name in ("gradio", "fastapi", "uvicorn", "psutil") if find_spec(name) is None]
    if missing:
        raise UsageError(f"The studio needs {', '.join(missing)}: pip install 'zerosum[studio]'")


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises `RunError` where the port is taken, or the address is not this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise RunError(f"{host}, port {port}: {why}. Is there another studio? Give another --port, or 0.") from error


def address_of(host: str, port: int, token: str | None) -> str:
    """What is typed into a browser."""
    name = socket.gethostname() if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host  # noqa: S104
    return f"http://{name}:{port}/" + (f"?token={quote(token, safe='')}" if token is not None else "")


def _run(app: Any, listener: socket.socket, ready: Callable[[], None]) -> None:
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # pages that are still open are no errors
            await super().shutdown(sockets)

    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE,
    )
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _end)  # uvicorn ends, and passes the signal on: what we hold is let go then
    Server(config).run([listener])


def _end(number: int, _: object) -> None:
    sys.exit(128 + number)
