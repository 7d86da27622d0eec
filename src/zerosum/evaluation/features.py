"""Features of a side, an image at a time in memory; those of data are kept in the user's cache.

Kept features are a folder `features/KEY` in the cache: `features.bin`, float32 rows as they are in memory, and
`features.json`, which says of what, by what, how many, and the size and SHA-256 of the rows. The key is a hash of all
that could change them, so that other data or other weights never meet them. It is written under another name and
renamed: it exists whole or not at all. What is not what it says is made again, and a note says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from zerosum.data.cache import cache_root, writing
from zerosum.data.ticker import Progress, Ticker
from zerosum.evaluation.sides import Side
from zerosum.files import sha256, write_folder
from zerosum.metrics.extractors import Extractor

FORMAT = 1
READ = 64  # images taken from a side at once
ON_GPU = 64  # images an extractor is given at once there
VALUES = 2**24  # float32 numbers of images at once, at most: 64 MB

Note = Callable[[str], None]


class DamagedFeaturesError(Exception):
    """Kept features that are not what features.json says."""


def features_of(
    side: Side,
    extractor: Extractor | None,
    first: int,
    count: int,
    device: torch.device,
    progress: Progress | None,
    note: Note,
) -> Tensor:
    """Features float32 (count, width), on the CPU, of images `first` to `first + count`; without an extractor: points.

    Of data, whose digest is known, they are taken from the cache, and kept there.
    """
    if extractor is None:
        return side.images(first, count)
    if side.kind != "data" or not side.digest:
        return torch.cat(list(_extracted(side, extractor, first, count, device, progress)))
    about = _about(side, extractor, first, count, device)
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]
    folder = cache_root() / "features" / key
    with writing(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{folder}.lock")
        lock.acquire()  # another process may be making them: one works, the others read
    try:
        if folder.exists():
            try:
                return _kept(folder, about)
            except DamagedFeaturesError as error:
                note(f"The kept features of {side.name} were damaged ({error}) and are made again.")
        parts = _extracted(side, extractor, first, count, device, progress)
        write_folder(folder, lambda inside: _keep(inside, about, parts))
        return _kept(folder, about)
    finally:
        lock.release()


def _extracted(
    side: Side, extractor: Extractor, first: int, count: int, device: torch.device, progress: Progress | None
) -> Iterator[Tensor]:
    """Features (n, width) on the CPU, some images at a time."""
    extractor.to(device)
    step = min(READ, max(1, VALUES // int(np.prod(side.shape))))
    at_once = extractor.at_once if device.type == "cpu" else ON_GPU
    ticker = Ticker(progress, f"features of {side.name}", count)
    for start in range(first, first + count, step):
        images = side.images(start, min(step, first + count - start))
        for some in images.split(at_once):
            with torch.no_grad():
                features = extractor.features(some.to(device)).float().cpu()
            ticker.advance(len(some))
            yield features


def _about(side: Side, extractor: Extractor, first: int, count: int, device: torch.device) -> dict[str, Any]:
    """All that could change the features. A network of one's own is known by its content, not by its path."""
    return {
        "format": FORMAT,
        "data": side.digest,
        "shape": list(side.shape),
        "first": first,
        "count": count,
        "extractor": extractor.name.partition(":")[0],
        "sha256": extractor.sha256,
        "resize": extractor.resize,
        "width": extractor.width,
        "torch": torch.__version__,
        "device": device.type,
    }


def _keep(folder: Path, about: dict[str, Any], parts: Iterator[Tensor]) -> None:
    """Fill the folder; where that is broken off, with Ctrl-C too, take the rows away again."""
    path, digest = folder / "features.bin", hashlib.sha256()
    with ExitStack() as undo:
        undo.callback(path.unlink, missing_ok=True)
        with path.open("wb") as file:
            for part in parts:
                rows = np.ascontiguousarray(part.numpy()).data.cast("B")
                digest.update(rows)
                file.write(rows)
        undo.pop_all()
    (folder / "features.json").write_text(json.dumps({**about, "rows": digest.hexdigest()}, indent=1), encoding="utf-8")


def _kept(folder: Path, about: dict[str, Any]) -> Tensor:
    """The features, memory-mapped: what is written to them stays in memory. Raises `DamagedFeaturesError`."""
    path, shape = folder / "features.bin", (about["count"], about["width"])
    try:
        said = json.loads((folder / "features.json").read_bytes())
        if not isinstance(said, dict) or {key: said.get(key) for key in about} != about:
            raise DamagedFeaturesError("features.json is not theirs")
        size, expected = path.stat().st_size, shape[0] * shape[1] * 4
        if size != expected:
            raise DamagedFeaturesError(f"{path.name} has {size:,} bytes, not {expected:,}")
        if sha256(path) != said.get("rows"):
            raise DamagedFeaturesError(f"the SHA-256 of {path.name} is not the one it was written with")
        return torch.from_numpy(np.memmap(path, dtype=np.float32, mode="c", shape=shape))
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedFeaturesError(f"{type(error).__name__}: {error}") from error
