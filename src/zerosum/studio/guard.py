"""Who may ask for what: one ASGI layer before everything, Gradio's routes included.

Host      must be a name this server is meant to be reached by: another name that resolves to this machine (DNS
          rebinding) is refused
Origin    must be the very address that is asked, where a browser sends it; Sec-Fetch-Site likewise
token     given once in the address, compared in constant time, then a cookie that scripts cannot read
route     one of those the pages use; all else, Gradio's routes to files and proxies among it, does not exist
size      of what is sent, counted while it comes
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import ClientDisconnect

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
Headers = dict[str, str]

MOST_UPLOAD = 50 * 2**20  # bytes of a picture
MOST_BODY = 2**20  # bytes of anything else
AROUND = 2**14  # bytes that a form puts around a file
UPLOAD = "/gradio_api/upload"
PAGES = ("", "live", "explore", "start", "translate")
READ = re.compile(
    rf"/(?:{'|'.join(PAGES)})"
    r"|/(?:config|theme\.css|favicon\.ico)"
    r"|/(?:assets|static|svelte)/[\w./@~+-]+"
    r"|/studio/[\w./-]+"
    r"|/gradio_api/(?:heartbeat/\w+|queue/data|upload_progress|startup-events|info)",
    re.ASCII,
)
SENT = re.compile(rf"{UPLOAD}|/gradio_api/(?:queue/join|cancel|reset)")
LOCAL = ("localhost", "127.0.0.1", "::1")

# Gradio's components are compiled by its own scripts (`new Function`), so evaluation is let; no script is run that does
# not come from this server, and no handler that stands in markup.
POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "manifest-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
SECURE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """The layer around `app`.

    Args:
        app: what is guarded.
        host: the address that is listened on: other names than its own are refused.
        token: what a visitor must know; None: nothing.
    """

    def __init__(self, app: App, host: str, token: str | None = None) -> None:
        self.app, self.names, self.anywhere = app, names_of(host), host in ("0.0.0.0", "::")  # noqa: S104 - compared
        self._token = token
        self._ticket = secrets.token_urlsafe(32)  # what the cookie holds: good for this process only
        self._cookie = f"zerosum-studio-{secrets.token_hex(4)}"  # cookies do not know ports: two studios, two names

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request, connection or life of the server."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":  # no page opens a web socket
            return await send({"type": "websocket.close", "code": 1008})
        headers = headers_of(scope)
        refused = self._refused(scope, headers)
        if refused is not None:
            return await answer(send, *refused)
        if self._token is not None and not self._known(headers):
            return await self._ask(scope, send)
        scope["headers"] = [(key, value) for key, value in scope["headers"] if not key.startswith(b"x-forwarded")]
        return await self._pass(scope, headers, receive, send)

    def _refused(self, scope: Message, headers: Headers) -> tuple[int, str] | None:
        """Why this request is none of ours: a status and words; None where it is."""
        if not self._is_our_name(headers.get("host", "")):
            return 421, "This server is not called by that name."
        origin = headers.get("origin")
        if origin is not None and (origin == "null" or urlsplit(origin).netloc.lower() != headers["host"].lower()):
            return 403, "This request comes from another site."
        visit = scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not visit:
            return 403, "This request comes from another site."
        path, known = scope["path"], {"GET": READ, "HEAD": READ, "POST": SENT}.get(scope["method"])
        if known is None or not known.fullmatch(path) or ".." in path:
            return 404, "There is no such page."
        return None

    def _is_our_name(self, host: str) -> bool:
        name = urlsplit(f"//{host}").hostname or "" if re.fullmatch(r"[\w.:\[\]-]+", host, re.ASCII) else ""
        return name in self.names or (self.anywhere and is_address(name))

    def _known(self, headers: Headers) -> bool:
        cookies: SimpleCookie = SimpleCookie()
        try:
            cookies.load(headers.get("cookie", ""))
        except CookieError:
            return False
        given = cookies[self._cookie].value if self._cookie in cookies else ""
        return hmac.compare_digest(given.encode(), self._ticket.encode())

    async def _ask(self, scope: Message, send: Send) -> None:
        """The token of the address for a cookie; without it, nothing is told."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = next((value for key, value in query if key == "token"), "")
        if scope["method"] != "GET" or not hmac.compare_digest(given.encode(), str(self._token).encode()):
            return await answer(send, 401, "Open the address with its token, as `zerosum studio` printed it.")
        rest = urlencode([pair for pair in query if pair[0] != "token"])
        cookie = f"{self._cookie}={self._ticket}; Path=/; HttpOnly; SameSite=Strict"
        more = {"location": scope["path"] + (f"?{rest}" if rest else ""), "set-cookie": cookie}
        return await answer(send, 303, "", more)

    async def _pass(self, scope: Message, headers: Headers, receive: Receive, send: Send) -> None:
        most = MOST_UPLOAD + AROUND if scope["path"] == UPLOAD else MOST_BODY
        said = headers.get("content-length", "0")
        if not said.isdecimal() or int(said) > most:
            return await answer(send, 413, TOO_LARGE)
        counted, dressed = Counted(receive, most), Dressed(send)
        try:
            await self.app(scope, counted.receive, counted.unless_over(dressed.send))
        except ClientDisconnect:  # which is what it was told where there was too much
            if not counted.over:
                raise
        if counted.over:
            await answer(send, 413, TOO_LARGE)
        return None


TOO_LARGE = f"That is too large: a picture may have {MOST_UPLOAD // 2**20} MB."


class Counted:
    """What is sent to us, up to so many bytes; beyond, it ends, and what the app then answers is not passed on."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._left, self.over, self._answered = receive, most, False, False

    async def receive(self) -> Message:
        """The next part; where that is too much, as if the visitor had gone."""
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0 and not self._answered:
            self.over = True
            return {"type": "http.disconnect"}
        return message

    def unless_over(self, send: Send) -> Send:
        """Passes an answer on as long as nothing was too much."""

        async def passed(message: Message) -> None:
            if not self.over:
                self._answered = True
                await send(message)

        return passed


class Dressed:
    """Every answer with the headers that keep a browser safe; of pages, whose scripts are let by a nonce, the whole."""

    def __init__(self, send: Send) -> None:
        self._send, self._nonce = send, secrets.token_urlsafe(16)
        self._page: Message | None = None
        self._parts: list[bytes] = []

    async def send(self, message: Message) -> None:
        """Pass it on."""
        if message["type"] == "http.response.start":
            headers = dressed(message["headers"], POLICY.format(nonce=self._nonce))
            message = {**message, "headers": headers}
            if dict(headers).get(b"content-type", b"").startswith(b"text/html"):
                self._page = message
                return
        elif self._page is not None:
            self._parts.append(message.get("body", b""))
            if not message.get("more_body"):
                await self._send_page(self._page)
            return
        await self._send(message)

    async def _send_page(self, start: Message) -> None:
        """Gradio's own page; texts in it are JSON whose < is escaped, so each <script is a script of Gradio's."""
        body = b"".join(self._parts).replace(b"<script", f'<script nonce="{self._nonce}"'.encode())
        kept = [(key, value) for key, value in start["headers"] if key != b"content-length"]
        await self._send({**start, "headers": [*kept, (b"content-length", str(len(body)).encode())]})
        await self._send({"type": "http.response.body", "body": body})


def dressed(headers: list[tuple[bytes, bytes]], policy: str) -> list[tuple[bytes, bytes]]:
    """Headers of an answer with ours in the place of any of their names, and without those that let others in."""
    ours = {key.encode(): value.encode() for key, value in (SECURE | {"content-security-policy": policy}).items()}
    kept = [
        (key.lower(), value)
        for key, value in headers
        if key.lower() not in ours and not key.lower().startswith(b"access-control-")
    ]
    return [*kept, *ours.items()]


async def answer(send: Send, status: int, words: str, more: Headers | None = None) -> None:
    """A short answer in plain text."""
    headers = {"content-type": "text/plain; charset=utf-8", "cache-control": "no-store", **(more or {})}
    raw = [(key.encode(), value.encode("latin-1")) for key, value in headers.items()]
    body = words.encode()
    raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": dressed(raw, "default-src 'none'")})
    await send({"type": "http.response.body", "body": body})


def headers_of(scope: Message) -> Headers:
    """The headers by name; of one that is given twice nothing can be relied on: both, with a comma."""
    found: Headers = {}
    for key, value in scope["headers"]:
        name, text = key.decode("latin-1").lower(), value.decode("latin-1")
        found[name] = f"{found[name]},{text}" if name in found else text
    return found


def names_of(host: str) -> frozenset[str]:
    """What a server that listens on `host` may be called."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared
        return frozenset((*LOCAL, socket.gethostname().lower()))
    return frozenset(LOCAL if is_local(host) else (host.lower(),))


def is_local(host: str) -> bool:
    """Whether only this machine can reach an address."""
    return host.lower() == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)


def is_address(name: str) -> bool:
    """Whether a name is an IP address: that is what it is, and no name server says otherwise."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
