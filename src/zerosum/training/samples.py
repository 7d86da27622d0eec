"""What a report shows: samples of the same latents each time, as one grid of touching tiles, or points as JSON."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from zerosum.errors import UsageError
from zerosum.files import disk_errors, write_json, write_whole
from zerosum.sampler import WRITABLE, Sampler, picture


def grid_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """(rows, columns) of a report's grid of `shape` (C, H, W): 8 × 8, fewer where the tiles are large."""
    side = min(8, max(2, 2048 // max(shape[1:])))
    return side, side


def tile(images: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """(rows·columns, H, W, C) to one (rows·H, columns·W, C) picture."""
    height, width, channels = images.shape[1:]
    grid = images[: rows * columns].reshape(rows, columns, height, width, channels)
    return grid.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, channels)


def write_grid(path: Path, images: np.ndarray, low: float, high: float, columns: int, labels: Sequence[str]) -> None:
    """Write `path` (.png) of (N, H, W, C) values `low` to `high` as 8-bit tiles, N a number of whole rows.

    The geometry, and what each row shows (`labels`; none where rows mean nothing), go to grid.json beside it.
    """
    height, width, channels = images.shape[1:]
    rows = len(images) // columns
    _write_tiles(path, images, low, high, rows, columns)
    facts: dict[str, Any] = {"rows": rows, "columns": columns, "height": height, "width": width, "channels": channels}
    if not (path.parent / "grid.json").exists():
        write_json(path.parent / "grid.json", facts | ({"labels": list(labels)} if labels else {}))


def write_rows(path: Path, images: np.ndarray, low: float, high: float, labels: Sequence[str]) -> None:
    """Write `path` (.png) of (N, H, W, C) values `low` to `high` as 8-bit tiles, a row for each of `labels`.

    The geometry and the labels go to a .json beside it.
    """
    height, width = images.shape[1:3]
    columns = len(images) // len(labels)
    facts = {"columns": columns, "height": height, "width": width, "labels": list(labels)}
    write_json(path.with_suffix(".json"), facts)
    _write_tiles(path, images, low, high, len(labels), columns)


def _write_tiles(path: Path, images: np.ndarray, low: float, high: float, rows: int, columns: int) -> None:
    eight_bit = ((tile(images, rows, columns).astype(np.float32) - low) * (255 / (high - low))).round().clip(0, 255)
    sheet = picture(eight_bit.astype(np.uint8), 0, 255)
    if sheet.mode == "LA":
        sheet = sheet.convert("RGBA")
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    write_whole(path, buffer.getvalue())


def write_points(path: Path, points: np.ndarray) -> None:
    """Write `path` (.json) of (N, D) points."""
    write_json(path, {"points": np.round(points.astype(np.float64), 5).tolist()})


def spread(images: np.ndarray) -> float:
    """Mean over pixels (or dimensions) of the deviation between samples: 0 where all are one."""
    return float(images.astype(np.float32).std(axis=0).mean())


def sheet(pictures: list[Image.Image]) -> Image.Image:
    """All pictures as the tiles of one, as square as they allow."""
    width, height = pictures[0].size
    columns = math.ceil(math.sqrt(len(pictures) * height / width))
    rows = math.ceil(len(pictures) / columns)
    canvas = Image.new(pictures[0].mode, (columns * width, rows * height))
    for number, item in enumerate(pictures):
        canvas.paste(item, (number % columns * width, number // columns * height))
    return canvas


def save_samples(
    model: Sampler,
    out: Path,
    count: int,
    *,
    seed: int,
    truncation: float,
    code: int | None = None,
    label: int | str | None = None,
) -> None:
    """Draw `count` samples into `out`: an image file as one sheet, `.npy` as an array, or a folder, a file each.

    Raises `UsageError` where points are asked for as pictures, the file's ending is no picture's, or the model has no
    such code or label.
    """
    suffix = out.suffix.lower()
    array = np.asarray(model.sample(count, seed=seed, truncation=truncation, code=code, label=label))
    if suffix == ".npy":
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        return _write(out, buffer.getvalue())
    if suffix and suffix not in WRITABLE:
        raise UsageError(
            f"Samples cannot be written as {suffix!r}; give .npy, a folder, or one of {', '.join(WRITABLE)}."
        )
    pictures = model.pictures(array)
    if suffix:
        return _write(out, _encode(sheet(pictures), WRITABLE[suffix]))
    digits = max(3, len(str(count - 1)))
    for number, item in enumerate(pictures):
        _write(out / f"{number:0{digits}d}.png", _encode(item, "PNG"))
    return None


def _encode(item: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    if item.mode == "I;16" and kind not in ("PNG", "TIFF"):
        item = Image.fromarray((np.asarray(item) // 257).astype(np.uint8))  # Pillow's own conversion clips
    if kind in ("JPEG", "BMP") and item.mode in ("LA", "RGBA"):
        item = item.convert("RGB" if item.mode == "RGBA" else "L")
    item.save(buffer, kind)
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> None:
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)
