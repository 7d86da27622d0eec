"""How a set is to be read: the part of a store's key that is not the files."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass

from zerosum.data.fitting import FITS
from zerosum.errors import UsageError, nearest

LARGEST_SIDE = 4096
HALVES = ("", "left", "right")


@dataclass(frozen=True)
class Options:
    """Checked options of `open_data`; size is (height, width) or None for automatic."""

    size: tuple[int, int] | None
    fit: str
    channels: int | None
    include: str | None
    labels: bool
    largest: int
    half: str = ""
    """The half of each picture that is read, "left" or "right"; "": all of it."""

    def key(self, fingerprint: object, version: int) -> str:
        """Hex fingerprint of the files and these options."""
        options = {name: value for name, value in asdict(self).items() if name != "half" or value}
        text = json.dumps([version, fingerprint, options], sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def make_options(
    *,
    size: str | None,
    fit: str,
    channels: int | None,
    include: str | None,
    labels: bool,
    largest: int,
    half: str = "",
) -> Options:
    """Checks and parses. Raises UsageError."""
    if fit not in FITS:
        raise UsageError(f"data.fit: {fit!r} is unknown; {nearest(fit, FITS)}")
    if channels is not None and channels not in (1, 2, 3, 4):
        raise UsageError(f"data.channels: {channels} is not 1 (grey), 2 (grey + alpha), 3 (RGB) or 4 (RGB + alpha)")
    if largest < 1:
        raise UsageError(f"data.largest: {largest} is not a size")
    if half not in HALVES:
        raise UsageError(f"half: {half!r} is unknown; {nearest(half, HALVES[1:])}")
    if size is not None:  # then `largest` is of no effect, so not in the key
        return Options(parse_size(size), fit, channels, include, labels, largest=0, half=half)
    return Options(None, fit, channels, include, labels, largest, half)


def parse_size(text: str) -> tuple[int, int]:
    """'64' or '64x96' (height x width) to (height, width). Raises UsageError."""
    found = re.fullmatch(r"\s*(\d{1,5})\s*(?:[x×]\s*(\d{1,5}))?\s*", text)
    if found:
        height = int(found[1])
        width = int(found[2] or height)
        if 1 <= height <= LARGEST_SIDE and 1 <= width <= LARGEST_SIDE:
            return height, width
    raise UsageError(
        f"data.size: {text!r} is not a size; write 64, or 64x96 for height x width, at most {LARGEST_SIDE} a side"
    )
