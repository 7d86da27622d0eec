"""A contact sheet: a seeded random pick of a store in one PNG, so that one look tells whether it was read right."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from zerosum.data.fitting import Array
from zerosum.data.store import Store
from zerosum.errors import RunError

GAP = 4
CELL = 96  # small images are enlarged, in whole steps, to about this side
CAPTION = 16


def contact_sheet(store: Store, path: Path, count: int = 64, seed: int = 0) -> Path:
    """Writes a PNG of `count` rows of `store`, picked by `seed` (for points: a scatter of all, up to 20,000).

    Each image carries its class, if it has one, else its row number. Raises RunError if `path` cannot be written.
    """
    picture = _scatter(store, seed) if store.is_points else _grid(store, count, seed)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path, "PNG")
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from error
    return path


def _grid(store: Store, count: int, seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    picked = np.sort(store.order(rng)[:count])
    _, height, width = store.shape
    scale = max(1, CELL // max(height, width))
    cell_width, cell_height = max(width * scale, 40), height * scale + CAPTION
    columns = math.ceil(math.sqrt(len(picked)))
    rows = math.ceil(len(picked) / columns)
    size = (columns * (cell_width + GAP) + GAP, rows * (cell_height + GAP) + GAP + CAPTION)
    sheet = Image.new("RGB", size, (250, 250, 250))
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(11)
    channels = store.shape[0]
    title = f"{store.name}: {len(picked)} of {len(store):,}, {height}x{width}x{channels}"
    draw.text((GAP, 3), _clip(title, size[0] - 2 * GAP, font), fill=(30, 30, 30), font=font)
    for place, row in enumerate(picked.tolist()):
        left = GAP + place % columns * (cell_width + GAP)
        top = GAP + CAPTION + place // columns * (cell_height + GAP)
        image = _visible(store.take(np.array([row]))[0], store.low, store.high)
        image = image.resize((width * scale, height * scale), Image.Resampling.NEAREST)
        sheet.paste(image, (left + (cell_width - image.width) // 2, top))
        caption = store.classes[store.labels[row]] if store.labels is not None else str(row)
        where = (left + cell_width / 2, top + height * scale + CAPTION / 2 - 1)
        draw.text(where, _clip(caption, cell_width, font), fill=(90, 90, 90), font=font, anchor="mm")
    return sheet


def _clip(text: str, width: float, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """`text`, shortened to `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def _visible(pixels: Array, low: float, high: float) -> Image.Image:
    """(H, W, C) stored values as 8-bit RGB; alpha is laid on a mid grey, so that it shows."""
    scaled = np.clip((pixels.astype(np.float32) - low) / (high - low), 0, 1)
    if pixels.shape[-1] in (2, 4):
        alpha = scaled[..., -1:]
        scaled = scaled[..., :-1] * alpha + 0.6 * (1 - alpha)
    if scaled.shape[-1] == 1:
        scaled = np.repeat(scaled, 3, axis=-1)
    return Image.fromarray(np.rint(scaled * 255).astype(np.uint8))


def _scatter(store: Store, seed: int) -> Image.Image:
    """The first two coordinates of the points (one coordinate: against the row number)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rng = np.random.default_rng(seed)
    picked = np.sort(rng.choice(len(store), size=min(20_000, len(store)), replace=False))
    points = store.take(picked)
    across, up = (points[:, 0], points[:, 1]) if points.shape[1] > 1 else (picked, points[:, 0])
    figure = Figure(figsize=(6, 6), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    axes.scatter(across, up, s=6, alpha=0.5, linewidths=0)
    axes.set_title(f"{store.name}: {len(picked):,} of {len(store):,} points")
    axes.set_xlabel("x0" if points.shape[1] > 1 else "row")
    axes.set_ylabel("x1" if points.shape[1] > 1 else "x0")
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())
    return Image.fromarray(pixels[..., :3].copy())
