"""`progress.webp`: the same latents, or sources, from the first report to the newest, as an animation."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from zerosum.report.drawing import FONT_FILE, Picture, count_text, new_figure, rendered
from zerosum.report.grids import on_white, open_grid, scale_for, scaled
from zerosum.report.points import draw_points, frame_of, read_points
from zerosum.report.run_folder import Grid, Sample

FILE, TITLE = "progress.webp", "Progress"
MOST_FRAMES = 60
FRAME_MS, LAST_MS = 160, 2000
STRIP = 30  # pixels below the picture, for the count
TOO_FEW = "An animation needs two reports: it comes with the second."


def of_grids(samples: tuple[Sample, ...], grid: Grid, what: str) -> Picture:
    """The animation of sample grids, each side of a frame from about 448 to 1024 pixels; `what` begins its caption."""
    if len(samples) < 2:
        return Picture(FILE, TITLE, TOO_FEW)
    chosen = evenly(samples)
    frames, scale = [], 1.0
    for sample in chosen:
        image = on_white(open_grid(sample.path, grid))
        scale = scale_for(image.size, 448, 1024)
        frames.append(_with_count(scaled(image, scale), f"{count_text(sample.images)} images shown"))
    # Enlarged pixels are flat squares: lossless is smaller there, and crisp.
    return _assembled(chosen, frames, lossless=scale >= 2, what=what)


def of_points(samples: tuple[Sample, ...], real: Path | None) -> Picture:
    """The animation of scatters, the real points behind the generated ones."""
    if len(samples) < 2 or real is None:
        return Picture(FILE, TITLE, TOO_FEW if real else "There is no samples/real.json to draw behind it.")
    known = read_points(real)
    if not len(known):
        return Picture(FILE, TITLE, "samples/real.json has no finite point yet.")
    frame = frame_of(known)
    figure = new_figure(560, 480)
    axes = figure.subplots()
    draw_points(axes, known, frame, "real")
    draw_points(axes, known[:0], frame, "generated")
    axes.legend(loc="upper left")
    rendered(figure)
    figure.set_layout_engine("none")  # laid out once: the axes must not move from frame to frame
    frames, chosen = [], evenly(samples)
    for sample in chosen:
        axes.lines[-1].remove()
        draw_points(axes, read_points(sample.path), frame, "generated")
        frames.append(_with_count(rendered(figure), f"{count_text(sample.images)} points shown"))
    return _assembled(chosen, frames, lossless=True)


def evenly(samples: Sequence[Sample]) -> list[Sample]:
    """At most MOST_FRAMES of the samples, evenly chosen in their order, with the first and the last."""
    if len(samples) <= MOST_FRAMES:
        return list(samples)
    return [samples[round(place)] for place in np.linspace(0, len(samples) - 1, MOST_FRAMES)]


def _with_count(image: Image.Image, words: str) -> Image.Image:
    """The frame with a strip below it that says how much was shown."""
    frame = Image.new("RGB", (image.width, image.height + STRIP), "white")
    frame.paste(image, (0, 0))
    place = (image.width / 2, image.height + STRIP / 2)
    ImageDraw.Draw(frame).text(place, words, fill="#1a1a1a", font=_font(), anchor="mm")
    return frame


def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FONT_FILE, 17)


def _assembled(chosen: list[Sample], frames: list[Image.Image], lossless: bool, what: str = "") -> Picture:
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        format="WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=[FRAME_MS] * (len(frames) - 1) + [LAST_MS],
        loop=0,
        lossless=lossless,
        quality=20 if lossless else 90,  # of lossless: the effort, which buys time here and hardly a byte
        method=2,
    )
    words = f"{what}From {count_text(chosen[0].images)} to {count_text(chosen[-1].images)} shown, {len(frames)} frames."
    return Picture(FILE, TITLE, words, buffer.getvalue(), frames[0].width)
