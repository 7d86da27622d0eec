"""Where zerosum keeps what it can make or fetch again: decoded stores and downloaded sets."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zerosum.errors import RunError

FULL = (errno.ENOSPC, errno.EDQUOT)


def cache_root() -> Path:
    """The cache's folder: `$ZEROSUM_CACHE`, or the platform's place for a user's caches."""
    chosen = os.environ.get("ZEROSUM_CACHE")
    if chosen:
        return Path(chosen)
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("zerosum", appauthor=False))


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns what the system says of a full or closed disk into a RunError with the remedy."""
    try:
        yield
    except OSError as error:
        remedy = "set ZEROSUM_CACHE to a folder with room that you may write to"
        if error.errno in FULL:
            raise RunError(f"{folder}: the disk is full; make room, or {remedy}") from error
        raise RunError(f"{folder}: the cache cannot be written ({error.strerror or error}); {remedy}") from error
