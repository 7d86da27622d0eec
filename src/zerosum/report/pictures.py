"""Pictures made from sample grids: newest samples, milestones, real beside generated, histogram."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from zerosum.report.captions import Captions
from zerosum.report.drawing import BLUE, VERMILION, Picture, count_text, finished, log_axis, new_figure
from zerosum.report.grids import milestones_of, on_white, open_grid, scale_for, scaled, tiles_of
from zerosum.report.run_folder import Grid, Sample
from zerosum.report.sheet import (
    EDGE,
    GAP,
    READABLE,
    TOP,
    label_width,
    pixel_figure,
    place,
    write_heads,
    write_rows,
    write_text,
)

NO_REAL = "There is no samples/real.png in the run folder to compare with."
HEADS = 22  # pixels for the names of columns
CHANNELS = {1: ("grey",), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", "alpha")}


def newest(samples: tuple[Sample, ...], grid: Grid, captions: Captions) -> Picture:
    """`samples.png`: the newest grid, enlarged to be looked at, with the class of each row where rows have one."""
    file, title = "samples.png", captions.title
    if not samples:
        return Picture(file, title, captions.none)
    image = on_white(open_grid(samples[-1].path, grid))
    labels = grid.labels[: image.height // grid.height]
    image = scaled(image, scale_for(image.size, 640, 1200 if labels else 1024))
    words = captions.newest.format(shown=count_text(samples[-1].images))
    if labels:
        left, tall = label_width(labels), image.height / len(labels)
        figure = pixel_figure(left + image.width + EDGE, image.height + 2 * EDGE)
        place(figure, image, left, EDGE)
        write_rows(figure, left, [EDGE + row * tall for row in range(len(labels))], tall, labels)
        return finished(figure, file, title, f"{words} A row is a class.")
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return Picture(file, title, words, buffer.getvalue(), image.width)


def milestones(samples: tuple[Sample, ...], grid: Grid, captions: Captions) -> Picture:
    """`milestones.png`: a row for each milestone of progress, a column for each latent (source), or for each class."""
    file, title = "milestones.png", "Milestones"
    if not samples:
        return Picture(file, title, captions.none)
    chosen = milestones_of(samples)
    rows = [_tile_images(sample, grid) for sample in chosen]
    columns = min(10 if grid.width <= 80 else 8, *(len(row) for row in rows))
    scale = scale_for((columns * grid.width, columns * grid.height), 700, 1100)
    rows = [[scaled(tile, scale) for tile in row[:columns]] for row in rows]
    width, height = rows[0][0].width + GAP, rows[0][0].height + GAP
    heads = grid.labels[:columns]
    left, top = 90, TOP + (HEADS if heads else 0)
    figure = pixel_figure(max(left + columns * width + EDGE, 520), top + len(rows) * height + EDGE)
    for row, (sample, tiles) in enumerate(zip(chosen, rows, strict=True)):
        for column, tile in enumerate(tiles):
            place(figure, tile, left + column * width, top + row * height)
        write_text(figure, left - 10, top + (row + 0.5) * height, count_text(sample.images), ha="right")
    write_text(figure, EDGE, TOP / 2, captions.steps_heading, weight="bold")
    if heads:
        write_heads(figure, left, top - HEADS / 2, width, heads)
    words = "A latent of each of {columns} classes after {shown} real images shown." if heads else captions.steps
    shown = ", ".join(count_text(sample.images) for sample in chosen)
    return finished(figure, file, title, words.format(columns=columns, shown=shown))


def real_and_generated(
    samples: tuple[Sample, ...], grid: Grid, real: Image.Image | None, captions: Captions
) -> Picture:
    """`real-and-generated.png`: the grid of real images (targets) beside the newest generated one."""
    file, title = "real-and-generated.png", captions.beside_title
    if not samples or real is None:
        return Picture(file, title, captions.none if not samples else NO_REAL)
    pair = [on_white(real), on_white(open_grid(samples[-1].path, grid))]
    widest = max(image.width for image in pair), max(image.height for image in pair)
    scale = scale_for(widest, 448, 700)
    labels = grid.labels[: widest[1] // grid.height] if grid.height * scale >= READABLE else ()
    left = label_width(labels) or EDGE
    pair = [scaled(image, scale) for image in pair]
    half = max(*(image.width for image in pair), 260)
    figure = pixel_figure(left + 2 * half + 2 * EDGE, TOP + max(image.height for image in pair) + EDGE)
    titles = captions.real.capitalize(), f"{captions.made.capitalize()}, {count_text(samples[-1].images)} images shown"
    for half_of, (image, words) in enumerate(zip(pair, titles, strict=True)):
        x = left + half_of * (half + EDGE)
        place(figure, image, x, TOP)
        write_text(figure, x, TOP / 2, words, weight="bold")
    tall = grid.height * scale
    write_rows(figure, left, [TOP + row * tall for row in range(len(labels))], tall, labels)
    rows = " A row is a class." if labels else ""
    return finished(figure, file, title, f"{captions.beside}{rows}")


def histogram(samples: tuple[Sample, ...], grid: Grid, real: Image.Image | None, captions: Captions) -> Picture:
    """`histogram.png`: the pixel values of the real and the newest generated grid, channel by channel."""
    file, title = "histogram.png", "Pixel values"
    if not samples or real is None:
        return Picture(file, title, captions.none if not samples else NO_REAL)
    pair = [_channels(real), _channels(open_grid(samples[-1].path, grid))]
    count = min(len(channels) for channels in pair)
    figure = new_figure(1000, 480 if count == 1 else 140 + 230 * count)
    panels = figure.subplots(count, 1, squeeze=False, sharex=True)[:, 0]
    bins = np.linspace(-0.5, 255.5, 65)  # 64 bins of four 8-bit values
    for channel, axes in enumerate(panels):
        real_share, fake_share = (
            100 * np.histogram(channels[channel], bins)[0] / channels[channel].size for channels in pair
        )
        real_patch = axes.stairs(real_share, bins, fill=True, color=BLUE, alpha=0.45, label=captions.real)
        fake_patch = axes.stairs(fake_share, bins, color=VERMILION, linewidth=1.8, label=captions.made)
        shares = np.concatenate([real_share, fake_share])
        peaked = shares.max() > 25 * np.median(shares)
        if peaked:
            log_axis(axes)
        axes.set_ylabel("% of pixels (log)" if peaked else "% of pixels")
        if count > 1:
            axes.set_title(CHANNELS[count][channel], fontsize="medium", loc="right")
    panels[-1].set_xlabel("pixel value (0 darkest, 255 lightest)")
    panels[0].set_title(f"Pixel values, {' and '.join(captions.grids)}")
    figure.legend(handles=[real_patch, fake_patch], loc="outside lower center", ncols=2)
    means = " and ".join(f"{np.mean(channels):.0f}" for channels in pair)
    words = f"Shares of pixel values in the {' and the '.join(captions.grids)}; means {means} of 255."
    return finished(figure, file, title, words)


def _channels(image: Image.Image) -> np.ndarray:
    """The pixel values, uint8 (C, pixels)."""
    pixels = np.asarray(image)
    return pixels.reshape(image.height * image.width, -1).T


def _tile_images(sample: Sample, grid: Grid) -> list[Image.Image]:
    """The tiles of a sample as RGB images; where rows have classes, the first of each row."""
    sheet = on_white(open_grid(sample.path, grid))
    step = sheet.width // grid.width if grid.labels else 1
    return [Image.fromarray(tile) for tile in tiles_of(sheet, grid)[::step]]
