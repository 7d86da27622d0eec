"""The picture that shows what was learnt by heart: samples, and the real images nearest to them."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from zerosum.evaluation.sides import Side
from zerosum.metrics import Neighbours

ROWS = 8
TILE = 96  # pixels; small images are enlarged, in whole steps, to about this side
LARGEST = 256  # pixels; larger ones are made smaller
GAP, BAND, LINE, EDGE = 4, 16, 15, 10
INK, FAINT = (30, 30, 30), (110, 110, 110)


def nearest_picture(made: Side, real: Side, found: Neighbours) -> bytes:
    """A PNG: the samples that lie nearest to a real image, a row each, and their nearest ones with the distances.

    found: of every sample, (N, K). If these are no copies, none is.
    """
    rows = found.distances[:, 0].argsort(stable=True)[:ROWS].tolist()
    tiles = [
        (_tile(made.rows([row])[0]), [_tile(image) for image in real.rows(found.indices[row].tolist())]) for row in rows
    ]
    width = max(tile.width for first, others in tiles for tile in (first, *others))
    height = max(tile.height for first, others in tiles for tile in (first, *others)) + LINE
    columns = found.indices.shape[1]
    top, left = EDGE + 2 * LINE + GAP, EDGE + width + BAND
    size = (left + columns * (width + GAP) - GAP + EDGE, top + len(rows) * (height + GAP) + EDGE)
    font = ImageFont.load_default(11)
    words = [f"the {len(rows)} of {len(found.indices):,} samples nearest to a real image"]
    words.append("sample, and the real images nearest to it with their distances")
    size = (max(size[0], round(max(font.getlength(text) for text in words)) + 2 * EDGE), size[1])
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for line, text in enumerate(words):
        draw.text((EDGE, EDGE + line * LINE), text, fill=INK if line == 0 else FAINT, font=font)
    for place, (row, (first, others)) in enumerate(zip(rows, tiles, strict=True)):
        y = top + place * (height + GAP)
        sheet.paste(first, (EDGE, y))
        for column, other in enumerate(others):
            x = left + column * (width + GAP)
            sheet.paste(other, (x, y))
            draw.text((x, y + height - LINE), f"{float(found.distances[row, column]):.4g}", fill=FAINT, font=font)
        draw.text((EDGE, y + height - LINE), f"number {row}", fill=FAINT, font=font)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def _tile(image: Tensor) -> Image.Image:
    """(C, H, W) in [-1, 1], C 1 or 3, as RGB of a size to look at."""
    pixels = ((image.permute(1, 2, 0).numpy() + 1) * 127.5).round().clip(0, 255).astype(np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3))))
    longest = max(picture.size)
    if longest > LARGEST:
        picture.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
        return picture
    factor = max(1, TILE // longest)
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
