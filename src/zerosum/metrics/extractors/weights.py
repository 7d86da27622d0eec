"""Files of weights that others published: read only when their SHA-256 is the known one, fetched where they are not.

What is fetched lies in the folder `weights` of the user's cache: `$ZEROSUM_CACHE`, or the platform's place.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from zerosum.errors import RunError, UsageError
from zerosum.metrics.extractors.base import Progress

BLOCK = 2**18  # bytes read from the network at a time
PATIENCE = 30  # seconds without an answer until there is no network


@dataclass(frozen=True)
class Published:
    """A file that can be fetched: its name, its address, its SHA-256 and its size in bytes."""

    file: str
    address: str
    sha256: str
    size: int

    def path(self) -> Path:
        """Where it is kept."""
        return _cache() / "weights" / self.file


def read_weights(path: Path, sha256: str, remedy: str) -> dict[str, Tensor]:
    """The tensors of a .pth file, of which nothing is read before its SHA-256 is the known one.

    remedy: what to do when it is not, or cannot be read. Raises UsageError.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error}); {remedy}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise UsageError(f"{path}: not the weights that are known, so they are not used (SHA-256 {found}); {remedy}")
    state: dict[str, Tensor] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return state


def fetched(published: Published, progress: Progress | None = None) -> Path:
    """Where the file lies, fetched if it was not there: it exists whole, with its hash right, or not at all.

    Raises UsageError when it cannot be had, in words that say where to put it by hand; RunError for the disk.
    """
    path = published.path()
    if path.exists():
        return path
    with _disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")  # another process may be fetching it too
    try:
        _fetch(published, part, progress)
        with _disk(path):
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def by_hand(published: Published) -> str:
    """How to come by the file without this program."""
    return (
        f"get {published.address} by other means, {published.size:,} bytes with SHA-256 {published.sha256}, "
        f"and put it at {published.path()}"
    )


def _fetch(published: Published, part: Path, progress: Progress | None) -> None:
    digest, done = hashlib.sha256(), 0
    with _disk(part), part.open("wb") as target:
        for block in _blocks(published):
            digest.update(block)
            done += len(block)
            target.write(block)
            if progress is not None:
                progress(f"downloading {published.file}", done, published.size)
        target.flush()
        os.fsync(target.fileno())
    if (done, digest.hexdigest()) != (published.size, published.sha256):
        raise UsageError(
            f"What came from {published.address} is not the file that is known ({done:,} bytes, SHA-256 "
            f"{digest.hexdigest()}), so it was not kept. Try again; or {by_hand(published)}."
        )


def _blocks(published: Published) -> Iterator[bytes]:
    """The file from the network, and never much more than its size. Raises UsageError."""
    try:
        with urllib.request.urlopen(published.address, timeout=PATIENCE) as answer:  # noqa: S310 - a constant
            left = published.size + 1
            while left > 0 and (block := answer.read(min(BLOCK, left))):
                left -= len(block)
                yield block
    except (OSError, http.client.HTTPException) as fault:  # URLError is an OSError
        raise UsageError(
            f"{published.file} is not in {published.path().parent} and could not be fetched ({_cause(fault)}). "
            f"Connect to the network and try again; or {by_hand(published)}."
        ) from fault


def _cause(fault: Exception) -> object:
    """What went wrong, without urllib's wrapping."""
    if isinstance(fault, urllib.error.URLError) and not isinstance(fault, urllib.error.HTTPError):
        return fault.reason
    return fault


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    """What the system says of a full or closed disk becomes a RunError."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{path}: cannot be written ({error.strerror or error}); make room, or set ZEROSUM_CACHE to a folder "
            "with room that you may write to"
        ) from error


def _cache() -> Path:
    """The folder of the user's cache."""
    chosen = os.environ.get("ZEROSUM_CACHE")
    if chosen:
        return Path(chosen)
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("zerosum", appauthor=False))
