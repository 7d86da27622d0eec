"""Results that wait to be saved by the visitor: the last few, in memory, each at an address nobody can guess."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, field

KEPT = 6
MOST_BYTES = 2**28


@dataclass
class Shelf:
    """Files by their tokens; the oldest make room."""

    _files: OrderedDict[str, tuple[bytes, str]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, content: bytes, suffix: str) -> str:
        """Keep a file; its token."""
        token = secrets.token_hex(16)
        with self._lock:
            self._files[token] = content, suffix
            while len(self._files) > 1 and (len(self._files) > KEPT or self._size() > MOST_BYTES):
                self._files.popitem(last=False)
        return token

    def take(self, token: str) -> tuple[bytes, str] | None:
        """The file and its suffix; None where there is none, or no longer."""
        with self._lock:
            return self._files.get(token)

    def _size(self) -> int:
        return sum(len(content) for content, _ in self._files.values())
