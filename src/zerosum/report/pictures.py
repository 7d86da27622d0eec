"""Pictures made from sample grids: newest samples, milestones, real beside generated, histogram."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from zerosum.report.drawing import BLUE, VERMILION, Picture, count_text, finished, log_axis, new_figure
from zerosum.report.grids import milestones_of, on_white, open_grid, scale_for, scaled, tiles_of
from zerosum.report.run_folder import Grid, Sample

NO_SAMPLES = "No samples have been drawn yet: the first come with the first report."
NO_REAL = "There is no samples/real.png in the run folder to compare with."
GAP = 2  # pixels of white between the tiles of the milestones
CHANNELS = {1: ("grey",), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", "alpha")}


def newest(samples: tuple[Sample, ...], grid: Grid) -> Picture:
    """`samples.png`: the newest grid, enlarged to be looked at."""
    file, title = "samples.png", "Samples"
    if not samples:
        return Picture(file, title, NO_SAMPLES)
    image = on_white(open_grid(samples[-1].path, grid))
    image = scaled(image, scale_for(image.size, 640, 1024))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    words = f"Drawn after {count_text(samples[-1].images)} real images were shown."
    return Picture(file, title, words, buffer.getvalue(), image.width)


def milestones(samples: tuple[Sample, ...], grid: Grid) -> Picture:
    """`milestones.png`: a row for each milestone of progress, a column for each latent."""
    file, title = "milestones.png", "Milestones"
    if not samples:
        return Picture(file, title, NO_SAMPLES)
    chosen = milestones_of(samples)
    rows = [_tile_images(sample, grid) for sample in chosen]
    columns = min(10 if grid.width <= 80 else 8, *(len(row) for row in rows))
    scale = scale_for((columns * grid.width, columns * grid.height), 700, 1100)
    rows = [[scaled(tile, scale) for tile in row[:columns]] for row in rows]
    width, height = rows[0][0].width + GAP, rows[0][0].height + GAP
    left, top, edge = 90, 46, 12
    figure = pixel_figure(max(left + columns * width + edge, 520), top + len(rows) * height + edge)
    for row, (sample, tiles) in enumerate(zip(chosen, rows, strict=True)):
        for column, tile in enumerate(tiles):
            place(figure, tile, left + column * width, top + row * height)
        write_text(figure, left - 10, top + (row + 0.5) * height, count_text(sample.images), ha="right")
    write_text(figure, edge, top / 2, "Progress of the same latents, by images shown", weight="bold")
    words = ", ".join(count_text(sample.images) for sample in chosen)
    return finished(figure, file, title, f"The same {columns} latents after {words} real images shown.")


def real_and_generated(samples: tuple[Sample, ...], grid: Grid, real: Image.Image | None) -> Picture:
    """`real-and-generated.png`: the grid of real images beside the newest generated one."""
    file, title = "real-and-generated.png", "Real beside generated"
    if not samples or real is None:
        return Picture(file, title, NO_SAMPLES if not samples else NO_REAL)
    pair = [on_white(real), on_white(open_grid(samples[-1].path, grid))]
    widest = max(image.width for image in pair), max(image.height for image in pair)
    scale = scale_for(widest, 448, 700)
    pair = [scaled(image, scale) for image in pair]
    edge, top = 12, 46
    half = max(*(image.width for image in pair), 260)
    figure = pixel_figure(2 * half + 3 * edge, top + max(image.height for image in pair) + edge)
    titles = ("Real", f"Generated, {count_text(samples[-1].images)} images shown")
    for half_of, (image, words) in enumerate(zip(pair, titles, strict=True)):
        x = edge + half_of * (half + edge)
        place(figure, image, x, top)
        write_text(figure, x, top / 2, words, weight="bold")
    return finished(figure, file, title, "Left: images of the data. Right: the newest samples.")


def histogram(samples: tuple[Sample, ...], grid: Grid, real: Image.Image | None) -> Picture:
    """`histogram.png`: the pixel values of the real and the newest generated grid, channel by channel."""
    file, title = "histogram.png", "Pixel values"
    if not samples or real is None:
        return Picture(file, title, NO_SAMPLES if not samples else NO_REAL)
    pair = [_channels(real), _channels(open_grid(samples[-1].path, grid))]
    count = min(len(channels) for channels in pair)
    figure = new_figure(1000, 480 if count == 1 else 140 + 230 * count)
    panels = figure.subplots(count, 1, squeeze=False, sharex=True)[:, 0]
    bins = np.linspace(-0.5, 255.5, 65)  # 64 bins of four 8-bit values
    for channel, axes in enumerate(panels):
        real_share, fake_share = (
            100 * np.histogram(channels[channel], bins)[0] / channels[channel].size for channels in pair
        )
        real_patch = axes.stairs(real_share, bins, fill=True, color=BLUE, alpha=0.45, label="real")
        fake_patch = axes.stairs(fake_share, bins, color=VERMILION, linewidth=1.8, label="generated")
        shares = np.concatenate([real_share, fake_share])
        peaked = shares.max() > 25 * np.median(shares)
        if peaked:
            log_axis(axes)
        axes.set_ylabel("% of pixels (log)" if peaked else "% of pixels")
        if count > 1:
            axes.set_title(CHANNELS[count][channel], fontsize="medium", loc="right")
    panels[-1].set_xlabel("pixel value (0 darkest, 255 lightest)")
    panels[0].set_title("Pixel values, real grid and newest generated grid")
    figure.legend(handles=[real_patch, fake_patch], loc="outside lower center", ncols=2)
    means = " and ".join(f"{np.mean(channels):.0f}" for channels in pair)
    words = f"Shares of pixel values in the real grid and the newest generated one; means {means} of 255."
    return finished(figure, file, title, words)


def _channels(image: Image.Image) -> np.ndarray:
    """The pixel values, uint8 (C, pixels)."""
    pixels = np.asarray(image)
    return pixels.reshape(image.height * image.width, -1).T


def _tile_images(sample: Sample, grid: Grid) -> list[Image.Image]:
    """The tiles of a sample as RGB images."""
    return [Image.fromarray(tile) for tile in tiles_of(on_white(open_grid(sample.path, grid)), grid)]


def pixel_figure(width: int, height: int) -> Figure:
    """A figure in which a pixel of a picture is a pixel of the file."""
    return new_figure(width, height, constrained=False)


def place(figure: Figure, image: Image.Image, x: int, y: int) -> None:
    """Put the image with its upper left corner x, y pixels from that of the figure."""
    height = round(figure.get_figheight() * figure.dpi)
    figure.figimage(np.asarray(image), xo=x, yo=height - y - image.height, origin="upper")


def write_text(figure: Figure, x: float, y: float, words: str, ha: str = "left", weight: str = "normal") -> None:
    """Write words beginning (or ending) x pixels from the left, their middle y pixels from the top."""
    width, height = figure.get_size_inches() * figure.dpi
    figure.text(x / width, 1 - y / height, words, ha=ha, va="center", weight=weight)
