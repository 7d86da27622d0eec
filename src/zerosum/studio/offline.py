"""No connection leaves this process: the page needs none, so a library that tries one is refused.

Gradio can fetch an address that a visitor names, and asks for its newest version: neither happens where Python's own
audit event of every connection says no (PEP 578).
"""

from __future__ import annotations

import socket
import sys
from typing import Any

FAMILIES = (socket.AF_INET, socket.AF_INET6)
REACHING = ("socket.connect", "socket.sendto", "socket.sendmsg")
ASKING = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo")


def stay_offline() -> None:
    """From now on this process, to its end, refuses to connect to any address, and to ask a name server for one.

    Those who connect to it are served.
    """
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ASKING or (event in REACHING and arguments[0].family in FAMILIES):
        raise ConnectionRefusedError("the studio makes no connection")
